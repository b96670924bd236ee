// What every command of nvcv-cachectl knows: the global flags as given. Plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace nvcv_cached::cli {

enum class Output { kTable, kWide, kJson };
enum class Color { kAuto, kAlways, kNever };

struct GlobalOptions {
  std::string
      device;  // of the daemon to talk to; empty: all for reading, the only one for changing
  std::string address;  // a socket's path; wins over device
  std::chrono::milliseconds timeout{5000};
  Output output = Output::kTable;
  bool headers = true;
  std::string sort;            // a column's name, "-" in front for ascending
  std::optional<size_t> rows;  // the first N only
  Color color = Color::kAuto;
  bool all = false;                     // changes on every daemon
  std::optional<double> watch_seconds;  // repeat
};

}  // namespace nvcv_cached::cli
