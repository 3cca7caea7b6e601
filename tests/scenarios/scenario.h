// Runs a built-in guest in many ways and checks that none of them makes a difference.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/machine.h"
#include "sim/record.h"
#include "tests/scenarios/scratch_device.h"

namespace retrap::test {

// What the guests expect, tests/guests/runtime/guest.h.
inline constexpr GuestPhys kReadOnlyBase{0xc000'0000};
inline constexpr GuestPhys kNoExecuteBase{0xc010'0000};
inline constexpr GuestPhys kOtherNameBase{0xc020'0000};
inline constexpr GuestPhys kScratchBase{0xd000'0000};
inline constexpr std::uint64_t kRegionSize = 0x1'0000;
inline constexpr std::uint16_t kScratchPort = 0x2000;

struct Scenario {
  ArchId arch = ArchId::X86_64;
  std::string guest = {};  ///< "hello"
  StopReason end = StopReason::PoweredOff;
  std::uint64_t max_instructions = 50'000'000;
  std::string input = {};  ///< typed one by one, each when the guest waits for nothing else
  std::uint32_t vcpus = 1;
};

/// "x86_64 hello", for failure messages.
void PrintTo(const Scenario& scenario, std::ostream* out);

/// One way to run it.
struct Variant {
  std::string name;
  std::uint64_t slice = 0;
  Populate populate = Populate::Eager;
  MapType map_type = MapType::Alloc;  ///< of RAM, but for what is the monitor's on the host
};

/// What came of it.
struct Outcome {
  RunReport report;
  std::string console;
  std::uint64_t digest = 0;
  std::vector<ScratchDevice::Entry> log;  ///< of the MMIO device
  VmStatistics statistics;
  DmaCounters dma;
};

/// A machine with the guest loaded and the scenarios' devices and regions on its board.
class Bench {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Bench>> make(const Scenario& scenario,
                                                           const Variant& variant);
  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] Vm& vm() { return *vm_; }

  /// Runs to the end, typing the scenario's input where the guest sleeps for good; recorded by
  /// `recorder`, where that is not null.
  [[nodiscard]] Outcome run(const Scenario& scenario, Recorder* recorder = nullptr);

 private:
  explicit Bench(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}
  [[nodiscard]] Result<> load(const Scenario& scenario, const Variant& variant);
  [[nodiscard]] Result<> add_regions(ArchId arch);
  [[nodiscard]] Result<> add_devices(ArchId arch);

  std::unique_ptr<Machine> machine_;
  Vm* vm_ = nullptr;
  ScratchDevice* scratch_ = nullptr;
};

/// Runs it once; a failure to set up is a test failure and gives nothing.
[[nodiscard]] std::optional<Outcome> run_once(const Scenario& scenario, const Variant& variant);

/// Runs it once, records and replays it.
[[nodiscard]] std::optional<Outcome> run_recorded(const Scenario& scenario, const Variant& variant);

/// Runs it twice alike, in slices, and with memory that is populated on demand, and records and
/// replays it; everything a guest or a digest sees must be equal. Gives the first outcome.
[[nodiscard]] std::optional<Outcome> run_scenario(const Scenario& scenario);

/// tests/scenarios/transcripts/ARCH/GUEST.txt
[[nodiscard]] std::string transcript_of(const Scenario& scenario);

/// Both texts side by side, '*' on the lines that differ.
[[nodiscard]] std::string side_by_side(const std::string& left, const std::string& right);

/// The command that runs the guest of `scenario` by hand.
[[nodiscard]] std::string command_of(const Scenario& scenario, const Variant& variant);

}  // namespace retrap::test
