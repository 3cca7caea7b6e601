// Parts in their order, and what changed among them.
#include "traces/digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "traces/text.h"
#include "vmm/base/digest.h"

namespace retrap::traces {
namespace {

/// Where a kind of part stands: what has a name of its own comes before what is the rest.
unsigned rank(Part part) {
  constexpr std::array<std::uint8_t, kParts> kRanks = {0, 1, 2, 3, 4, 5, 10, 11, 6, 7, 8, 9};
  return kRanks[static_cast<std::size_t>(part)];
}

auto key(const PartDigest& part) {
  return std::tuple(part.vm, rank(part.part), part.vcpu, part.base, part.size,
                    std::string_view(part.name));
}

bool is_same_node(const PartDigest& a, const PartDigest& b) {
  return a.vm == b.vm && a.part == b.part;
}

}  // namespace

std::optional<std::uint64_t> digest_of(const PartDigest& part) {
  return part.gone ? std::nullopt : std::optional(part.digest);
}

bool PartOrder::operator()(const PartDigest& a, const PartDigest& b) const {
  return key(a) < key(b);
}

std::uint64_t root_of(std::span<const PartDigest> parts) {
  Digest root;
  for (auto part = parts.begin(); part != parts.end();) {
    const PartDigest& first = *part;
    Digest node;
    for (; part != parts.end() && is_same_node(first, *part); ++part) {
      node.add(index(part->vcpu));
      node.add(part->base);
      node.add(part->size);
      node.add(part->digest);
    }
    root.add(index(first.vm));
    root.add(static_cast<std::uint64_t>(first.part));
    root.add(node.value());
  }
  return root.value();
}

std::vector<PartDifference> differences(std::span<const PartDigest> left,
                                        std::span<const PartDigest> right, std::size_t most) {
  const PartOrder comes_before;
  std::vector<PartDifference> found;
  auto a = left.begin();
  auto b = right.begin();
  while (found.size() < most && (a != left.end() || b != right.end())) {
    if (b == right.end() || (a != left.end() && comes_before(*a, *b))) {
      found.push_back({*a, digest_of(*a), std::nullopt});
      ++a;
    } else if (a == left.end() || comes_before(*b, *a)) {
      found.push_back({*b, std::nullopt, digest_of(*b)});
      ++b;
    } else {
      if (digest_of(*a) != digest_of(*b)) found.push_back({*a, digest_of(*a), digest_of(*b)});
      ++a;
      ++b;
    }
  }
  return found;
}

std::vector<std::string> names_of(std::span<const PartDifference> found) {
  std::vector<std::string> names;
  for (std::size_t i = 1; i < found.size(); ++i) names.push_back(name_of(found[i].part));
  return names;
}

std::string digest_text(std::optional<std::uint64_t> digest, std::string_view none) {
  return digest ? fmt::format("{:016x}", *digest) : std::string(none);
}

DigestRecord DigestState::change_to(std::uint64_t retired, std::vector<PartDigest> parts) {
  std::set<PartDigest, PartOrder> now;
  for (PartDigest& part : parts) now.insert(std::move(part));
  DigestRecord record{.retired = retired, .root = 0, .parts = {}};
  for (const PartDigest& part : now) {
    const auto before = parts_.find(part);
    if (before == parts_.end() || before->digest != part.digest) record.parts.push_back(part);
  }
  for (const PartDigest& part : parts_) {
    if (now.contains(part)) continue;
    record.parts.push_back(part);
    record.parts.back().digest = 0;
    record.parts.back().gone = true;
  }
  std::sort(record.parts.begin(), record.parts.end(), PartOrder{});
  parts_ = std::move(now);
  record.root = root_of(this->parts());
  return record;
}

const PartDigest* DigestState::find(const PartDigest& part) const {
  const auto found = parts_.find(part);
  return found == parts_.end() ? nullptr : &*found;
}

DigestState::Parts::const_iterator DigestState::first_ram(VmId vm) const {
  const PartDigest least{.vm = vm, .part = Part::Ram};
  const auto first = parts_.lower_bound(least);
  return first != parts_.end() && is_same_node(*first, least) ? first : parts_.end();
}

std::vector<const PartDigest*> DigestState::ram_of(VmId vm) const {
  std::vector<const PartDigest*> pieces;
  for (auto piece = first_ram(vm); piece != parts_.end(); ++piece) {
    if (piece->vm != vm || piece->part != Part::Ram) break;
    pieces.push_back(&*piece);
  }
  return pieces;
}

void DigestState::apply(const DigestRecord& record) {
  for (const PartDigest& part : record.parts) {
    parts_.erase(part);
    if (!part.gone) parts_.insert(part);
  }
}

}  // namespace retrap::traces
