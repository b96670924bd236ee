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

#include <cstdint>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pipeline.h"

namespace nc = nvcv_cached;

namespace {

constexpr std::size_t kKept = 8;
constexpr std::uint8_t kPattern = 0x5a;

class Worker {
 public:
  void Obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb, path;
    int job = 0, photo = 0;
    words >> verb;
    if (verb == "photo") {
      words >> photo >> path;
      photos_.insert_or_assign(photo, pipeline_->Upload(demo::Decode(path.c_str())));
    } else if (verb == "frame") {
      demo::Box box;
      words >> job >> photo >> box.y >> box.x >> box.height >> box.width;
      results_.emplace_back(job, pipeline_->Process(photos_.at(photo), box));
      if (results_.size() > kKept) results_.pop_front();
      std::cout << "frame " << job << ' ' << pipeline_->Checksum(results_.back().second)
                << std::endl;
    } else if (verb == "save") {
      words >> job >> path;
      const demo::Pixels image = pipeline_->Download(results_.back().second.front());
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(image.bytes.data()),
                 static_cast<std::streamsize>(image.bytes.size()));
    } else if (verb == "end") {
      photos_.clear();
      results_.clear();
      nc::Stats stats = nc::stats();
      std::cout << "end " << stats.hits << ' ' << stats.misses << std::endl;
    } else if (verb == "keep") {
      std::size_t size = 0;
      words >> size;
      kept_.emplace(size);
      pipeline_->Fill(*kept_, kPattern);
      std::cout << "kept" << std::endl;
    } else if (verb == "check") {
      std::cout << (pipeline_->IsFilledWith(*kept_, kPattern) ? "intact" : "spoilt") << std::endl;
    }
  }

 private:
  std::unique_ptr<demo::Pipeline> pipeline_ =
      nc::device().is_host() ? demo::OnHost() : demo::OnGpu();
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
