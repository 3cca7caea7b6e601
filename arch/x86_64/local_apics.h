// The local APICs of one VM: the page through which each CPU sees its own, and the messages
// between them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "arch/x86_64/apic_message.h"
#include "arch/x86_64/lapic.h"

namespace retrap::x86_64 {

/// What has reached a CPU beside its APIC's vectors, until the CPU deals with it.
struct CpuSignals {
  bool nmi = false;
  bool init = false;                    ///< INIT for a CPU that is running
  std::optional<std::uint8_t> startup;  ///< SIPI that came while `init` was pending
  bool waits_for_startup = false;
  VectorSet injected;  ///< by the embedder while the APIC is off: as from an 8259A
};

/// A SIPI that starts CPU `target` (a vCPU number) at `vector` * 4 KiB.
struct Startup {
  std::uint32_t target;
  std::uint8_t vector;
};

/// The xAPIC page at 0xfee00000 (banked by vCPU), the x2APIC registers, INIT, SIPI and NMI.
///
/// CPUs go by their vCPU numbers; messages find them by the APIC ids that they are given. Registers
/// are 32 bits wide at multiples of 16; other accesses are refused (Intel SDM volume 3, 11.4.1.2
/// calls them undefined).
class LocalApics final : public Device, public ApicBus {
 public:
  /// An APIC id for each CPU, all different, none above Lapic::kHighestId. The first one boots.
  explicit LocalApics(const std::vector<std::uint64_t>& ids);

  /// Level-triggered EOIs go there (null: nowhere; else outlives this).
  void set_eoi_listener(EoiListener* listener) { eoi_listener_ = listener; }

  [[nodiscard]] std::string_view name() const override { return "lapic"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override;
  [[nodiscard]] std::uint64_t deadline_ns() const override;
  void advance(std::uint64_t now_ns) override;
  void digest(Digest& into) const override;

  bool deliver(const ApicMessage& message) override;

  /// x2APIC MSRs 0x800 to 0x8ff. IoError where RDMSR and WRMSR give #GP.
  [[nodiscard]] IoResult<std::uint64_t> read_msr(std::uint32_t cpu, std::uint32_t number,
                                                 std::uint64_t now_ns) const;
  [[nodiscard]] IoResult<> write_msr(std::uint32_t cpu, std::uint32_t number, std::uint64_t value,
                                     std::uint64_t now_ns);

  [[nodiscard]] Lapic& apic(std::uint32_t cpu) { return apics_[cpu]; }
  [[nodiscard]] const Lapic& apic(std::uint32_t cpu) const { return apics_[cpu]; }
  [[nodiscard]] CpuSignals& signals(std::uint32_t cpu) { return signals_[cpu]; }
  [[nodiscard]] const CpuSignals& signals(std::uint32_t cpu) const { return signals_[cpu]; }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(apics_.size()); }
  [[nodiscard]] std::uint32_t highest_id() const { return highest_id_; }

  /// The next CPU that a SIPI starts, or nothing.
  [[nodiscard]] std::optional<Startup> take_startup();
  [[nodiscard]] bool has_startup() const { return !startups_.empty(); }

 private:
  void send(std::uint32_t cpu, std::uint64_t icr);
  bool accept(std::uint32_t cpu, const ApicMessage& message);
  void start(std::uint32_t cpu, std::uint8_t vector);
  bool deliver_lowest_priority(const ApicMessage& message);
  void end_of_interrupt(std::uint32_t cpu);

  std::vector<Lapic> apics_;
  std::uint32_t highest_id_ = 0;
  std::vector<CpuSignals> signals_;
  std::vector<Startup> startups_;
  EoiListener* eoi_listener_ = nullptr;
};

}  // namespace retrap::x86_64
