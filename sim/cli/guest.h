// The guest that a command line and a configuration file describe, checked as a whole.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/cli/options.h"
#include "sim/machine.h"

namespace retrap::cli {

/// A machine with one VM, whose images are loaded.
struct Guest {
  std::unique_ptr<Machine> machine;
  Images images;
  std::vector<std::string> notes;  ///< a line each: what a file asks for and the guest has anyway
};

/// What retrap run starts, and retrap config check looks at: whatever one of them says of a file,
/// the other says, too. `console` may be null; it outlives the guest.
///
/// The Error has a line for each problem, all at once: of the file, of the images that it names, of
/// its board. What depends on the memory of the host comes only where there are none of these.
[[nodiscard]] Result<Guest> make_guest(const RunOptions& options, ConsoleSink* console);

}  // namespace retrap::cli
