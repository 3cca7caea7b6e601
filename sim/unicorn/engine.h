// A Unicorn engine that closes itself, with the set-up that all three architectures share.
#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <utility>

#include "sim/unicorn/host_clock.h"
#include "vmm/base/result.h"
#include "vmm/host_memory.h"

namespace retrap::unicorn {

/// Aborts with the engine's own words: for calls that can only fail when our code is wrong.
void check(uc_err error, const char* what);

/// Owns one uc_engine.
///
/// Set-up: all of `memory` mapped at its host-physical addresses; UC_TLB_VIRTUAL (the fill hook
/// does both stages); an empty exit set instead of an `until` address (an `until` invalidates
/// translations at every stop); 4 KiB pages. Never use uc_emu_start's count or timeout: the first
/// flushes all translations, the second starts a thread.
class Engine {
 public:
  struct Options {
    uc_arch arch;
    uc_mode mode;
    int cpu_model = -1;  ///< UC_CPU_*, or -1 for the default of the architecture
  };

  /// Backend where Unicorn refuses, naming its version and the call.
  [[nodiscard]] static Result<Engine> open(const Options& options, HostMemory& memory);
  Engine(Engine&& other) noexcept : uc_(std::exchange(other.uc_, nullptr)) {}
  Engine& operator=(Engine&&) = delete;
  Engine(const Engine&) = delete;
  ~Engine();

  [[nodiscard]] uc_engine* get() const { return uc_; }

  /// Adds a hook for every address (begin > end is Unicorn's way to say so), or for [begin, end].
  uc_hook add_hook(int type, void* callback, void* user, std::uint64_t begin = 1,
                   std::uint64_t end = 0);
  uc_hook add_instruction_hook(int instruction, void* callback, void* user, std::uint64_t begin = 1,
                               std::uint64_t end = 0);
  void remove_hook(uc_hook hook);

  /// uc_emu_start without limits, while Unicorn's view of the host clock stands still.
  uc_err start(std::uint64_t pc) {
    const HostClockStandsStill guard;
    return uc_emu_start(uc_, pc, 0, 0, 0);
  }

  /// Drops every cached address translation. About 0.2 us, plus refills.
  void flush_tlb();
  /// Drops every translation of code.
  void flush_code();

 private:
  explicit Engine(uc_engine* uc) : uc_(uc) {}
  uc_engine* uc_;
};

}  // namespace retrap::unicorn
