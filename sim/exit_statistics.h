// What exits cost: counted by kind and vCPU, with all of virtual time accounted for.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vmm/observer.h"

namespace retrap {

/// Listens to any number of VMs of one machine.
///
/// The instructions of an exit's cost are charged to it, the idle time to the exit before it. Both
/// together are the virtual time from the first look to the last exit.
class ExitStatistics final : public Observer {
 public:
  struct Row {
    std::uint64_t count = 0;
    std::uint64_t instructions = 0;  ///< retired up to such an exit, since the exit before
    std::uint64_t idle_ns = 0;       ///< skipped after such an exit, until the next
    std::map<VmId, std::vector<std::uint64_t>> by_vcpu;  ///< counts, by VM and VcpuId
  };

  void on_exit(const ExitEvent& event) override;

  /// By index of ExitReason.
  [[nodiscard]] const std::array<Row, kExitKinds>& rows() const { return rows_; }

  /// Text with a line for each kind that happened, the most frequent first, and a sum. The counts
  /// of each vCPU are at the end of a line; where there are several VMs, behind the id of each.
  [[nodiscard]] std::string table() const;

 private:
  std::size_t last_ = kExitKinds;  ///< the kind of the latest exit; none yet
  std::array<Row, kExitKinds> rows_;
};

}  // namespace retrap
