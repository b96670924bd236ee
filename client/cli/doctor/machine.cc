#include "client/cli/doctor/machine.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace nvcv_cached::cli {

bool Machine::Has(const std::string& path) const {
  return ::access((root_ + path).c_str(), F_OK) == 0;
}

bool Machine::MayReadAndWrite(const std::string& path) const {
  return ::access((root_ + path).c_str(), R_OK | W_OK) == 0;
}

std::string Machine::Read(const std::string& path) const {
  const std::ifstream file(root_ + path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Machine::Names(const std::string& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root_ + folder, error)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace nvcv_cached::cli
