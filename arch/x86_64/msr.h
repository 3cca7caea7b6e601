// The model-specific registers of one CPU: a table of those we have, #GP for the rest.
//
// Intel SDM volume 4; AMD64 APM volume 2, appendix A.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/local_apics.h"
#include "vmm/bus.h"

namespace retrap::x86_64 {

namespace msr {
inline constexpr std::uint32_t kTsc = 0x10;
inline constexpr std::uint32_t kApicBase = 0x1b;
inline constexpr std::uint32_t kTscAdjust = 0x3b;
inline constexpr std::uint32_t kArchCapabilities = 0x10a;
inline constexpr std::uint32_t kMiscEnable = 0x1a0;
inline constexpr std::uint32_t kPat = 0x277;
inline constexpr std::uint32_t kTscDeadline = 0x6e0;
inline constexpr std::uint32_t kX2ApicFirst = 0x800;
inline constexpr std::uint32_t kX2ApicLast = 0x8ff;
inline constexpr std::uint32_t kEfer = 0xc000'0080;
}  // namespace msr

/// EFER bits (APM volume 2, 3.1.7).
namespace efer {
inline constexpr std::uint64_t kSyscall = bit(0);
inline constexpr std::uint64_t kLongMode = bit(8);
inline constexpr std::uint64_t kLongModeActive = bit(10);
inline constexpr std::uint64_t kNoExecute = bit(11);
}  // namespace efer

/// Where a register lives and what a write does.
enum class MsrKind : std::uint8_t {
  Constant,  ///< reads the reset value; a write is #GP
  Ignored,   ///< reads the reset value; writes vanish
  Command,   ///< a write does something that leaves no trace here; a read is #GP
  Stored,    ///< keeps what is written
  InCpu,     ///< the CPU acts upon it and keeps it
  Special,   ///< TSC, APIC base, EFER ...: code of its own
};

/// What is checked of a value besides `writable`.
enum class MsrCheck : std::uint8_t { None, Canonical, MemoryTypes };

struct MsrRow {
  std::uint32_t number;
  std::string_view name;  ///< the manual's
  MsrKind kind;
  MsrCheck check;
  std::uint64_t reset;
  std::uint64_t writable;  ///< other bits must be zero, else #GP
};

/// Every MSR that is not an APIC register, by number.
[[nodiscard]] std::span<const MsrRow> msr_table();
[[nodiscard]] const MsrRow* find_msr(std::uint32_t number);

/// The MSRs of one CPU.
class MsrFile {
 public:
  /// `mmio` is the bus that the local APICs sit on: it must hear of new timer deadlines.
  MsrFile(Cpu& cpu, LocalApics& apics, std::uint32_t id, Clock& clock, Bus& mmio);

  enum class Answer : std::uint8_t { Done, Fault, Unknown };

  /// RDMSR. Unknown: no such register.
  [[nodiscard]] Answer read(std::uint32_t number, std::uint64_t& value);
  /// WRMSR. Fault: #GP, nothing has changed.
  [[nodiscard]] Answer write(std::uint32_t number, std::uint64_t value);

  void reset();
  /// What the CPU itself does not hold, by the manual's names.
  void add_registers(std::vector<NamedRegister>& into) const;
  void digest(Digest& into) const;

 private:
  static constexpr std::size_t kMostStored = 8;

  [[nodiscard]] std::uint64_t read_special(std::uint32_t number) const;
  [[nodiscard]] bool write_special(std::uint32_t number, std::uint64_t value);
  [[nodiscard]] bool write_efer(std::uint64_t value);
  [[nodiscard]] bool write_apic_base(std::uint64_t value);
  void move_tsc(std::uint64_t offset);
  [[nodiscard]] const MsrRow* row_of(std::uint32_t number);
  [[nodiscard]] std::uint64_t& stored(const MsrRow& row);

  Cpu& cpu_;
  LocalApics& apics_;
  std::uint32_t id_;
  Clock& clock_;
  Bus& mmio_;
  std::uint64_t tsc_adjust_ = 0;
  const MsrRow* found_ = nullptr;                    ///< the last one: guests poll
  std::array<std::uint64_t, kMostStored> stored_{};  ///< in the order of the table
};

}  // namespace retrap::x86_64
