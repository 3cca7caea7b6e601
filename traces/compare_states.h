// What two traces say outside the layer Exits, side by side: inputs, digests, ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "traces/compare.h"

namespace retrap::traces {

[[nodiscard]] inline bool is_ignored(const Ignored& ignored, std::string_view name) {
  return std::find(ignored.begin(), ignored.end(), name) != ignored.end();
}

/// A trace that was cut off says nothing of what is behind this instruction count. Nothing for a
/// trace that has its end.
[[nodiscard]] Result<std::optional<std::uint64_t>> cut_off_after(const Reader& reader);

/// The two traces, and how far each goes.
struct Sides {
  const Reader& left;
  const Reader& right;
  std::optional<std::uint64_t> left_cut{};
  std::optional<std::uint64_t> right_cut{};
};

/// A difference, and the number of the block that holds it on either side (how many blocks there
/// are, where that side has nothing there).
struct StateDifference {
  Divergence divergence;
  std::size_t left_block = 0;
  std::size_t right_block = 0;
};

/// The first input that differs; counts the equal ones before it.
[[nodiscard]] std::optional<StateDifference> compare_inputs(Comparison& result, const Sides& sides,
                                                            const Ignored& ignored);

/// The first digest that differs. Only states at the same instruction count are compared, and only
/// the parts that both traces have; what is left out becomes a note.
[[nodiscard]] std::optional<StateDifference> compare_digests(Comparison& result, const Sides& sides,
                                                             const Ignored& ignored);

/// How the runs ended, where both traces say so; who does not becomes a note.
[[nodiscard]] std::optional<StateDifference> compare_ends(Comparison& result, const Sides& sides,
                                                          const Ignored& ignored);

/// Puts in which exit was the last one before the block of the difference, and what came before.
[[nodiscard]] Result<Divergence> with_events_before(const Reader& left, StateDifference difference);

}  // namespace retrap::traces
