// "Did you mean": the known word next to a misspelt one.
#pragma once

#include <span>
#include <string_view>

namespace retrap {

/// The word of `known` with the fewest edits from `word`, or empty where none is near (at most a
/// third of its letters changed, and two at the least).
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> known);

}  // namespace retrap
