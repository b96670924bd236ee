#include "nvcv_cached/data_type.h"

#include <charconv>

namespace nvcv_cached {
namespace {

constexpr char kLetters[] = {'?', 'U', 'S', 'F', 'C'};  // by DataKind

bool IsSupportedKind(DataKind kind, int bits) {
  switch (kind) {
    case DataKind::kUnsigned:
    case DataKind::kSigned:
      return bits == 8 || bits == 16 || bits == 32 || bits == 64;
    case DataKind::kFloat:
      return bits == 16 || bits == 32 || bits == 64;
    case DataKind::kComplex:
      return bits == 64 || bits == 128;
    case DataKind::kNone:
      break;
  }
  return false;
}

}  // namespace

bool DataType::is_supported() const {
  const int most = kind_ == DataKind::kComplex && bits_ == 128 ? 2 : 4;
  return IsSupportedKind(kind_, bits_) && components_ >= 1 && components_ <= most;
}

std::string DataType::name() const {
  if (kind_ == DataKind::kNone || components_ == 0) return "NONE";
  std::string name;
  if (components_ > 1) name = std::to_string(components_);
  const auto kind = static_cast<std::size_t>(kind_);
  name += kind < sizeof(kLetters) ? kLetters[kind] : '?';
  return name + std::to_string(bits_);
}

std::optional<DataType> DataType::FromName(std::string_view name) {
  if (!name.empty() && name.front() == '_') name.remove_prefix(1);
  int components = 1;
  if (!name.empty() && name.front() >= '2' && name.front() <= '4') {
    components = name.front() - '0';
    name.remove_prefix(1);
  }
  if (name.size() < 2) return std::nullopt;
  DataKind kind = DataKind::kNone;
  for (std::size_t i = 1; i < sizeof(kLetters); ++i) {
    if (name.front() == kLetters[i]) kind = static_cast<DataKind>(i);
  }
  int bits = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + 1, end, bits);
  if (parsed.ec != std::errc() || parsed.ptr != end || bits < 8 || bits > 128) return std::nullopt;
  const DataType type(kind, bits, components);
  if (!type.is_supported() || name[1] == '0') return std::nullopt;
  return type;
}

}  // namespace nvcv_cached
