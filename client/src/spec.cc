#include "client/src/spec.h"

#include <charconv>

namespace nvcv_cached::client {
namespace {

void Append(std::string& text, int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  text.append(digits, end);
}

}  // namespace

std::string SpecText(const Spec& spec) {
  std::string text(spec.kind == Kind::kBuffer ? "Buffer " : "Tensor ");
  for (int i = 0; i < spec.rank; ++i) {
    if (i > 0) text += 'x';
    Append(text, spec.extents[i]);
  }
  if (spec.kind == Kind::kBuffer) return text;
  text += ' ';
  for (char c : spec.data_type().name()) {
    text += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return text;
}

}  // namespace nvcv_cached::client
