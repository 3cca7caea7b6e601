// The state of a machine as a tree of digests: what differs, by its name.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "traces/events.h"

namespace retrap::traces {

/// The order of parts, by all but their digests: the clock, then of each VM registers, memory,
/// devices, the board, the console.
struct PartOrder {
  [[nodiscard]] bool operator()(const PartDigest& a, const PartDigest& b) const;
};

/// The root of the tree. Its leaves are the parts, in their order; those of one kind of a VM are
/// one node, and the nodes are the root's:
///
///   node = digest of: vcpu, base, size, digest of each leaf
///   root = digest of: vm, part, node for each node
[[nodiscard]] std::uint64_t root_of(std::span<const PartDigest> parts);

/// Nothing where the part is gone.
[[nodiscard]] std::optional<std::uint64_t> digest_of(const PartDigest& part);

/// A part that is not the same on both sides.
struct PartDifference {
  PartDigest part;                    ///< which one
  std::optional<std::uint64_t> left;  ///< nothing: it is not there, or did not change
  std::optional<std::uint64_t> right;
};
/// Of two lists in the order of parts, at most `most`.
[[nodiscard]] std::vector<PartDifference> differences(std::span<const PartDigest> left,
                                                      std::span<const PartDigest> right,
                                                      std::size_t most);

/// The names of all but the first.
[[nodiscard]] std::vector<std::string> names_of(std::span<const PartDifference> found);

/// "0123456789abcdef", or `none`.
[[nodiscard]] std::string digest_text(std::optional<std::uint64_t> digest, std::string_view none);

/// All parts at one moment.
class DigestState {
 public:
  /// What it takes to get from here to there; it is there then.
  [[nodiscard]] DigestRecord change_to(std::uint64_t retired, std::vector<PartDigest> parts);

  /// Goes on to where this was recorded.
  void apply(const DigestRecord& record);

  [[nodiscard]] std::size_t size() const { return parts_.size(); }
  /// In their order.
  [[nodiscard]] std::vector<PartDigest> parts() const { return {parts_.begin(), parts_.end()}; }
  /// The same part with its digest here, or null; good until the state changes.
  [[nodiscard]] const PartDigest* find(const PartDigest& part) const;
  /// The pieces of RAM of a VM, in their order; good until the state changes.
  [[nodiscard]] std::vector<const PartDigest*> ram_of(VmId vm) const;
  [[nodiscard]] bool has_ram(VmId vm) const { return first_ram(vm) != parts_.end(); }

 private:
  using Parts = std::set<PartDigest, PartOrder>;
  [[nodiscard]] Parts::const_iterator first_ram(VmId vm) const;

  Parts parts_;
};

}  // namespace retrap::traces
