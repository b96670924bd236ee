// The machine as /proc, /dev and /sys show it, below a folder that stands for / (a container that
// sees its host's tree below another folder looks there). What cannot be read is not there.
// Immutable; thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nvcv_cached::cli {

class Machine {
 public:
  explicit Machine(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  bool Has(const std::string& path) const;
  bool MayReadAndWrite(const std::string& path) const;
  std::string Read(const std::string& path) const;                  // the whole file
  std::vector<std::string> Names(const std::string& folder) const;  // what lies in it, sorted

 private:
  std::string root_;
};

}  // namespace nvcv_cached::cli
