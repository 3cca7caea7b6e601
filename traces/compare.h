// The first difference between two runs.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "traces/reader.h"

namespace retrap::traces {

/// What to pass over: "pc", "retired", "idle", "vcpu", "answer", "injection", "data", ...: fields
/// by their names, or whole kinds of events. Sorted is not needed.
using Ignored = std::vector<std::string>;

/// All names that can be ignored, sorted.
[[nodiscard]] std::vector<std::string_view> ignorable();

struct FieldDifference {
  std::string field;
  std::string left;
  std::string right;
};

/// Where two events differ first, or nothing where they are equal but for what is ignored.
[[nodiscard]] std::optional<FieldDifference> difference(const Event& left, const Event& right,
                                                        const Ignored& ignored = {});

/// Where two runs part.
struct Divergence {
  std::uint64_t exit = 0;     ///< number of the exit, from 0, or of the one before
  bool has_exit = true;       ///< false: no exit is known there, `exit` says nothing
  std::uint64_t retired = 0;  ///< instruction count
  bool of_vm = true;          ///< false: of the whole machine; vm and vcpu are those of the pc
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t pc = 0;
  FieldDifference what{};
  std::string left_event{};  ///< one line, empty where there is none
  std::string right_event{};
  std::vector<std::string> before{};  ///< the last events that were equal, one line each
  std::vector<std::string> code{};    ///< the instructions around the pc, if somebody knows them
  std::vector<std::string> also{};    ///< other parts of the machine that differ there
};

/// The last few events, without formatting them before anybody asks.
class History {
 public:
  static constexpr std::size_t kKept = 10;
  void add(const Event& event, std::uint64_t exit) {
    last_[count_ % kKept] = {event, exit};
    ++count_;
  }
  [[nodiscard]] std::vector<std::string> lines() const;
  /// The last exit among them, or null.
  [[nodiscard]] const ExitRecord* last_exit() const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::array<std::pair<Event, std::uint64_t>, kKept> last_{};
  std::uint64_t count_ = 0;
};

/// `left` and `right` at the first place where they differ; either may be at its end (null).
[[nodiscard]] Divergence divergence_between(const Event* left, const Event* right,
                                            FieldDifference what, std::uint64_t exit,
                                            const History& history);

/// What retrap diff finds.
struct Comparison {
  std::uint64_t equal_events = 0;
  std::uint64_t equal_inputs = 0;
  std::uint64_t equal_digests = 0;  ///< records, at counts that both traces have
  bool equal_ends = false;          ///< both have one
  std::optional<Divergence> divergence;
  /// Seeds, configurations, programs that are not the same; what one of the traces lacks; state
  /// that differs before behaviour does.
  std::vector<std::string> notes;
  /// There was nothing to compare: neither equal nor different.
  [[nodiscard]] bool is_empty() const {
    return !divergence && equal_events + equal_inputs + equal_digests == 0 && !equal_ends;
  }
};

/// Compares exits, answers and injections in their order, inputs in theirs, digests where both
/// traces have one, and the ends. The divergence is the first difference in what happened; where
/// there is none, the first in a state, or in the ends. A trace that was cut off is compared as far
/// as it goes.
[[nodiscard]] Result<Comparison> compare(const Reader& left, const Reader& right,
                                         const Ignored& ignored = {});

/// "12 events, 2 inputs, 3 digests and the end are equal": what there was to compare. Where there
/// was nothing, what to do.
[[nodiscard]] std::string summary(const Comparison& comparison);

/// Several lines for people: what differs, both values, and what came before.
[[nodiscard]] std::string to_text(const Divergence& divergence, std::string_view left,
                                  std::string_view right);

}  // namespace retrap::traces
