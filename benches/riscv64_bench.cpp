// Round trips of the simulated riscv64 hart, and its speed between them, against bare Unicorn.
#include <benchmark/benchmark.h>
#include <unicorn/unicorn.h>

#include "benches/bare_engine.h"
#include "benches/guest_loop.h"
#include "benches/latch.h"
#include "benches/words.h"

namespace retrap {
namespace {

constexpr std::uint64_t kRam = 0x8000'0000;
constexpr std::uint64_t kRamBytes = 64u << 20;
constexpr std::uint64_t kCode = kRam + 0x20'0000;
constexpr std::uint64_t kData = kRam + 0x100'0000;
constexpr std::uint64_t kUart = 0x1000'0000;
constexpr std::uint64_t kCustomCsr = 0x5c0;
constexpr std::uint64_t kHypercall = 0x48'5643;

/// A machine whose guest is `program`, entered with a1 = `argument` and a7 = the hypercall's EID.
std::unique_ptr<Machine> machine_with(const Program& program, std::uint64_t argument) {
  auto machine = Machine::create({.memory_bytes = 256u << 20});
  if (!machine) return nullptr;
  Architecture* const arch = (*machine)->architecture(ArchId::Riscv64);
  VmConfig config = arch->default_config(kRamBytes);
  config.kernel_load_addr = kCode;
  Images images;
  auto image = Image::parse("bench", bytes_of(program), ArchId::Riscv64);
  if (!image) return nullptr;
  images.kernel = std::move(*image);
  const auto vm = (*machine)->add_vm(config, images);
  if (!vm) return nullptr;
  if (!(*vm)->add_sysreg_device(kCustomCsr, std::make_unique<Latch>(1))) return nullptr;
  ArchVcpu& vcpu = (*vm)->board().vcpu(kBootVcpu);
  if (!vcpu.set_gpr(11, argument) || !vcpu.set_gpr(17, kHypercall)) return nullptr;
  return std::move(*machine);
}

/// Times `per_item` instructions of a guest that loops, and takes an exit of `kind` each time.
void time_loop(benchmark::State& state, const Program& program, std::uint64_t argument,
               std::uint64_t per_item, const char* unit, std::size_t kind = kUnseen) {
  time_guest(state, {machine_with(program, argument), kCode, bytes_of(program).size()}, per_item,
             unit, kind);
}

BareEngine bare(const Program& program) {
  return {UC_ARCH_RISCV, UC_MODE_RISCV64, bytes_of(program)};
}

void BM_Riscv64BareUnicornStopsAndStarts(benchmark::State& state) {
  bare({{"ecall", 0x00000073}, {"j .-4", 0xffdff06f}}).time_stops(state, UC_RISCV_REG_PC);
}
BENCHMARK(BM_Riscv64BareUnicornStopsAndStarts);

// Budget: 250 ns, and 1.6 times the bare stop and start.
void BM_Riscv64HypercallIsAnswered(benchmark::State& state) {
  time_loop(state, {{"ecall", 0x00000073}, {"j .-4", 0xffdff06f}}, 0, 2, "round_trip",
            kKindOf<exits::Hypercall>);
}
BENCHMARK(BM_Riscv64HypercallIsAnswered);

// Budget: 250 ns, and 1.6 times.
void BM_Riscv64CsrIsRead(benchmark::State& state) {
  time_loop(state, {{"csrr a0, 0x5c0", 0x5c002573}, {"j .-4", 0xffdff06f}}, 0, 2, "round_trip",
            kKindOf<exits::SysRegRead>);
}
BENCHMARK(BM_Riscv64CsrIsRead);

void BM_Riscv64CsrIsWritten(benchmark::State& state) {
  time_loop(state, {{"csrw 0x5c0, a0", 0x5c051073}, {"j .-4", 0xffdff06f}}, 0, 2, "round_trip",
            kKindOf<exits::SysRegWrite>);
}
BENCHMARK(BM_Riscv64CsrIsWritten);

// Budget: 400 ns, and 2.5 times.
void BM_Riscv64MmioIsRead(benchmark::State& state) {
  time_loop(state, {{"lbu a2, 5(a1)", 0x0055c603}, {"j .-4", 0xffdff06f}}, kUart, 2, "round_trip",
            kKindOf<exits::MmioRead>);
}
BENCHMARK(BM_Riscv64MmioIsRead);

// The scratch register: writing it has no effect of its own.
void BM_Riscv64MmioIsWritten(benchmark::State& state) {
  time_loop(state, {{"sb zero, 7(a1)", 0x000583a3}, {"j .-4", 0xffdff06f}}, kUart, 2, "round_trip",
            kKindOf<exits::MmioWrite>);
}
BENCHMARK(BM_Riscv64MmioIsWritten);

// Time needs no exit.
void BM_Riscv64TimeIsRead(benchmark::State& state) {
  time_loop(state, {{"rdtime a0", 0xc0102573}, {"j .-4", 0xffdff06f}}, 0, 2, "read");
}
BENCHMARK(BM_Riscv64TimeIsRead);

// Budget: a sixth of what stock Unicorn takes for an instruction.
void BM_Riscv64LoadsAndStores(benchmark::State& state) {
  time_loop(state,
            {{"ld a2, 0(a1)", 0x0005b603},
             {"addi a2, a2, 1", 0x00160613},
             {"sd a2, 0(a1)", 0x00c5b023},
             {"j .-12", 0xff5ff06f}},
            kData, 400, "of_400");
}
BENCHMARK(BM_Riscv64LoadsAndStores);

// The same loop, counted.
void BM_Riscv64StockUnicornLoadsAndStores(benchmark::State& state) {
  bare({{"ld a2, 0(a1)", 0x0005b603},
        {"addi a2, a2, 1", 0x00160613},
        {"sd a2, 0(a1)", 0x00c5b023},
        {"addi a3, a3, -1", 0xfff68693},
        {"bnez a3, .-16", 0xfe0698e3},
        {"ecall", 0x00000073}})
      .time_loop(state, UC_RISCV_REG_A1, UC_RISCV_REG_A3, kBatch);
}
BENCHMARK(BM_Riscv64StockUnicornLoadsAndStores);

// Budget: 250 ns for a fill through both stages: 512 pages of 4 KiB under Sv39, then SFENCE.VMA.
void BM_Riscv64TlbIsFilled(benchmark::State& state) {
  constexpr std::uint64_t kTables = kRam + 0x200'0000;
  const auto machine = machine_with({{"li t0, 8", 0x00800293},
                                     {"slli t0, t0, 60", 0x03c29293},
                                     {"srli t1, a1, 12", 0x00c5d313},
                                     {"or t0, t0, t1", 0x0062e2b3},
                                     {"csrw satp, t0", 0x18029073},
                                     {"lui a4, 0x40000", 0x40000737},
                                     {"li a5, 512", 0x20000793},
                                     {"ld a6, 0(a4)", 0x00073803},
                                     {"lui t2, 1", 0x000013b7},
                                     {"add a4, a4, t2", 0x00770733},
                                     {"addi a5, a5, -1", 0xfff78793},
                                     {"bnez a5, .-16", 0xfe0798e3},
                                     {"sfence.vma", 0x12000073},
                                     {"j .-32", 0xfe1ff06f}},
                                    kTables);
  if (machine == nullptr) return state.SkipWithError("the machine does not start");
  Vm& vm = machine->vm(0);
  bool stored = true;
  const auto put = [&](std::uint64_t at, std::uint64_t address, std::uint64_t bits) {
    stored &= vm.write_to_guest_of(GuestPhys(at), address >> 12 << 10 | bits).has_value();
  };
  put(kTables + 16, kRam, 0xcf);
  put(kTables + 8, kTables + 0x1000, 1);
  put(kTables + 0x1000, kTables + 0x2000, 1);
  for (std::uint64_t page = 0; page < 512; ++page) {
    put(kTables + 0x2000 + 8 * page, kData + (page << 12), 0xc7);
  }
  if (!stored) return state.SkipWithError("the tables do not fit");
  constexpr std::uint64_t kRound = 5 * 512 + 4;
  for (auto _ : state) {
    if (machine->run(kRound * 100).reason != StopReason::BudgetSpent) {
      return state.SkipWithError("the guest stopped");
    }
  }
  state.counters["fill"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 100 * 513,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Riscv64TlbIsFilled);

}  // namespace
}  // namespace retrap
