// The system registers that trap to EL2, as devices on the system-register bus.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "arch/aarch64/gicv3.h"
#include "arch/aarch64/vtimer.h"
#include "vmm/bus.h"

namespace retrap::aarch64 {

enum class Direction : std::uint8_t { ReadOnly, WriteOnly, ReadWrite };

/// Who answers.
enum class SysRegGroup : std::uint8_t { Identification, Debug, PhysicalTimer, Interrupts };

/// One register, or several that differ in CRm only.
struct SysRegRow {
  std::string_view name;
  std::uint32_t first;      ///< number in the ISS
  std::uint32_t registers;  ///< how many values of CRm
  Direction direction;
  SysRegGroup group;

  [[nodiscard]] constexpr std::uint32_t size() const { return 2 * registers - 1; }
  [[nodiscard]] constexpr bool has(std::uint32_t number) const {
    return number >= first && number - first < size();
  }
};

/// The table; sorted by number.
[[nodiscard]] std::span<const SysRegRow> sysreg_rows();

/// Whether the register exists for the guest and can be read (or written). What cannot is
/// UNDEFINED; registers that are not in the table are somebody else's or nobody's.
[[nodiscard]] bool is_misdirected(std::uint32_t number, bool read);

/// The registers of one VM.
class SystemRegisters {
 public:
  /// The others outlive this; one timer for each vCPU.
  SystemRegisters(Gicv3& gic, std::span<const std::unique_ptr<GenericTimer>> timers);

  /// Puts a device for each row on `bus`, which outlives this.
  [[nodiscard]] Result<> attach(Bus& bus);

  void reset();
  void digest(Digest& into) const;

 private:
  class RowDevice;

  [[nodiscard]] std::uint64_t read(const SysRegRow& row, std::uint32_t number, VcpuId vcpu);
  void write(const SysRegRow& row, std::uint32_t number, VcpuId vcpu, std::uint64_t value);

  Gicv3& gic_;
  std::span<const std::unique_ptr<GenericTimer>> timers_;
  std::vector<std::uint64_t> mdscr_;  ///< MDSCR_EL1 of each vCPU: kept, without effect
};

}  // namespace retrap::aarch64
