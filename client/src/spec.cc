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
  std::string text;
  switch (spec.kind) {
    case Kind::kImage:
      text = "Image ";
      Append(text, spec.extents[0]);
      text += 'x';
      Append(text, spec.extents[1]);
      return text + ' ' + spec.format().name();
    case Kind::kImageBatch:
      text = "ImageBatch ";
      Append(text, spec.extents[0]);
      return text;
    case Kind::kTensorBatch:
      text = "TensorBatch ";
      Append(text, spec.extents[0]);
      return text;
    case Kind::kBuffer:
      text = "Buffer ";
      Append(text, static_cast<uint64_t>(spec.extents[0]));  // as it was asked for
      return text;
    case Kind::kTensor:
      break;
  }
  text = "Tensor ";
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
