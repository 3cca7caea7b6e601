// From the words of a command line to options: values converted, everything wrong said at once.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "sim/cli/options.h"
#include "sim/cli/values.h"
#include "vmm/config_check.h"

namespace retrap::cli {

/// As it was written; nothing where it was not.
using Text = std::optional<std::string>;

/// What was written for a run; converted by our own code, so that every complaint reads alike.
struct Written {
  Text config, arch, kernel, initrd, append, memory, vcpus, seed, max_instructions, json, slice,
      populate, output, record, digest_every, console;
  bool with_images = false;
  bool stat = false;
};

/// The same for the commands that read traces.
struct WrittenLook {
  Text trace, other, until, then, kernel, initrd, seed, max_instructions, slice, ignore, output,
      format, from, to, top, elf, unplug;
  std::vector<std::string> filter;  ///< all of them must be met
  bool json = false;
  bool up_to_damage = false;
  bool exits_only = false;
  bool guest_only = false;
};

/// Converts the options that were given, collecting what is wrong with them.
class Converter {
 public:
  template <class T, class Parse>
  void convert(const Text& text, std::string_view option, T& into, Parse&& parse) {
    if (!text) return;
    const auto value = parse(*text);
    if (value) {
      into = static_cast<T>(*value);
    } else {
      say(option, *text, value.error().message);
    }
  }

  void file(const Text& text, std::string_view option, Text& into) {
    if (text && text->empty()) {
      say(option, "''", "is no file; name one");
    } else {
      into = text;
    }
  }

  void say(std::string_view option, std::string_view value, std::string_view problem) {
    problems_ += fmt::format("{}{} {}: {}", problems_.empty() ? "" : "\n", option, printable(value),
                             problem);
  }

  void say(std::string_view option, std::string_view problem) {
    problems_ += fmt::format("{}{} {}", problems_.empty() ? "" : "\n", option, problem);
  }

  [[nodiscard]] const std::string& problems() const { return problems_; }

 private:
  std::string problems_;
};

inline constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

/// For Converter::convert(): a number from `least` to `most`.
inline auto number(std::uint64_t least, std::uint64_t most) {
  return [=](std::string_view text) { return parse_number(text, least, most); };
}

/// Complains, and is the command for a command line that nobody can follow.
[[nodiscard]] Command wrong(const std::string& problems);

[[nodiscard]] Command converted_run(const Written& written, bool needs_output);
[[nodiscard]] Command converted_replay(const WrittenLook& written);
[[nodiscard]] Command converted_diff(const WrittenLook& written);
/// `command` for messages.
[[nodiscard]] Command converted_look(const WrittenLook& written, LookOptions::What what,
                                     std::string_view command);

}  // namespace retrap::cli
