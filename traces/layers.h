// What a trace may hold: the layers, and how many of them a recording writes.
#pragma once

#include <cstdint>
#include <string_view>

namespace retrap::traces {

/// The type of a block. The numbers are part of the format: append, never renumber.
enum class Layer : std::uint8_t {
  Header = 0,   ///< the first block: what was run
  Image = 1,    ///< contents of image files, on request
  Inputs = 2,   ///< what came from outside
  Exits = 3,    ///< exits, answers and injections
  Digests = 4,  ///< the state at intervals
  End = 5,      ///< how the run ended
  Index = 6,    ///< where the blocks are
};
inline constexpr std::uint8_t kLayers = 7;

/// How much a recording holds. Each has what the one before it has.
enum class Detail : std::uint8_t {
  Inputs = 0,  ///< what replay needs, and no more
  Exits = 1,   ///< every exit, answer and injection
  Full = 2,    ///< and digests of all parts at intervals
};

[[nodiscard]] constexpr std::string_view to_string(Detail detail) {
  switch (detail) {
    case Detail::Inputs: return "inputs";
    case Detail::Exits:  return "exits";
    case Detail::Full:   return "full";
  }
  return "?";
}

}  // namespace retrap::traces
