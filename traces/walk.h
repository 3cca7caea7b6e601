// Goes through a whole trace in the order in which things happened.
#pragma once

#include <cstdint>

#include "traces/filter.h"
#include "traces/reader.h"

namespace retrap::traces {

class Visitor {
 public:
  virtual ~Visitor() = default;
  /// Every exit, whether the filter takes it or not, from the one before the filter's range on.
  virtual void on_passing(const ExitRecord& exit, std::uint64_t number) {
    (void)exit;
    (void)number;
  }
  /// `exit` is the number of the exit, or of the one before.
  virtual void on_event(const Event& event, std::uint64_t exit) = 0;
  virtual void on_input(const InputRecord& input) { (void)input; }
  virtual void on_digest(const DigestRecord& digest) { (void)digest; }
};

/// Events, inputs and digests that `filter` takes, in the order in which they happened.
[[nodiscard]] Result<> walk(const Reader& reader, const Filter& filter, Visitor& visitor);

}  // namespace retrap::traces
