#include "server/log/logfmt.h"

#include <algorithm>

#include "absl/strings/escaping.h"

namespace nvcv_cached::server {
namespace {

bool IsPlain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

std::string Unquote(std::string_view quoted) {
  std::string text;
  if (!absl::CUnescape(absl::string_view(quoted.data(), quoted.size()), &text)) text = quoted;
  return text;
}

// The end of the value that starts at `at`: a closing quote's successor, or the next blank.
size_t EndOfValue(std::string_view text, size_t at) {
  if (at >= text.size() || text[at] != '"') return std::min(text.find(' ', at), text.size());
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

}  // namespace

Event& Event::With(std::string_view key, std::string_view value) {
  const bool cut = value.size() > kMaxValueBytes;
  if (cut) value = value.substr(0, kMaxValueBytes);
  absl::StrAppend(&text_, " ", absl::string_view(key.data(), key.size()), "=");
  const absl::string_view shown(value.data(), value.size());
  if (!cut && IsPlain(value)) {
    absl::StrAppend(&text_, shown);
  } else {
    absl::StrAppend(&text_, "\"", absl::CHexEscape(shown), cut ? ".." : "", "\"");
  }
  return *this;
}

ParsedEvent ParseEvent(std::string_view text) {
  ParsedEvent event;
  size_t at = std::min(text.find(' '), text.size());
  event.name = text.substr(0, at);
  std::string loose;
  while (at < text.size()) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const size_t equals = text.find_first_of(" =", at);
    if (equals == std::string_view::npos || text[equals] == ' ') {
      const size_t end = std::min(equals, text.size());
      absl::StrAppend(&loose, loose.empty() ? "" : " ",
                      absl::string_view(text.data() + at, end - at));
      at = end;
      continue;
    }
    const size_t end = EndOfValue(text, equals + 1);
    std::string_view value = text.substr(equals + 1, end - equals - 1);
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    event.fields.emplace_back(
        text.substr(at, equals - at),
        quoted ? Unquote(value.substr(1, value.size() - 2)) : std::string(value));
    at = end;
  }
  if (!loose.empty()) event.fields.emplace_back("text", loose);
  return event;
}

}  // namespace nvcv_cached::server
