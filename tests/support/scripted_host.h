// A host without virtualization hardware: scripted vCPUs on a little memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "sim/scripted/scripted_board.h"
#include "vmm/vm.h"

namespace retrap::test {

/// Keeps what is printed.
class ConsoleText final : public ConsoleSink {
 public:
  void put(char byte) override { text.push_back(byte); }
  std::string text;
};

/// Host memory, frames, a clock and one architecture.
class ScriptedHost final : public Hal {
 public:
  static constexpr HostPhys kBase{0x1'0000'0000};

  explicit ScriptedHost(std::uint64_t memory_bytes = 16 << 20, HostPhys base = kBase)
      : bytes_(memory_bytes), memory_(base, bytes_), frames_(memory_) {}

  [[nodiscard]] Frames& frames() override { return frames_; }
  [[nodiscard]] Clock& clock() override { return clock_; }
  [[nodiscard]] Architecture* architecture(ArchId arch) override {
    return arch == architecture_.id() ? &architecture_ : nullptr;
  }
  [[nodiscard]] HostDevices* host_devices() override { return &devices_; }
  [[nodiscard]] HostMemory& memory() { return memory_; }

  /// The configuration of a VM with `memory_bytes` of RAM at 0x4000'0000.
  [[nodiscard]] VmConfig config(std::uint64_t memory_bytes = 1 << 20) const {
    return architecture_.default_config(memory_bytes);
  }

 private:
  std::vector<std::byte> bytes_;
  HostMemory memory_;
  Frames frames_;
  Clock clock_;
  HostDevices devices_;
  scripted::ScriptedArchitecture architecture_;
};

/// A register file of `size` bytes that remembers the last write; reads give what `value` says.
class ProbeDevice final : public Device {
 public:
  explicit ProbeDevice(std::uint64_t size, std::string name = "probe")
      : size_(size), name_(std::move(name)) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override {
    last = access;
    ++reads;
    if (error) return tl::unexpected(*error);
    return value;
  }
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t written) override {
    last = access;
    ++writes;
    if (error) return tl::unexpected(*error);
    value = written;
    return {};
  }
  void reset() override { value = 0; }
  [[nodiscard]] bool irq_level() const override { return level; }
  [[nodiscard]] std::uint64_t deadline_ns() const override { return deadline; }
  void advance(std::uint64_t now_ns) override {
    advanced.push_back(now_ns);
    deadline = kNever;
    level = true;
  }
  void digest(Digest& into) const override { into.add(value); }

  std::uint64_t value = 0;
  std::optional<IoError> error;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  Access last{};
  bool level = false;
  std::uint64_t deadline = kNever;
  std::vector<std::uint64_t> advanced;

 private:
  std::uint64_t size_;
  std::string name_;
};

}  // namespace retrap::test
