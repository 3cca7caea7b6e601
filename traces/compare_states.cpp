// Pairs the records of two traces.
#include "traces/compare_states.h"

#include <fmt/format.h>

#include <limits>
#include <set>

#include "traces/digests.h"
#include "traces/text.h"
#include "vmm/base/digest.h"

namespace retrap::traces {
namespace {

StateDifference differ(std::uint64_t retired, std::string field, std::string left,
                       std::string right) {
  return {.divergence = {.retired = retired,
                         .of_vm = false,
                         .what = {std::move(field), std::move(left), std::move(right)}}};
}

/// Whether a record at `retired` is missing only because its trace was cut off before it.
bool is_behind(const std::optional<std::uint64_t>& cut, std::uint64_t retired) {
  return cut && retired >= *cut;
}

bool are_equal(InputRecord left, InputRecord right, const Ignored& ignored) {
  if (is_ignored(ignored, "retired")) left.retired = right.retired = 0;
  return left == right;
}

std::string value_of(const InputRecord* input) {
  if (input == nullptr) return "none";
  const std::string text = to_text(*input);
  return text.substr(text.find_first_not_of(' '));
}

/// The digest of written bytes, for two inputs that look the same otherwise.
std::string bytes_of(const InputRecord& input) {
  const auto* const memory = std::get_if<MemoryInput>(&input.input);
  if (memory == nullptr) return "";
  Digest digest;
  digest.add(std::string_view(memory->bytes));
  return fmt::format(" with digest {:016x}", digest.value());
}

struct ByPart {
  bool operator()(const PartDigest* a, const PartDigest* b) const { return PartOrder{}(*a, *b); }
};
/// Never null; each outlives the next comparison.
using Touched = std::set<const PartDigest*, ByPart>;

/// One side's states, one after the other.
class States {
 public:
  explicit States(const Reader& reader) : reader_(reader) {}

  [[nodiscard]] bool at_end() const { return next_ == reader_.digests().size(); }
  /// Of the next state. Not at the end.
  [[nodiscard]] std::uint64_t retired() const { return reader_.digests()[next_].retired; }
  /// Goes on to the next state, which may be several records long, and adds what changes.
  void take(Touched& touched) {
    block_ = reader_.block_of_digest(next_);
    const std::uint64_t at = retired();
    for (; !at_end() && retired() == at; ++next_) {
      const DigestRecord& record = reader_.digests()[next_];
      state_.apply(record);
      root_ = record.root;
      for (const PartDigest& part : record.parts) touched.insert(&part);
    }
  }
  [[nodiscard]] const DigestState& state() const { return state_; }
  [[nodiscard]] std::uint64_t root() const { return root_; }
  [[nodiscard]] std::size_t block() const { return block_; }

 private:
  const Reader& reader_;
  std::size_t next_ = 0;
  DigestState state_;
  std::uint64_t root_ = 0;
  std::size_t block_ = 0;
};

/// Compares states at the same instruction count.
class StateComparison {
 public:
  /// The first part that differs, and what else does. `touched` has all parts that changed on
  /// either side since the call before, and is empty when they have been compared.
  std::optional<StateDifference> compare(std::uint64_t retired, const States& left,
                                         const States& right, Touched& touched) {
    ++compared_;
    if (left.root() != 0 && left.root() == right.root()) return std::nullopt;
    const auto found = differing(left.state(), right.state(), touched);
    touched.clear();
    if (found.empty()) return std::nullopt;
    const PartDifference& first = found[0];
    StateDifference difference =
        differ(retired, "digest of the " + name_of(first.part), digest_text(first.left, "zeroes"),
               digest_text(first.right, "zeroes"));
    difference.divergence.of_vm = first.part.part != Part::Clock;
    difference.divergence.vm = first.part.vm;
    difference.divergence.vcpu = first.part.vcpu;
    difference.divergence.also = names_of(found);
    difference.left_block = left.block();
    difference.right_block = right.block();
    return difference;
  }

  void note(Comparison& result) const {
    note("left", only_left_, result);
    note("right", only_right_, result);
  }
  [[nodiscard]] std::uint64_t compared() const { return compared_; }

 private:
  /// The first of the touched parts that differ.
  std::vector<PartDifference> differing(const DigestState& left, const DigestState& right,
                                        Touched& touched) {
    constexpr std::size_t kMost = 9;
    add_met_ram(left, right, touched);
    std::vector<PartDifference> found;
    for (const PartDigest* const part : touched) {
      const PartDigest* const a = left.find(*part);
      const PartDigest* const b = right.find(*part);
      if (a == b || (a != nullptr && b != nullptr && a->digest == b->digest)) continue;
      if ((a == nullptr || b == nullptr) && !is_zero(*part, a == nullptr ? left : right)) {
        (a != nullptr ? only_left_ : only_right_).insert(name_of(*part));
        if (part->part == Part::Ram) lone_ram_.insert(part->vm);
        continue;
      }
      const auto digest = [](const PartDigest* one) {
        return one == nullptr ? std::nullopt : digest_of(*one);
      };
      if (found.size() < kMost) found.push_back({*part, digest(a), digest(b)});
    }
    return found;
  }

