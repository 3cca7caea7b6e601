// Which events of a trace to look at.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "traces/events.h"
#include "vmm/base/result.h"

namespace retrap::traces {

/// Terms that an event must all meet: "kind=mmio-read,mmio-write,vcpu=0,addr=0x9000000..0x9000fff".
///
/// A term is NAME=VALUE, where a value is a number or FIRST..LAST (either may be left out), and
/// further values stand behind commas. Names: kind (of an exit, or answer, injection, input,
/// digest), vm, vcpu, exit (number), retired (insn is the same), time (ns), pc, and the fields of
/// exits (addr, port, data, nr, ...). Who has nothing by that name does not meet the term. An
/// answer is where the last exit was; what has no time of its own is at the idle time of the last
/// exit.
class Filter {
 public:
  /// Nothing is filtered out.
  Filter() = default;
  /// InvalidInput names the term and what may stand there.
  [[nodiscard]] static Result<Filter> parse(std::string_view text);

  /// Also: only exits from `first` to `last`, by number.
  void set_range(std::uint64_t first, std::uint64_t last) {
    first_exit_ = first;
    last_exit_ = last;
  }
  [[nodiscard]] std::uint64_t first_exit() const { return first_exit_; }
  [[nodiscard]] std::uint64_t last_exit() const { return last_exit_; }

  /// Where the machine is: its last exit, or the event itself where that is one.
  struct Place {
    std::uint64_t exit = 0;  ///< number
    std::uint64_t retired = 0;
    std::uint64_t idle_ns = 0;
  };
  [[nodiscard]] bool takes(const Event& event, const Place& place) const;
  [[nodiscard]] bool takes(const InputRecord& input, const Place& place) const;
  [[nodiscard]] bool takes(const DigestRecord& digest, const Place& place) const;

 private:
  enum class Name : std::uint8_t { Kind, Vm, Vcpu, Exit, Retired, Time, Pc, Field };
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Term {
    Name name = Name::Kind;
    std::uint32_t kinds = 0;  ///< a bit for each
    std::vector<Range> ranges{};
    /// Where the field is in each kind of exit; kMaxFields: nowhere.
    std::array<std::uint8_t, kExitKinds> positions{};
  };
  /// What an event has to say for itself.
  struct Facts;
  [[nodiscard]] static Result<Term> begin(std::string_view name, std::string_view written);
  [[nodiscard]] static Result<> add_value(Term& term, std::string_view name,
                                          std::string_view value);
  [[nodiscard]] static bool meets(const Term& term, const Facts& facts);
  [[nodiscard]] bool takes(const Facts& facts) const;

  std::vector<Term> terms_;
  std::uint64_t first_exit_ = 0;
  std::uint64_t last_exit_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace retrap::traces
