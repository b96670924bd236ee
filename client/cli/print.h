// How commands print: one answer for one daemon, a list for several. Not thread-safe.
#pragma once

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/failure.h"

namespace nvcv_cached::cli {

inline void Print(const std::string& text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw Failure::Lost(errno);
}

// JSON of several daemons is an array, that of one is itself.
inline void Print(std::vector<nlohmann::ordered_json> answers) {
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  const nlohmann::ordered_json json =
      answers.size() == 1 ? answers[0] : nlohmann::ordered_json(std::move(answers));
  Print(json.dump(1, ' ', false, replace) + "\n");
}

}  // namespace nvcv_cached::cli
