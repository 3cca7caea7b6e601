// Times a guest that loops, and checks what it did: a guest gone astray is no measurement.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>

#include "sim/machine.h"

namespace retrap {

/// Items of an iteration of time_guest().
inline constexpr std::uint64_t kBatch = 10'000;

/// A machine and where its guest's program is.
struct Loop {
  std::unique_ptr<Machine> machine;  ///< null where it does not start
  std::uint64_t base;
  std::uint64_t size;
};

/// The index of an exit in VmStatistics::exits.
template <class Exit>
inline constexpr std::size_t kKindOf = ExitReason(std::in_place_type<Exit>).index();

/// No exit of the monitor's: answered below it, or none at all.
inline constexpr std::size_t kUnseen = kExitKinds;

/// SkipWithError unless the guest has taken `wanted` exits of `kind`; one may be missing, where the
/// loop has a prologue.
inline void check_exits(benchmark::State& state, const Vm& vm, std::size_t kind,
                        std::uint64_t wanted) {
  if (kind == kUnseen) return;
  const std::uint64_t taken = vm.statistics().exits[kind];
  if (taken <= wanted && taken + 1 >= wanted) return;
  const auto why =
      fmt::format("the guest took {} exits {}, not {}", taken, kExitNames[kind], wanted);
  state.SkipWithError(why.c_str());
}

/// SkipWithError unless the boot vCPU is in the `size` bytes from `base` on.
inline void check_pc(benchmark::State& state, Vm& vm, std::uint64_t base, std::uint64_t size) {
  const std::uint64_t pc = vm.board().vcpu(kBootVcpu).pc();
  if (pc >= base && pc - base < size) return;
  state.SkipWithError(fmt::format("the guest is at {:#x}, not in its program", pc).c_str());
}

/// Times `per_item` instructions of a guest that takes an exit of `kind` each time.
inline void time_guest(benchmark::State& state, const Loop& loop, std::uint64_t per_item,
                       const char* unit, std::size_t kind = kUnseen) {
  if (loop.machine == nullptr) return state.SkipWithError("the machine does not start");
  for (auto _ : state) {
    const RunReport report = loop.machine->run(per_item * kBatch);
    if (report.reason != StopReason::BudgetSpent) return state.SkipWithError("the guest stopped");
  }
  const std::uint64_t count = static_cast<std::uint64_t>(state.iterations()) * kBatch;
  check_exits(state, loop.machine->vm(0), kind, count);
  check_pc(state, loop.machine->vm(0), loop.base, loop.size);
  state.counters[unit] = benchmark::Counter(
      static_cast<double>(count), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

}  // namespace retrap
