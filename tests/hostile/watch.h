// Watches the host's memory that does not belong to a guest.
#pragma once

#include <string>
#include <vector>

#include "vmm/frames.h"

namespace retrap::hostile {

/// Frames that nobody owns must stay untouched, read or written: the operating system knows which
/// pages of an anonymous mapping have ever been looked at. Pages that somebody else owns, and the
/// stage-2 tables where they are complete, must keep their bytes.
class Watch {
 public:
  /// `tables_may_change`: the monitor populates memory while the guest runs.
  Watch(Frames& frames, VmId vm, bool tables_may_change);

  /// What has changed, or nothing.
  [[nodiscard]] std::string finding() const;

 private:
  struct Saved {
    HostPhys page;
    std::vector<std::byte> bytes;
  };
  Frames& frames_;
  std::vector<unsigned char> touched_;  ///< by page, when the watch began
  std::vector<Saved> saved_;
};

}  // namespace retrap::hostile
