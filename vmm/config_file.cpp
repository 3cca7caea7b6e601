// Problems of a configuration file, sorted by place.
#include "vmm/config_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace retrap {

void ConfigFile::cannot_read(std::string key, FilePlace place, std::string text) {
  unread_.insert(std::move(key));
  problems_.push_back({.place = place, .text = std::move(text)});
}

void ConfigFile::add(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems) {
    if (problem.key.empty()) {
      others_.push_back(fmt::format("{}: {}", path_, problem.text));
    } else if (is_worth_saying(problem.key)) {
      problems_.push_back({.place = place_of(problem.key), .text = problem.text});
    }
  }
}

bool ConfigFile::is_read(std::string_view key) const {
  return !unread_.contains(key) && !unread_.contains(key.substr(0, key.find('.')));
}

bool ConfigFile::is_worth_saying(std::string_view key) const {
  const std::string_view own = key.substr(0, key.find('['));
  std::vector<std::string_view> depends = {own, "kernel.memory_regions"};
  if (key.starts_with("base.")) depends = {own, "base.cpu_num"};
  if (key.starts_with("devices.")) {
    depends = {"base.arch", "kernel.memory_regions", "devices.emu_devices",
               "devices.passthrough_devices", "devices.passthrough_addresses"};
  }
  return std::ranges::all_of(depends, [this](std::string_view name) { return is_read(name); });
}

FilePlace ConfigFile::place_of(std::string key) const {
  while (!key.empty()) {
    if (const auto found = places_.find(key); found != places_.end()) return found->second;
    const std::size_t cut = key.find_last_of(".[");
    key.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

std::string ConfigFile::line_of(FilePlace place, std::string_view text) const {
  return fmt::format("{}:{}:{}: {}", path_, place.line, place.column, text);
}

std::string ConfigFile::line_of(const ConfigProblem& problem) const {
  if (problem.key.empty()) return fmt::format("{}: {}", path_, problem.text);
  return line_of(place_of(problem.key), problem.text);
}

Result<> ConfigFile::verdict() const {
  if (problems_.empty() && others_.empty()) return {};
  std::vector<Located> sorted = problems_;
  std::ranges::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<std::string> lines;
  lines.reserve(sorted.size() + others_.size());
  for (const Located& problem : sorted) lines.push_back(line_of(problem.place, problem.text));
  lines.insert(lines.end(), others_.begin(), others_.end());
  return tl::unexpected(Error{ErrorCode::InvalidInput, fmt::format("{}", fmt::join(lines, "\n"))});
}

}  // namespace retrap
