// A log line's text: the event's name, then key=value fields (logfmt).
//
//   Event("start").With("pid", 4211).With("name", "NVIDIA H200").text()
//   start pid=4211 name="NVIDIA H200"
//
// Values are quoted when they must be, escaped to printable ASCII and cut at kMaxValueBytes, so
// that text of clients may go in as it is. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::server {

inline constexpr size_t kMaxValueBytes = 1024;

class Event {
 public:
  explicit Event(std::string_view name) : text_(name) {}

  Event& With(std::string_view key, std::string_view value);
  Event& With(std::string_view key, const std::string& value) {
    return With(key, std::string_view(value));
  }
  Event& With(std::string_view key, const char* value) {
    return With(key, std::string_view(value));
  }
  template <class Number>
  Event& With(std::string_view key, Number value) {
    return With(key, std::string_view(absl::StrCat(value)));
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct ParsedEvent {
  std::string name;
  std::vector<std::pair<std::string, std::string>> fields;  // values without quotes and escapes
};

// Takes any text: what is no field becomes the field "text".
ParsedEvent ParseEvent(std::string_view text);

}  // namespace nvcv_cached::server
