#include "client/src/spec.h"

#include <charconv>

namespace nvcv_cached::client {
namespace {

template <class Number>
void Append(std::string& text, Number number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  text.append(digits, end);
}

}  // namespace

std::string SpecText(const Spec& spec) {
  if (spec.kind == Kind::kBuffer) {
    std::string text("Buffer ");
    Append(text, static_cast<uint64_t>(spec.extents[0]));  // as it was asked for
    return text;
  }
  std::string text("Tensor ");
  for (int i = 0; i < spec.rank; ++i) {
    if (i > 0) text += 'x';
    Append(text, spec.extents[i]);
  }
  text += ' ';
  for (char c : spec.data_type().name()) {
    text += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return text;
}

}  // namespace nvcv_cached::client
