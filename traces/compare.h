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
  std::uint64_t retired = 0;  ///< instruction count
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t pc = 0;
  FieldDifference what{};
  std::string left_event{};  ///< one line, empty where there is none
  std::string right_event{};
  std::vector<std::string> before{};  ///< the last events that were equal, one line each
  std::vector<std::string> also{};    ///< other parts of the machine that differ there
};

/// The last few events, without formatting them before anybody asks.
class History {
 public:
  void add(const Event& event, std::uint64_t exit) {
    last_[count_ % kKept] = {event, exit};
    ++count_;
  }
  [[nodiscard]] std::vector<std::string> lines() const;
  /// The last exit among them, or null.
  [[nodiscard]] const ExitRecord* last_exit() const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  static constexpr std::size_t kKept = 10;
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
  std::optional<Divergence> divergence;
  std::vector<std::string> notes;  ///< seeds, configurations, programs that are not the same
};

/// Compares exits, answers and injections in their order, then inputs, digests, and the ends.
[[nodiscard]] Result<Comparison> compare(const Reader& left, const Reader& right,
                                         const Ignored& ignored = {});

/// Several lines for people: what differs, both values, and what came before.
[[nodiscard]] std::string to_text(const Divergence& divergence, std::string_view left,
                                  std::string_view right);

}  // namespace retrap::traces
