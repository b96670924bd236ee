#include "server/config/settings_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nvcv_cached::server {

SettingsReader::SettingsReader(CommandLine command_line, char** variables, std::string activated)
    : command_line_(std::move(command_line)),
      environment_(ReadEnvironment(variables)),
      scope_(ScopeOf(command_line_.system)),
      activated_(std::move(activated)) {}

Sourced SettingsReader::ConfigPath() const {
  const Source merged = Merge({&environment_.keys, &command_line_.flags});
  if (auto found = merged.find("config"); found != merged.end()) return found->second;
  return {.text = DefaultConfigPath(scope_), .origin = Origin::kDefault, .where = ""};
}

absl::StatusOr<ConfigFile> SettingsReader::File() const {
  const Sourced path = ConfigPath();
  if (path.text.empty()) return ConfigFile();
  absl::StatusOr<ConfigFile> file = ReadConfigFile(path.text);
  if (file.ok() || absl::IsInvalidArgument(file.status())) return file;
  // A file that nobody named need not be there, nor be in a home directory that is ours (su).
  const bool may_miss = path.origin == Origin::kDefault &&
                        (absl::IsNotFound(file.status()) || scope_ == Scope::kUser);
  if (may_miss) return ConfigFile();
  return absl::InvalidArgumentError(
      absl::StrCat(path.where, path.where.empty() ? "" : ": ", file.status().message()));
}

absl::StatusOr<std::string> SettingsReader::Device() const {
  absl::StatusOr<ConfigFile> file = File();
  if (!file.ok()) return file.status();
  return ChooseDevice(Merge({&file->top, &environment_.keys, &command_line_.flags}));
}

absl::StatusOr<DaemonSettings> SettingsReader::Read(const DeviceInfo& device) const {
  absl::StatusOr<ConfigFile> file = File();
  if (!file.ok()) return file.status();
  // What is wrong with another device's section is wrong with the file.
  for (const auto& [id, source] : file->devices) {
    if (id == device.id) continue;  // below
    const Source merged = Merge({&file->top, &environment_.keys, &command_line_.flags, &source});
    const absl::Status other = ParseSettings(merged, device, scope_).status();
    if (!other.ok()) return other;
  }
  const Source none;
  const auto section = file->devices.find(device.id);
  const Source* of_device = section == file->devices.end() ? &none : &section->second;
  Source merged = Merge({&file->top, of_device, &environment_.keys, &command_line_.flags});
  if (!activated_.empty()) {
    const Sourced ours{.text = activated_, .origin = Origin::kEnvironment, .where = "LISTEN_FDS"};
    const Sourced& socket = merged.try_emplace("socket", ours).first->second;
    if (socket.text != activated_) {
      return absl::InvalidArgumentError(absl::StrCat(
          socket.where, ": \"", socket.text, "\", but the service manager listens at \"",
          activated_, "\" (LISTEN_FDS); do: name one of the two"));
    }
  }
  absl::StatusOr<DaemonSettings> settings = ParseSettings(merged, device, scope_);
  if (!settings.ok()) return settings;
  const Sourced path = ConfigPath();
  settings->texts.push_back({.key = "config",
                             .value = path.text,
                             .shown = path.text,
                             .origin = path.origin,
                             .where = path.where});
  return settings;
}

std::string Describe(const DaemonSettings& settings,
                     const std::vector<std::string>& unknown_variables) {
  std::string text;
  for (const SettingText& setting : settings.texts) {
    absl::StrAppendFormat(&text, "%-14s %-24s %-8s %s\n", setting.key, setting.shown,
                          OriginName(setting.origin), setting.where);
  }
  for (const std::string& warning : settings.warnings) {
    absl::StrAppend(&text, "warning: ", warning, "\n");
  }
  for (const std::string& variable : unknown_variables) {
    absl::StrAppend(&text, "warning: ", variable, " is no setting's name\n");
  }
  return text;
}

}  // namespace nvcv_cached::server
