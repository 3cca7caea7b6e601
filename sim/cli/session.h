// A run of the command line: a machine, a recorder where one is wanted, and the terminal.
#pragma once

#include <memory>
#include <string>

#include "sim/cli/options.h"
#include "sim/machine.h"
#include "sim/record.h"
#include "vmm/image.h"

namespace retrap::cli {

/// "retrap 0.1.0".
[[nodiscard]] std::string program_name();

/// Guest and recorder. The trace is begun when the guest is known to be in order.
class Session {
 public:
  [[nodiscard]] static Result<Session> start(std::unique_ptr<Machine> machine,
                                             const RunOptions& options, const Images& images);

  [[nodiscard]] Machine& machine() { return *machine_; }

  [[nodiscard]] RunReport run(std::uint64_t max_instructions);

  /// Whether standard input is typed at the guest's console.
  [[nodiscard]] bool is_interactive() const { return interactive_; }
  /// Until the guest ends, standard input says Ctrl-], or nothing more can come: what is typed
  /// arrives between two steps of the guest, and virtual time does not run ahead of the clock on
  /// the wall.
  [[nodiscard]] RunReport run_interactively(std::uint64_t max_instructions);

  /// Ends the trace, where there is one.
  [[nodiscard]] Result<> finish(const RunReport& report);

 private:
  Session(std::unique_ptr<Machine> machine, bool interactive)
      : machine_(std::move(machine)), interactive_(interactive) {}

  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Recorder> recorder_;  ///< may be null
  bool interactive_;
};

/// The images of `config`, as the header of a trace names them.
[[nodiscard]] std::vector<traces::ImageRecord> image_records(const VmConfig& config,
                                                             const Images& images, bool embedded);

/// The bytes of the image with this role; empty where there is none.
[[nodiscard]] std::span<const std::byte> bytes_of(const Images& images, std::string_view role);

}  // namespace retrap::cli
