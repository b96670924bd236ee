#include "server/foreign/process_stat.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace nvcv_cached::server {

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The program's name may hold anything, line feeds too, but the last ')' ends it; the state is
  // the first word after it, the start the 20th.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> words = absl::StrSplit(
      absl::string_view(text).substr(name_end + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  constexpr size_t kStart = 19;
  ProcessStat stat;
  if (words.size() <= kStart || !absl::SimpleAtoi(words[kStart], &stat.started)) {
    return std::nullopt;
  }
  stat.state = words[0].front();
  return stat;
}

}  // namespace nvcv_cached::server