  /// Whether a part that this state does not have is zero: a piece of RAM is, beside others.
  static bool is_zero(const PartDigest& part, const DigestState& state) {
    return part.part == Part::Ram && state.has_ram(part.vm);
  }

  /// Where only one side had RAM of a VM and now both have, all of it is compared. The other side's
  /// is all new then, and where that is less than this side's, the first that lacks ends it all:
  /// this happens no more often than parts are touched.
  void add_met_ram(const DigestState& left, const DigestState& right, Touched& touched) {
    std::set<VmId> met;
    for (const PartDigest* const part : touched) {
      if (part->part != Part::Ram || !lone_ram_.contains(part->vm)) continue;
      if (left.has_ram(part->vm) && right.has_ram(part->vm)) met.insert(part->vm);
    }
    for (const VmId vm : met) {
      lone_ram_.erase(vm);
      for (const PartDigest* const piece : left.ram_of(vm)) touched.insert(piece);
      for (const PartDigest* const piece : right.ram_of(vm)) touched.insert(piece);
    }
  }

  static void note(std::string_view side, const std::set<std::string>& names, Comparison& result) {
    if (names.empty()) return;
    constexpr std::size_t kShown = 5;
    std::string list;
    std::size_t shown = 0;
    for (const std::string& name : names) {
      if (shown++ == kShown) break;
      list += (list.empty() ? "" : ", ") + name;
    }
    if (names.size() > kShown) list += fmt::format(" and {} more", names.size() - kShown);
    result.notes.push_back(fmt::format("only {} has digests of: {}", side, list));
  }

  std::set<std::string> only_left_;
  std::set<std::string> only_right_;
  std::set<VmId> lone_ram_;  ///< VMs of which one side has RAM that the other has not
  std::uint64_t compared_ = 0;
};

/// Somebody stopped it: where, says nothing of the guest.
bool was_interrupted(const EndRecord& end) {
  constexpr std::uint8_t kInterrupted = 6;
  return end.reason == kInterrupted;
}

/// StopReason of sim/machine.h.
std::string end_reason(std::uint8_t reason) {
  constexpr std::array<std::string_view, 7> kReasons = {
      "powered off", "budget spent", "crashed", "deadlocked", "reset", "paused", "interrupted"};
  return reason < kReasons.size() ? std::string(kReasons[reason])
                                  : fmt::format("reason {}", reason);
}

}  // namespace

Result<std::optional<std::uint64_t>> cut_off_after(const Reader& reader) {
  if (reader.end())
    return was_interrupted(*reader.end()) ? std::optional(reader.end()->retired) : std::nullopt;
  std::uint64_t last = reader.blocks().empty() ? 0 : reader.blocks().back().frame.retired;
  if (!reader.inputs().empty()) last = std::max(last, reader.inputs().back().retired);
  if (!reader.digests().empty()) last = std::max(last, reader.digests().back().retired);
  EventCursor cursor(reader);
  cursor.seek(std::numeric_limits<std::uint64_t>::max());
  Event event;
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    if (!more) return last;
    if (const auto* exit = std::get_if<ExitRecord>(&event)) last = std::max(last, exit->retired);
  }
}

std::optional<StateDifference> compare_inputs(Comparison& result, const Sides& sides,
                                              const Ignored& ignored) {
  const auto& [left, right, left_cut, right_cut] = sides;
  if (is_ignored(ignored, "input")) return std::nullopt;
  const std::size_t most = std::max(left.inputs().size(), right.inputs().size());
  for (std::size_t i = 0; i < most; ++i) {
    const InputRecord* const a = i < left.inputs().size() ? &left.inputs()[i] : nullptr;
    const InputRecord* const b = i < right.inputs().size() ? &right.inputs()[i] : nullptr;
    if (a == nullptr && is_behind(left_cut, b->retired)) return std::nullopt;
    if (b == nullptr && is_behind(right_cut, a->retired)) return std::nullopt;
    if (a != nullptr && b != nullptr && are_equal(*a, *b, ignored)) {
      ++result.equal_inputs;
      continue;
    }
    std::string left_value = value_of(a);
    std::string right_value = value_of(b);
    if (left_value == right_value) {
      left_value += bytes_of(*a);
      right_value += bytes_of(*b);
    }
    const InputRecord& first = a == nullptr || (b != nullptr && b->retired < a->retired) ? *b : *a;
    StateDifference found = differ(first.retired, fmt::format("input {}", i), std::move(left_value),
                                   std::move(right_value));
    found.divergence.of_vm = true;
    found.divergence.vm = first.vm;
    found.left_block = a == nullptr ? left.blocks().size() : left.block_of_input(i);
    found.right_block = b == nullptr ? right.blocks().size() : right.block_of_input(i);
    return found;
  }
  return std::nullopt;
}

