// A worker of the demo in C++: does what worker.py does, told by the same lines.
//
//   photo NUMBER PATH      decodes the file and keeps it until the burst's end
//   frame JOB PHOTO Y X HEIGHT WIDTH
//                          processes a crop of it, keeps the results of the last 8 such frames,
//                          answers "frame JOB CHECKSUM"
//   save JOB PATH          writes the first result of that frame, the last one made, rows of bytes
//   end                    drops all, answers "end HITS MISSES"
//   keep BYTES             holds a buffer of that size, filled with 0x5a; answers "kept"
//   check                  answers "intact" if it still is
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pipeline.h"

namespace nc = nvcv_cached;

namespace {

void Save(const nc::Tensor& image, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  std::int64_t row = image.shape()[1] * image.shape()[2];
  for (std::int64_t y = 0; y < image.shape()[0]; ++y) {
    file.write(static_cast<const char*>(image.data()) + y * image.stride_bytes(0), row);
  }
}

constexpr std::size_t kKept = 8;

class Worker {
 public:
  void Obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb, path;
    int job = 0, photo = 0;
    words >> verb;
    if (verb == "photo") {
      words >> photo >> path;
      photos_.insert_or_assign(photo, demo::Decode(path.c_str()));
    } else if (verb == "frame") {
      demo::Box box;
      words >> job >> photo >> box.y >> box.x >> box.height >> box.width;
      results_.emplace_back(job, demo::Process(photos_.at(photo), box));
      if (results_.size() > kKept) results_.pop_front();
      std::cout << "frame " << job << ' ' << demo::Checksum(results_.back().second) << std::endl;
    } else if (verb == "save") {
      words >> job >> path;
      Save(results_.back().second.front(), path);
    } else if (verb == "end") {
      photos_.clear();
      results_.clear();
      nc::Stats stats = nc::stats();
      std::cout << "end " << stats.hits << ' ' << stats.misses << std::endl;
    } else if (verb == "keep") {
      std::size_t size = 0;
      words >> size;
      kept_.emplace(size);
      std::memset(kept_->data(), 0x5a, size);
      std::cout << "kept" << std::endl;
    } else if (verb == "check") {
      const char* bytes = static_cast<const char*>(kept_->data());
      bool intact =
          std::all_of(bytes, bytes + kept_->size_bytes(), [](char byte) { return byte == 0x5a; });
      std::cout << (intact ? "intact" : "spoilt") << std::endl;
    }
  }

 private:
  std::map<int, nc::Tensor> photos_;
  std::deque<std::pair<int, std::vector<nc::Tensor>>> results_;
  std::optional<nc::Buffer> kept_;
};

}  // namespace

int main() try {
  Worker worker;
  for (std::string line; std::getline(std::cin, line);) worker.Obey(line);
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return 1;
}
