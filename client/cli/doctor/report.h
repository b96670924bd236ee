// What doctor found: for each thing that it looked at one finding, in the order of looking.
//
// A warning leaves the cache usable, a failure does not; both say what to do. Not thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nvcv_cached::cli {

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
  Verdict verdict;
  std::string check;  // its name
  std::string text;   // what was found
  std::string hint;   // what to do; empty when all is well
};

class Report {
 public:
  void Ok(std::string check, std::string text) {
    findings_.push_back({Verdict::kOk, std::move(check), std::move(text), ""});
  }
  void Warn(std::string check, std::string text, std::string hint) {
    findings_.push_back({Verdict::kWarn, std::move(check), std::move(text), std::move(hint)});
  }
  void Fail(std::string check, std::string text, std::string hint) {
    findings_.push_back({Verdict::kFail, std::move(check), std::move(text), std::move(hint)});
  }

  const std::vector<Finding>& findings() const { return findings_; }

 private:
  std::vector<Finding> findings_;
};

}  // namespace nvcv_cached::cli
