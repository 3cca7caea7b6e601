// What the monitor needs from an interrupt controller, whichever the architecture has.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/ids.h"

namespace retrap {

/// Hears where the inputs of a controller change.
class LineSink {
 public:
  /// A CPU did it by itself, as its timer does: no exit says so.
  virtual void on_cpu_line(VcpuId vcpu, std::uint32_t line, bool level) = 0;
  /// A device on a bus did.
  virtual void on_device_line(std::uint32_t line, bool level) = 0;
  /// The vCPU has got an interrupt: LineChange::Deliver.
  virtual void on_delivery(VcpuId vcpu, std::uint64_t vector) = 0;

 protected:
  ~LineSink() = default;
};

/// GICv3, PLIC, or IO-APIC + local APICs + PIC: the board owns it and wires its outputs to vCPUs.
class InterruptController {
 public:
  virtual ~InterruptController() = default;

  /// Sets the level of input `line` (SPI number + 32, PLIC source, GSI). Lines nobody has are
  /// refused when the device claims them; here they are ignored.
  virtual void set_line(std::uint32_t line, bool level) = 0;

  /// One edge on `line`, remembered until it is taken however the guest has configured the line:
  /// a notification without a register to acknowledge it in.
  virtual void pulse(std::uint32_t line) {
    set_line(line, true);
    set_line(line, false);
  }

  /// Sets the level of an input that only `vcpu` has. Ignored where there is none.
  virtual void set_cpu_line(VcpuId vcpu, std::uint32_t line, bool level) {
    (void)vcpu;
    (void)line;
    (void)level;
  }
  /// Null for none; outlives this.
  void set_line_sink(LineSink* sink) { line_sink_ = sink; }
  /// set_line() of a device whose level has changed.
  void set_device_line(std::uint32_t line, bool level) {
    if (line_sink_ != nullptr) line_sink_->on_device_line(line, level);
    set_line(line, level);
  }

  /// The vCPU has got an interrupt.
  void tell_delivery(VcpuId vcpu, std::uint64_t vector) {
    if (line_sink_ != nullptr) line_sink_->on_delivery(vcpu, vector);
  }

  /// Whether a device can be wired to it.
  [[nodiscard]] virtual bool has_line(std::uint32_t line) const = 0;

  /// Gives input `line` to a device, alone: of two levels on one line, one would be lost.
  /// InvalidInput where there is no such line, AlreadyExists where another has it; names all.
  [[nodiscard]] Result<> claim_line(std::uint32_t line, std::string_view device);
  /// Nobody has `line` any more.
  void release_line(std::uint32_t line);

  /// Makes `vector` pending at `vcpu`: an INTID, an interrupt vector, or 1/5/9 (VS software,
  /// timer, external). InvalidInput where the architecture has no such vector.
  [[nodiscard]] virtual Result<> inject(VcpuId vcpu, std::uint64_t vector) = 0;

 protected:
  /// Of a change of level.
  void tell_cpu_line(VcpuId vcpu, std::uint32_t line, bool level) {
    if (line_sink_ != nullptr) line_sink_->on_cpu_line(vcpu, line, level);
  }

 private:
  LineSink* line_sink_ = nullptr;                ///< may be null
  std::map<std::uint32_t, std::string> claims_;  ///< line -> device
};

}  // namespace retrap
