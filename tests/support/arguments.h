// Arguments of the tools that run tests by the thousand.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace retrap::test {

/// The decimal number at `index` of a command line, or `otherwise` where none is there.
[[nodiscard]] inline std::uint64_t number_at(std::span<char* const> words, std::size_t index,
                                             std::uint64_t otherwise) {
  if (index >= words.size()) return otherwise;
  const std::string_view text(words[index]);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

}  // namespace retrap::test
