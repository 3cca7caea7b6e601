// What a trace says about a run, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vmm/exit.h"
#include "vmm/ids.h"
#include "vmm/observer.h"

namespace retrap::traces {

/// A vCPU came back: vmm/observer.h, ExitEvent.
struct ExitRecord {
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t retired = 0;  ///< machine instruction count
  std::uint64_t idle_ns = 0;  ///< virtual time skipped so far
  std::uint64_t pc = 0;
  ExitReason reason = exits::Nothing{};
  friend bool operator==(const ExitRecord&, const ExitRecord&) = default;
};

/// The monitor answered the last exit of this vCPU.
struct AnswerRecord {
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t value = 0;
  friend bool operator==(const AnswerRecord&, const AnswerRecord&) = default;
};

/// A vector became pending at a vCPU, or a line changed that a CPU drives by itself, or a device.
struct InjectionRecord {
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t retired = 0;
  std::uint64_t vector = 0;
  LineChange change = LineChange::Pulse;
  friend bool operator==(const InjectionRecord&, const InjectionRecord&) = default;
};

/// What the layer Exits is made of, in the order in which it happened.
using Event = std::variant<ExitRecord, AnswerRecord, InjectionRecord>;

/// What the monitor said, as a trace has it. `idle_ns`: virtual time skipped so far.
[[nodiscard]] inline ExitRecord record_of(const ExitEvent& event, std::uint64_t idle_ns) {
  return {.vm = event.vm,
          .vcpu = event.vcpu,
          .retired = event.retired,
          .idle_ns = idle_ns,
          .pc = event.pc,
          .reason = event.reason};
}
[[nodiscard]] inline AnswerRecord record_of(const AnswerEvent& event) {
  return {.vm = event.vm, .vcpu = event.vcpu, .value = event.value};
}
[[nodiscard]] inline InjectionRecord record_of(const InjectionEvent& event) {
  return {.vm = event.vm,
          .vcpu = event.vcpu,
          .retired = event.retired,
          .vector = event.vector,
          .change = event.change};
}

// What comes from outside.

/// Bytes typed at the guest's console, all taken.
struct ConsoleInput {
  std::string bytes;
  friend bool operator==(const ConsoleInput&, const ConsoleInput&) = default;
};
/// Vm::inject_interrupt_to_vcpu() by the embedder.
struct InterruptInput {
  VcpuId vcpu{};
  std::uint64_t vector = 0;
  friend bool operator==(const InterruptInput&, const InterruptInput&) = default;
};
/// Vm::map_region() by the embedder.
struct MapInput {
  std::uint64_t gpa = 0;
  std::uint64_t hpa = 0;
  std::uint64_t size = 0;
  std::uint32_t flags = 0;
  friend bool operator==(const MapInput&, const MapInput&) = default;
};
/// Vm::unmap_region() by the embedder.
struct UnmapInput {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  friend bool operator==(const UnmapInput&, const UnmapInput&) = default;
};
/// Guest memory written by the embedder.
struct MemoryInput {
  std::uint64_t gpa = 0;
  std::string bytes;
  friend bool operator==(const MemoryInput&, const MemoryInput&) = default;
};
/// Vm::suspend() by the embedder.
struct SuspendInput {
  friend bool operator==(const SuspendInput&, const SuspendInput&) = default;
};
/// Vm::resume() by the embedder.
struct ResumeInput {
  friend bool operator==(const ResumeInput&, const ResumeInput&) = default;
};
/// Vm::shutdown() by the embedder.
struct ShutdownInput {
  friend bool operator==(const ShutdownInput&, const ShutdownInput&) = default;
};
/// Vm::reset() by the embedder, and Vm::load() of the images it had.
struct ResetInput {
  friend bool operator==(const ResetInput&, const ResetInput&) = default;
};
/// Vm::destroy() by the embedder.
struct DestroyInput {
  friend bool operator==(const DestroyInput&, const DestroyInput&) = default;
};
/// Vm::grow_memory() by the embedder.
struct GrowInput {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint32_t flags = 0;
  friend bool operator==(const GrowInput&, const GrowInput&) = default;
};
/// The order is part of the format: append, never insert.
using Input =
    std::variant<ConsoleInput, InterruptInput, MapInput, UnmapInput, MemoryInput, SuspendInput,
                 ResumeInput, ShutdownInput, ResetInput, DestroyInput, GrowInput>;
inline constexpr std::size_t kInputKinds = std::variant_size_v<Input>;
inline constexpr std::array<std::string_view, kInputKinds> kInputNames = {
    "console", "interrupt", "map",   "unmap",   "memory", "suspend",
    "resume",  "shutdown",  "reset", "destroy", "grow"};

struct InputRecord {
  /// Where the machine was. The numbers are part of the format.
  enum class When : std::uint8_t {
    Stopped = 0,  ///< stopped at this instruction count
    Resting = 1,  ///< at rest: every vCPU waited, and nothing would have woken one
    Same = 2,     ///< it has not run since the input before this one
    Ended = 3,    ///< a VM had ended there, or all of them were suspended
  };
  std::uint64_t retired = 0;
  When when = When::Stopped;
  VmId vm{};
  Input input;
  friend bool operator==(const InputRecord&, const InputRecord&) = default;
};

/// A part of the machine that has a digest of its own. The numbers are part of the format.
enum class Part : std::uint8_t {
  Clock = 0,            ///< instruction count and skipped time
  Registers = 1,        ///< of one vCPU
  Memory = 2,           ///< version 1: all of it
  Mmio = 3,             ///< version 1: all devices on the MMIO bus
  Ports = 4,            ///< version 1
  SystemRegisters = 5,  ///< version 1
  Board = 6,            ///< whatever is on no bus
  Console = 7,          ///< all that was printed
  Ram = 8,              ///< `size` bytes of guest memory from `base` on
  MmioDevice = 9,       ///< the device at `base`
  PortDevice = 10,
  SystemRegisterDevice = 11,
};
inline constexpr std::uint8_t kParts = 12;
inline constexpr std::array<std::string_view, kParts> kPartNames = {
    "clock", "registers", "memory", "mmio devices", "port devices", "system registers",
    "board", "console",   "RAM",    "device",       "port device",  "system register device"};

/// The longest name of a part, in bytes: longer ones are cut.
inline constexpr std::size_t kMaxPartName = 48;

struct PartDigest {
  VmId vm{};
  Part part = Part::Clock;
  VcpuId vcpu{};  ///< Registers only
  std::uint64_t digest = 0;
  std::uint64_t base = 0;  ///< Ram, devices: the first address, port or register
  std::uint64_t size = 0;  ///< Ram, devices: how many from there on
  std::string name{};      ///< devices
  bool gone = false;       ///< from here on it is not there; `digest` is 0
  friend bool operator==(const PartDigest&, const PartDigest&) = default;
};

/// The state of the machine where it was stopped at this instruction count, by what changed since
/// the record before: traces/digests.h puts it together.
struct DigestRecord {
  std::uint64_t retired = 0;
  std::uint64_t root = 0;  ///< of the tree over all parts
  std::vector<PartDigest> parts;
  friend bool operator==(const DigestRecord&, const DigestRecord&) = default;
};

/// How the run ended.
struct EndRecord {
  std::uint64_t retired = 0;
  std::uint64_t idle_ns = 0;
  std::uint8_t reason = 0;  ///< sim/machine.h, StopReason
  std::string detail;
  std::uint64_t digest = 0;  ///< of the whole machine
  std::uint64_t exits = 0;
  std::uint64_t inputs = 0;
  friend bool operator==(const EndRecord&, const EndRecord&) = default;
};

// Exits by their fields.

/// Where a field goes in a block: things alike are side by side, and compress well.
enum class FieldColumn : std::uint8_t { Address, Value, Small };

struct FieldRow {
  std::string_view name;
  FieldColumn column;
};

inline constexpr std::size_t kMaxFields = 7;

/// The fields of each kind of exit, in the order of vmm/exit.h.
[[nodiscard]] std::span<const FieldRow> fields_of(std::size_t kind);

/// The fields of one exit; as many as fields_of(exit.index()) has.
using FieldValues = std::array<std::uint64_t, kMaxFields>;
[[nodiscard]] FieldValues values_of(const ExitReason& exit);

/// The exit with these fields, or nothing where a value is out of its range.
[[nodiscard]] std::optional<ExitReason> exit_of(std::size_t kind, const FieldValues& values);

}  // namespace retrap::traces
