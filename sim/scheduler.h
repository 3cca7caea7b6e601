// Who runs next, and for how long: a function of the seed and of what the guests do.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "sim/phys_cpus.h"
#include "vmm/base/prng.h"
#include "vmm/clock.h"
#include "vmm/hypervisor.h"

namespace retrap {

/// Runs the vCPUs of a hypervisor by turns on one thread.
///
/// Round robin; a turn ends at an instruction count drawn from the seed when it begins, or earlier
/// where the vCPU halts or wakes another. Where nobody else can run, a turn has no end of its own.
/// Where a VM has `phys_cpu_sets`, PhysCpus says who is next. When nobody can run, virtual time
/// jumps to the next alarm.
///
/// Invariant: turns depend on neither the forced slice nor on where run() stops.
class Scheduler {
 public:
  enum class Stop : std::uint8_t {
    GuestEnded,  ///< a VM powered off, crashed or asked for a reset
    BudgetSpent,
    Deadlocked,
    Requested,  ///< request_stop()
  };

  /// 100 us of virtual time: long enough to pay for the switch.
  static constexpr std::uint64_t kMeanTurn = 100'000;
  /// Milliseconds of a guest that computes, a second of one that does nothing but exit.
  static constexpr std::uint64_t kLook = 1'000'000;

  struct Options {
    std::uint64_t seed = 1;
    std::uint64_t slice = 0;  ///< stops and resumes every so many instructions (0: never)
    std::uint64_t mean_turn = kMeanTurn;  ///< instructions, at least 1
    std::uint32_t phys_cpus = kMaxVcpus;  ///< 1 to 64
  };

  /// The others outlive this.
  Scheduler(Hypervisor& hypervisor, Clock& clock, const Options& options)
      : hypervisor_(hypervisor),
        clock_(clock),
        options_(options),
        prng_(options.seed),
        cpus_(hypervisor, options.phys_cpus) {}

  /// Runs until a VM ends, nobody can ever run, or the clock has retired `limit` instructions.
  [[nodiscard]] Stop run(std::uint64_t limit);

  /// Turns are drawn from this seed, from the next one on.
  void reseed(std::uint64_t seed) { prng_ = Prng(seed); }

  [[nodiscard]] const PhysCpus& phys_cpus() const { return cpus_; }

  /// Where `*flag` is true, run() returns Requested before it goes on; it looks every kLook
  /// instructions. Null for none; outlives its registration.
  void set_stop_flag(const std::atomic<bool>* flag) { stop_flag_ = flag; }

  /// While run() is at work: the vCPU comes back before its next instruction, and run() returns.
  void request_stop() {
    stop_requested_ = true;
    clock_.set_slice_end(clock_.retired());
  }

 private:
  struct Turn {
    Hypervisor::Place place;
    std::uint64_t end;  ///< an instruction count: nothing goes on beyond
  };

  [[nodiscard]] bool begin_turn();
  [[nodiscard]] Turn draw_turn();  ///< of last_; the clock has when it is due
  /// The first Runnable vCPU after the one that had the last turn.
  [[nodiscard]] std::optional<Hypervisor::Place> next_runnable() const;
  /// Who has the next turn.
  [[nodiscard]] std::optional<Hypervisor::Place> next_place();

  Hypervisor& hypervisor_;
  Clock& clock_;
  Options options_;
  Prng prng_;
  PhysCpus cpus_;
  Hypervisor::Place last_{.vm = 0, .vcpu = kBootVcpu};
  bool fresh_ = true;  ///< no turn yet: `last_` means nothing
  std::optional<Turn> turn_;
  bool stop_requested_ = false;
  const std::atomic<bool>* stop_flag_ = nullptr;  ///< may be null
};

}  // namespace retrap
