// A configuration file as it was read: what it says, where, and what is wrong with it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/config_check.h"

namespace retrap {

/// Counted from 1.
struct FilePlace {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  friend auto operator<=>(const FilePlace&, const FilePlace&) = default;
};

/// Collects the problems of one file, whoever finds them, and gives each its place.
class ConfigFile {
 public:
  /// `path` is for messages.
  explicit ConfigFile(std::string path) : path_(std::move(path)) {}

  /// What could be read; the rest has its default.
  VmConfig config;

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Where `key` ("kernel.memory_regions[1]", or a section) stands.
  void set_place(std::string key, FilePlace place) { places_[std::move(key)] = place; }
  /// `key` could not be read as it stands at `place`.
  void cannot_read(std::string key, FilePlace place, std::string text);
  /// What is wrong with the values. Not added where it is about what could not be read: that has a
  /// default by now, and complaints about it would mislead.
  void add(const std::vector<ConfigProblem>& problems);

  /// Whether `key` ("base.arch"), where it is there, could be read.
  [[nodiscard]] bool is_read(std::string_view key) const;

  /// "PATH:LINE:COLUMN: text", with the place of the key or of the nearest thing around it; only
  /// "PATH: text" where there is no key.
  [[nodiscard]] std::string line_of(const ConfigProblem& problem) const;

  /// An Error with a line for each problem, in the order of the file and none twice.
  [[nodiscard]] Result<> verdict() const;

 private:
  struct Located {
    FilePlace place;
    std::string text;
    friend auto operator<=>(const Located&, const Located&) = default;
  };
  [[nodiscard]] bool is_worth_saying(std::string_view key) const;
  [[nodiscard]] FilePlace place_of(std::string key) const;
  [[nodiscard]] std::string line_of(FilePlace place, std::string_view text) const;

  std::string path_;
  std::map<std::string, FilePlace, std::less<>> places_;
  std::set<std::string, std::less<>> unread_;  ///< keys and sections
  std::vector<Located> problems_;
  std::vector<std::string> others_;  ///< without a place
};

}  // namespace retrap