std::optional<StateDifference> compare_digests(Comparison& result, const Sides& sides,
                                               const Ignored& ignored) {
  if (is_ignored(ignored, "digest")) return std::nullopt;
  States left(sides.left);
  States right(sides.right);
  StateComparison states;
  Touched touched;
  std::optional<StateDifference> found;
  while (!left.at_end() && !right.at_end() && !found) {
    const std::uint64_t left_at = left.retired();
    const std::uint64_t right_at = right.retired();
    if (left_at <= right_at) left.take(touched);
    if (right_at <= left_at) right.take(touched);
    if (left_at != right_at) continue;
    found = states.compare(left_at, left, right, touched);
    if (!found) ++result.equal_digests;
  }
  states.note(result);
  if (!sides.left.digests().empty() && !sides.right.digests().empty() && states.compared() == 0) {
    result.notes.emplace_back(
        "no digest of one is at the instruction count of one of the other: no state is compared");
  }
  return found;
}

std::optional<StateDifference> compare_ends(Comparison& result, const Sides& sides,
                                            const Ignored& ignored) {
  if (is_ignored(ignored, "end")) return std::nullopt;
  const auto note = [&](std::string_view side, const Reader& reader,
                        const std::optional<std::uint64_t>& cut) {
    if (!cut) return;
    result.notes.push_back(fmt::format("{} was {} after instruction {}", side,
                                       reader.end() ? "interrupted" : "cut off", *cut));
  };
  note("left", sides.left, sides.left_cut);
  note("right", sides.right, sides.right_cut);
  const bool both_stopped =
      sides.left_cut && sides.right_cut && sides.left.end() && sides.right.end();
  if (!both_stopped && (sides.left_cut || sides.right_cut)) return std::nullopt;
  const EndRecord& a = *sides.left.end();
  const EndRecord& b = *sides.right.end();
  std::optional<StateDifference> found;
  const auto field = [&](std::string_view name, std::string_view what, const std::string& left,
                         const std::string& right) {
    if (found || left == right || is_ignored(ignored, name)) return;
    found = differ(std::min(a.retired, b.retired), std::string(what), left, right);
    found->left_block = sides.left.blocks().size();
    found->right_block = sides.right.blocks().size();
  };
  field("reason", "reason of the end", end_reason(a.reason), end_reason(b.reason));
  field("detail", "detail of the end", a.detail, b.detail);
  field("retired", "instructions at the end", fmt::to_string(a.retired), fmt::to_string(b.retired));
  field("idle", "skipped ns at the end", fmt::to_string(a.idle_ns), fmt::to_string(b.idle_ns));
  field("digest", "digest at the end", fmt::format("{:016x}", a.digest),
        fmt::format("{:016x}", b.digest));
  result.equal_ends = !found;
  return found;
}

Result<Divergence> with_events_before(const Reader& left, StateDifference difference) {
  Divergence found = std::move(difference.divergence);
  // Each input and each digest begins a new block of exits.
  std::uint64_t first = 0;
  for (const Reader::Block& block : left.blocks()) {
    if (block.frame.layer == Layer::Exits) first = block.frame.first;
    if (&block - left.blocks().data() >= static_cast<std::ptrdiff_t>(difference.left_block)) break;
  }
  EventCursor cursor(left);
  cursor.seek(first > History::kKept ? first - History::kKept : 0);
  History history;
  Event event;
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    if (!more || cursor.block() >= difference.left_block) break;
    history.add(event, cursor.exits() == 0 ? 0 : cursor.exits() - 1);
    found.exit = cursor.exits() == 0 ? 0 : cursor.exits() - 1;
    found.has_exit = cursor.exits() != 0;
  }
  found.before = history.lines();
  found.has_exit = found.has_exit && history.count() != 0;
  if (const ExitRecord* const last = history.last_exit()) {
    found.pc = last->pc;
    if (!found.of_vm) {
      found.vm = last->vm;
      found.vcpu = last->vcpu;
    }
  }
  return found;
}

}  // namespace retrap::traces
