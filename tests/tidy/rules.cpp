// Banned constructs, the shape of files, and leftovers.
#include "tests/tidy/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace retrap::tidy {
namespace {

struct Ban {
  std::string_view text;
  std::string_view instead;
};

/// In every layer of the product.
constexpr std::array<Ban, 8> kBanned = {{
    {"<regex>", "write the few lines of parsing"},
    {"<random>", "use vmm/base/prng.h"},
    {"std::random_device", "seeds come from the command line"},
    {"std::shared_ptr", "one owner"},
    {"<iostream>", "use fmt"},
    {"std::rand", "use vmm/base/prng.h"},
    {"dynamic_cast", "ask the type through a virtual function or a variant"},
    {"goto ", "write a function"},
}};

/// Below sim/cli: the same seed gives the same bytes.
constexpr std::array<Ban, 12> kHostDependent = {{
    {"_clock::", "time comes from the virtual clock"},
    {"<chrono>", "time comes from the virtual clock"},
    {"<ctime>", "time comes from the virtual clock"},
    {"gettimeofday(", "time comes from the virtual clock"},
    {"clock_gettime", "time comes from the virtual clock"},
    {"getenv", "settings come from the configuration"},
    {"std::thread", "vCPUs are scheduled, not threaded"},
    {"<thread>", "vCPUs are scheduled, not threaded"},
    {"unordered_", "its order is not ours; use a sorted container"},
    {"std::hash", "it differs between libraries; use Digest"},
    {"uintptr_t", "host addresses differ from run to run"},
    {"setlocale", "text does not depend on the host"},
}};

/// Where the rule has its one exception.
bool is_exempt(const SourceFile& file, std::string_view text) {
  if (file.path.starts_with("sim/unicorn/host_clock.")) return text == "gettimeofday(";
  return false;
}

bool starts_with_any(std::string_view path, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return path.starts_with(prefix); });
}

template <std::size_t Count>
void find_all(const SourceFile& file, const std::array<Ban, Count>& bans, Offences& offences) {
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string_view code = code_of(file.lines[i]);
    for (const Ban& ban : bans) {
      if (code.find(ban.text) == std::string_view::npos || is_exempt(file, ban.text)) continue;
      offences.push_back(fmt::format("{}: {}: {}", file.where(i), ban.text, ban.instead));
    }
  }
}

/// Columns, not bytes: a UTF-8 continuation byte takes no room.
std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::ranges::count_if(
      line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// At most 100 columns; 120 in a table that is fenced against the formatter.
void check_columns(const SourceFile& file, Offences& offences) {
  constexpr std::size_t kMaxColumns = 100;
  constexpr std::size_t kMaxTableColumns = 120;
  bool is_fenced = false;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    if (line.ends_with("// clang-format off")) is_fenced = true;
    if (line.ends_with("// clang-format on")) is_fenced = false;
    const std::size_t most = is_fenced ? kMaxTableColumns : kMaxColumns;
    if (columns(line) <= most) continue;
    offences.push_back(fmt::format("{}: more than {} columns (and maybe more such lines below)",
                                   file.where(i), most));
    return;
  }
}

bool is_purpose(std::string_view line) {
  return line.starts_with("// ") && line.size() > 12;
}

/// Written in two halves, so that this file does not offend.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kReminders = {
    {{"TO", "DO"}, {"FIX", "ME"}, {"XX", "X"}, {"HA", "CK"}}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kMachine = {
    {{"/wo", "rk/"},
     {"/tm", "p/"},
     {"/ho", "me/"},
     {"/ro", "ot/"},
     {"debian", ".org"},
     {"pypi", ".org"},
     {"crates", ".io"}}};

bool is_word_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/// Whether `word` stands alone in `line`, and is not part of another word or number.
bool has_word(std::string_view line, std::string_view word) {
  for (std::size_t at = line.find(word); at != std::string_view::npos;
       at = line.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word_character(line[at - 1]);
    const std::size_t end = at + word.size();
    if (begins && (end == line.size() || !is_word_character(line[end]))) return true;
  }
  return false;
}

}  // namespace

Offences banned_offences(const SourceFile& file) {
  Offences offences;
  if (!file.is_cpp() || !starts_with_any(file.path, {"vmm/", "arch/", "traces/", "sim/"})) {
    return offences;
  }
  find_all(file, kBanned, offences);
  if (!file.path.starts_with("sim/cli/")) find_all(file, kHostDependent, offences);
  if (file.is_header()) {
    constexpr std::array<Ban, 1> kInHeaders = {{{"using namespace", "spell the names"}}};
    find_all(file, kInHeaders, offences);
  }
  return offences;
}

Offences shape_offences(const SourceFile& file) {
  Offences offences;
  if (!file.is_cpp()) return offences;
  if (file.lines.empty()) return {fmt::format("{}: empty", file.path)};
  if (!is_purpose(file.lines.front())) {
    offences.push_back(
        fmt::format("{}: the first line must say what the file is for: // ...", file.path));
  }
  constexpr std::size_t kMaxLines = 500;
  const bool is_table = file.lines.front().find("table") != std::string::npos;
  if (file.lines.size() > kMaxLines && !is_table) {
    offences.push_back(fmt::format("{}: {} lines, at most {}: one idea a file", file.path,
                                   file.lines.size(), kMaxLines));
  }
  check_columns(file, offences);
  if (file.is_header() && std::ranges::find(file.lines, "#pragma once") == file.lines.end()) {
    offences.push_back(fmt::format("{}: no #pragma once", file.path));
  }
  return offences;
}

Offences leftover_offences(const SourceFile& file) {
  Offences offences;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    for (const auto& [left, right] : kReminders) {
      if (has_word(line, fmt::format("{}{}", left, right))) {
        offences.push_back(
            fmt::format("{}: {}{}: do it, or open an issue", file.where(i), left, right));
      }
    }
    for (const auto& [left, right] : kMachine) {
      if (line.find(fmt::format("{}{}", left, right)) != std::string::npos) {
        offences.push_back(fmt::format("{}: {}{}: belongs to one machine or one archive",
                                       file.where(i), left, right));
      }
    }
  }
  return offences;
}

}  // namespace retrap::tidy
