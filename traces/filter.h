// Which events of a trace to look at.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "traces/events.h"
#include "vmm/base/result.h"

namespace retrap::traces {

/// Terms that an event must all meet: "kind=mmio-write,vcpu=0,addr=0x9000000..0x9000fff".
///
/// A term is NAME=VALUE or NAME=FIRST..LAST. Names: kind (of an exit, or answer, injection), vm,
/// vcpu, exit, insn, pc, and the fields of exits (addr, port, data, nr, ...).
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

  /// `exit` is the number of the exit, or of the one before the event.
  [[nodiscard]] bool takes(const Event& event, std::uint64_t exit) const;

  [[nodiscard]] bool takes_everything() const { return terms_.empty(); }

 private:
  struct Term {
    std::string name;
    std::string word;  ///< of kind
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  [[nodiscard]] static bool meets(const Term& term, const Event& event, std::uint64_t exit);

  std::vector<Term> terms_;
  std::uint64_t first_exit_ = 0;
  std::uint64_t last_exit_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace retrap::traces
