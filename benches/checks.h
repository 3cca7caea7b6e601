// What a guest did, compared with what was timed: a guest gone astray is no measurement.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "vmm/vm.h"

namespace retrap {

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

}  // namespace retrap
