// What the monitor adds to an exit, without an engine: buses, faults, the run loop, the digest.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "benches/latch.h"
#include "sim/scheduler.h"
#include "sim/scripted/scripted_board.h"
#include "vmm/vm.h"

namespace retrap {
namespace {

/// Answers the same exit over and over, and retires one instruction each time.
class OneExit final : public ArchVcpu {
 public:
  OneExit(Clock& clock, ExitReason exit) : clock_(clock), exit_(exit) {}
  ExitReason run() override {
    if (clock_.retired() >= clock_.stop_at()) return exits::BudgetSpent{};
    return exit_;
  }
  void complete(std::uint64_t) override { clock_.retire_to(clock_.retired() + 1); }
  void refuse() override {}
  Emulated emulate(AccessPort& port) override {
    std::uint64_t value = 0;
    benchmark::DoNotOptimize(port.read({GuestPhys(0x0900'0000), Width::Word}, value));
    clock_.retire_to(clock_.retired() + 1);
    return Emulated::Retired;
  }
  void inject_abort(const exits::NestedPageFault&) override {}
  void reset() override {}
  void set_entry(GuestPhys, std::uint64_t) override {}
  Result<std::uint64_t> gpr(unsigned) const override { return 0; }
  Result<> set_gpr(unsigned, std::uint64_t) override { return {}; }
  std::uint64_t pc() const override { return 0; }
  void set_return_value(std::uint64_t) override { clock_.retire_to(clock_.retired() + 1); }
  std::uint64_t not_supported() const override { return 0; }
  bool wakeup_pending() const override { return false; }
  std::vector<NamedRegister> registers() const override { return {}; }
  void digest(Digest&) const override {}

 private:
  Clock& clock_;
  ExitReason exit_;
};

class OneExitBoard final : public Board {
 public:
  OneExitBoard(Clock& clock, ExitReason exit) : vcpu_(clock, exit) {}
  ArchVcpu& vcpu(VcpuId) override { return vcpu_; }
  InterruptController& interrupts() override { return interrupts_; }
  Result<> load(const Images&) override { return {}; }
  bool receive(char) override { return false; }
  void reset() override {}
  void digest(Digest&) const override {}

 private:
  OneExit vcpu_;
  std::vector<std::unique_ptr<scripted::ScriptedVcpu>> none_;
  scripted::ScriptedInterrupts interrupts_{none_};
};

class OneExitHost final : public Hal, public Architecture, public ConsoleSink {
 public:
  explicit OneExitHost(ExitReason exit) : exit_(exit) {}
  Frames& frames() override { return frames_; }
  Clock& clock() override { return clock_; }
  Architecture* architecture(ArchId) override { return this; }
  ArchId id() const override { return ArchId::Riscv64; }
  const PageTableFormat& page_table_format() const override { return format_; }
  VmConfig default_config(std::uint64_t memory_bytes) const override {
    VmConfig config;
    config.name = "bench";
    config.memory_regions.push_back({.gpa = 0x4000'0000, .size = memory_bytes});
    return config;
  }
  void check(const VmConfig&, std::vector<std::string>&) const override {}
  Result<std::unique_ptr<Board>> make_board(const VmConfig&, VmParts parts) override {
    return std::make_unique<OneExitBoard>(parts.clock, exit_);
  }
  void put(char) override {}

 private:
  ExitReason exit_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(64 << 20);
  HostMemory memory_{HostPhys(0x1'0000'0000), bytes_};
  Frames frames_{memory_};
  Clock clock_;
  scripted::ScriptedFormat format_;
};

// From an address to its device, past `range(0)` devices. Budget: 50 ns at 64.
void BM_BusFindsTheDevice(benchmark::State& state) {
  Clock clock;
  Bus bus("mmio", clock);
  const auto count = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!bus.add(0x0900'0000 + i * 0x1000, std::make_unique<Latch>(0x1000))) std::abort();
  }
  std::uint64_t at = 0;
  for (auto _ : state) {
    at = (at * 5 + 7) % count;
    benchmark::DoNotOptimize(bus.read(0x0900'0000 + at * 0x1000, Width::Word, kBootVcpu));
  }
}
BENCHMARK(BM_BusFindsTheDevice)->Arg(1)->Arg(64)->Arg(512);

/// The run loop's share of `range(1)`-th exit, a thousand exits a turn.
void run_loop(benchmark::State& state, const ExitReason& exit) {
  OneExitHost host(exit);
  auto vm = *Vm::create(host.default_config(1 << 20), host, host);
  if (!vm->add_mmio_device(GuestPhys(0x0900'0000), std::make_unique<Latch>(0x1000)) ||
      !vm->boot()) {
    std::abort();
  }
  constexpr std::uint64_t kTurn = 1000;
  for (auto _ : state) {
    host.clock().set_slice_end(host.clock().retired() + kTurn);
    benchmark::DoNotOptimize(vm->run_vcpu(kBootVcpu));
  }
  state.counters["per_exit"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kTurn),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// A decoded MMIO read through the loop and the bus. Budget: 60 ns.
void BM_RunLoopAnswersAnMmioRead(benchmark::State& state) {
  run_loop(state, exits::MmioRead{GuestPhys(0x0900'0000), Width::Word});
}
BENCHMARK(BM_RunLoopAnswersAnMmioRead);

// A hypercall through scheduler, hypervisor and run loop. Budget: 40 ns.
void BM_SchedulerAnswersAHypercall(benchmark::State& state) {
  OneExitHost host(exits::Hypercall{.nr = 0x4000, .args = {1, 2, 3, 4, 5, 6}});
  Hypervisor hypervisor;
  auto vm = *Vm::create(host.default_config(1 << 20), host, host);
  if (!hypervisor.adopt(std::move(vm))) std::abort();
  hypervisor.boot_all();
  Scheduler scheduler(hypervisor, host.clock(), {});
  constexpr std::uint64_t kTurn = 1000;
  for (auto _ : state) {
    benchmark::DoNotOptimize(scheduler.run(host.clock().retired() + kTurn));
  }
  state.counters["per_exit"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kTurn),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_SchedulerAnswersAHypercall);

// A fault that the monitor emulates: two exits. Budget: 90 ns.
void BM_RunLoopEmulatesAFault(benchmark::State& state) {
  run_loop(state, exits::NestedPageFault{GuestPhys(0x0900'0000), MappingFlags::Read});
}
BENCHMARK(BM_RunLoopEmulatesAFault);

// A lazy page comes in: find the region, take and zero a frame, write the leaf. Budget: 500 ns.
void BM_FaultPopulatesAPage(benchmark::State& state) {
  constexpr std::uint64_t kRam = 32 << 20;
  const scripted::ScriptedFormat format;
  std::vector<std::byte> bytes(64 << 20);
  HostMemory memory(HostPhys(0x1'0000'0000), bytes);
  Frames frames(memory);
  const auto fresh = [&] {
    auto space = *AddressSpace::make(format, frames, VmId{1});
    if (!space.map_ram(GuestPhys(0), kRam,
                       MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute,
                       MapType::Alloc, Populate::Lazy, "ram")) {
      std::abort();
    }
    return std::make_unique<AddressSpace>(std::move(space));
  };
  auto space = fresh();
  std::uint64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(space->handle_fault(GuestPhys(at), MappingFlags::Write));
    at += kPageSize;
    if (at == kRam) {
      state.PauseTiming();
      space.reset();
      space = fresh();
      at = 0;
      state.ResumeTiming();
    }
  }
}
BENCHMARK(BM_FaultPopulatesAPage);

// RAM that is all written, `range(0)` MiB of it. Budget: 5 GB/s.
void BM_DigestOfMemory(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 20;
  const scripted::ScriptedFormat format;
  std::vector<std::byte> bytes(size + (16 << 20));
  HostMemory memory(HostPhys(0x1'0000'0000), bytes);
  Frames frames(memory);
  auto space = *AddressSpace::make(format, frames, VmId{1});
  const std::vector<std::byte> pattern(size, std::byte{0x5a});
  if (!space.map_ram(GuestPhys(0), size, MappingFlags::Read | MappingFlags::Write, MapType::Alloc,
                     Populate::Eager, "ram") ||
      !space.write(GuestPhys(0), pattern)) {
    std::abort();
  }
  for (auto _ : state) {
    Digest digest;
    space.digest(digest);
    benchmark::DoNotOptimize(digest.value());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(size) *
                          static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(BM_DigestOfMemory)->Arg(64);

}  // namespace
}  // namespace retrap
