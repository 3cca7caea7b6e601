// Three buses: MMIO, ports, system registers. An access belongs to one device or to none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/interrupt_controller.h"

namespace retrap {

/// What the bus did with accesses that no register answered: counted, never fatal.
struct BusCounters {
  std::uint64_t unknown_register = 0;
  std::uint64_t bad_width = 0;
  std::uint64_t read_only = 0;
  std::uint64_t write_only = 0;
};

/// Devices by address. Reads of a device register that is not there give zero, writes vanish, and
/// both are counted; where no device is at all, the caller decides.
///
/// Invariant: entries are sorted by base and do not overlap.
class Bus final : AlarmSink {
 public:
  static constexpr std::uint32_t kNoLine = ~std::uint32_t{0};

  /// What an address counts. A system register is one unit however wide it is.
  enum class Unit : std::uint8_t { Byte, Register };

  /// `name` for messages ("mmio", "port", "sysreg"). The clock outlives the bus.
  Bus(std::string name, Clock& clock, Unit unit = Unit::Byte);
  ~Bus() override;
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  /// Takes the device. Its level alone drives input `line` of `controller` (which outlives the use
  /// of the bus, and may be null when line is kNoLine). AlreadyExists names the device in the way
  /// or on that line; InvalidInput for size 0, a range that wraps, or a line that is not there.
  [[nodiscard]] Result<Device*> add(std::uint64_t base, std::unique_ptr<Device> device,
                                    std::uint32_t line = kNoLine,
                                    InterruptController* controller = nullptr);

  /// A device that somebody else owns (a board's interrupt controller) and that outlives the bus.
  [[nodiscard]] Result<> add(std::uint64_t base, Device& device, std::uint32_t line = kNoLine,
                             InterruptController* controller = nullptr);

  /// A device and where it is plugged in.
  struct Plug {
    std::uint64_t base;
    const Device* device;
    std::uint32_t line;
    bool owned;  ///< by the bus: not a part of the board
  };
  /// All of them, by address.
  [[nodiscard]] std::vector<Plug> plugs() const;

  /// Takes the device that starts at `base` off the bus and gives it back (null: not owned).
  [[nodiscard]] Result<std::unique_ptr<Device>> remove(std::uint64_t base);

  /// Whether a device covers any byte of [at, at + bytes).
  [[nodiscard]] bool covers(std::uint64_t at, std::uint64_t bytes) const;

  /// The first device that covers any byte of [at, at + bytes), or null.
  [[nodiscard]] const Device* first_in(std::uint64_t at, std::uint64_t bytes) const;

  /// Whether a device covers the whole access; then `value` is its answer, zero above `width`.
  [[nodiscard]] bool read(std::uint64_t at, Width width, VcpuId vcpu, std::uint64_t& value);
  /// The same, where speed does not matter.
  [[nodiscard]] std::optional<std::uint64_t> read(std::uint64_t at, Width width, VcpuId vcpu) {
    std::uint64_t value = 0;
    return read(at, width, vcpu, value) ? std::optional(value) : std::nullopt;
  }
  /// Whether a device took it.
  [[nodiscard]] bool write(std::uint64_t at, Width width, std::uint64_t value, VcpuId vcpu);

  /// Samples interrupt level and deadline of a device that was changed from outside a bus access
  /// (input received by a UART, ...).
  void sample(const Device& device);

  [[nodiscard]] const BusCounters& counters() const { return counters_; }
  void reset();  ///< every device, and its line
  void digest(Digest& into) const;

 private:
  struct Entry;
  void on_alarm(std::uint64_t now_ns) override;
  [[nodiscard]] Result<> insert(std::uint64_t base, Device& device, std::unique_ptr<Device> owned,
                                std::uint32_t line, InterruptController* controller);
  /// The device at an address, or null. Devices are polled: the last one is looked at first.
  [[nodiscard]] Entry* entry_at(std::uint64_t at) const;
  /// The device that covers the whole access, or null.
  [[nodiscard]] Entry* find(std::uint64_t at, Width width) const;
  void sample(Entry& entry);
  void set_alarm();
  void count(IoError error);

  std::string name_;
  Clock& clock_;
  Unit unit_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::uint64_t> bases_;
  mutable Entry* last_ = nullptr;  ///< what entry_at() found, or null
  BusCounters counters_;
  Clock::AlarmId alarm_;
};

}  // namespace retrap
