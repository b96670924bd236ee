// The model checker of the lease table. See README.md.
//
//   model_checker                  every configuration of the short run
//   model_checker --long           and those of the long one (also with NVCV_CACHED_LONG=1)
//   model_checker --config=NAME    only that one
//   model_checker --list           names them
//   model_checker --max-states=N   give up (exit 2) beyond N states in one configuration
//
// Exit code: 0 the protocol holds, 1 a rule is broken (the shortest trace is printed), 2 usage or
// limit.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/model/configs.h"
#include "tests/model/explore.h"

using namespace nvcv_cached::model;

namespace {

int Check(const Config& config, uint64_t max_states) {
  const auto start = std::chrono::steady_clock::now();
  Explorer explorer(config, max_states);
  const Result result = explorer.Explore();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  printf("%-12s %10llu states, %11llu moves, depth %3d, %6.1f s: %s\n", config.name,
         static_cast<unsigned long long>(result.states),
         static_cast<unsigned long long>(result.moves), result.depth, seconds,
         result.broken != nullptr ? result.broken
         : result.cut             ? "cut off"
                                  : "holds");
  if (result.broken != nullptr) {
    printf("shortest trace, %zu steps:\n", result.trace.size());
    explorer.Narrate(result, stdout);
    return 1;
  }
  fflush(stdout);
  return result.cut ? 2 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const asked_long = getenv("NVCV_CACHED_LONG");
  bool with_long = asked_long != nullptr && strcmp(asked_long, "1") == 0;
  uint64_t max_states = UINT64_MAX;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--long") {
      with_long = true;
    } else if (arg == "--list") {
      for (const Config& c : kShort) printf("%-12s %s\n", c.name, c.about);
      for (const Config& c : kLong) printf("%-12s %s (long)\n", c.name, c.about);
      return 0;
    } else if (arg.rfind("--config=", 0) == 0) {
      only = arg.substr(strlen("--config="));
    } else if (arg.rfind("--max-states=", 0) == 0) {
      max_states = std::stoull(arg.substr(strlen("--max-states=")));
    } else {
      fprintf(stderr, "asked: %s; known: --long --list --config=NAME --max-states=N\n", argv[i]);
      return 2;
    }
  }
  int worst = 0, checked = 0;
  const auto check = [&](const Config& config, bool chosen) {
    if (only.empty() ? !chosen : only != config.name) return true;
    ++checked;
    const int code = Check(config, max_states);
    if (code > worst) worst = code;
    return code != 1;
  };
  for (const Config& config : kShort) {
    if (!check(config, true)) return 1;
  }
  for (const Config& config : kLong) {
    if (!check(config, with_long)) return 1;
  }
  if (checked == 0) {
    fprintf(stderr, "asked: the configuration %s; found: none of that name; do: --list\n",
            only.c_str());
    return 2;
  }
  return worst;
}
