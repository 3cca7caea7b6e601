// The yardstick: Unicorn as it comes, with no hook but the one that stops it.
#pragma once

#include <benchmark/benchmark.h>
#include <unicorn/unicorn.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace retrap {

/// Stock Unicorn with `code` at kStart: one mapping for everything, readable, writable, executable,
/// and nothing counted. An exception of the guest stops it.
class BareEngine {
 public:
  static constexpr std::uint64_t kStart = 0x1000;
  static constexpr std::uint64_t kData = 0x8000;

  BareEngine(uc_arch arch, uc_mode mode, std::span<const std::byte> code) {
    uc_open(arch, mode, &uc_);
    uc_mem_map(uc_, 0, 0x10000, UC_PROT_ALL);
    uc_mem_write(uc_, kStart, code.data(), code.size());
    uc_hook hook = 0;
    const auto stop = +[](uc_engine* engine, std::uint32_t, void*) { uc_emu_stop(engine); };
    uc_hook_add(uc_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(stop), nullptr, 1, 0);
    uc_ctl_exits_enable(uc_);
  }
  ~BareEngine() { uc_close(uc_); }
  BareEngine(const BareEngine&) = delete;
  BareEngine& operator=(const BareEngine&) = delete;

  /// Stops and starts: the program raises an exception and jumps back to it.
  void time_stops(benchmark::State& state, int pc_register) {
    std::uint64_t pc = kStart;
    for (auto _ : state) {
      uc_emu_start(uc_, pc, 0, 0, 0);
      uc_reg_read(uc_, pc_register, &pc);
    }
  }

  /// A loop of five instructions: `address` is where it loads and stores, `count` counts down.
  /// Reported as "of_400", a batch of `batch` times 400 instructions an iteration.
  void time_loop(benchmark::State& state, int address, int count, std::uint64_t batch) {
    uc_reg_write(uc_, address, &kData);
    const std::uint64_t rounds = batch * 80;
    for (auto _ : state) {
      uc_reg_write(uc_, count, &rounds);
      uc_emu_start(uc_, kStart, 0, 0, 0);
    }
    state.counters["of_400"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(batch),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  }

 private:
  uc_engine* uc_ = nullptr;
};

}  // namespace retrap
