// Round trips of the simulated aarch64 CPU, and its speed between them, against bare Unicorn.
#include <benchmark/benchmark.h>
#include <unicorn/unicorn.h>

#include "benches/bare_engine.h"
#include "benches/guest_loop.h"
#include "benches/words.h"

namespace retrap {
namespace {

constexpr std::uint64_t kRam = 0x4000'0000;
constexpr std::uint64_t kRamBytes = 64u << 20;
constexpr std::uint64_t kCode = kRam + 0x20'0000;
constexpr std::uint64_t kData = kRam + 0x100'0000;
constexpr std::uint64_t kUartFlags = 0x0900'0018;

/// A machine whose guest is `program`, entered with x0 = x1 = `argument`.
std::unique_ptr<Machine> machine_with(const Program& program, std::uint64_t argument) {
  auto machine = Machine::create({.memory_bytes = 256u << 20});
  if (!machine) return nullptr;
  Architecture* const arch = (*machine)->architecture(ArchId::Aarch64);
  VmConfig config = arch->default_config(kRamBytes);
  config.kernel_load_addr = kCode;
  Images images;
  auto image = Image::parse("bench", bytes_of(program), ArchId::Aarch64);
  if (!image) return nullptr;
  images.kernel = std::move(*image);
  const auto vm = (*machine)->add_vm(config, images);
  if (!vm) return nullptr;
  ArchVcpu& vcpu = (*vm)->board().vcpu(kBootVcpu);
  if (!vcpu.set_gpr(0, argument) || !vcpu.set_gpr(1, argument)) return nullptr;
  return std::move(*machine);
}

/// Times `per_item` instructions of a guest that loops, and takes an exit of `kind` each time.
void time_loop(benchmark::State& state, const Program& program, std::uint64_t argument,
               std::uint64_t per_item, const char* unit, std::size_t kind = kUnseen) {
  time_guest(state, {machine_with(program, argument), kCode, bytes_of(program).size()}, per_item,
             unit, kind);
}

BareEngine bare(const Program& program) {
  return {UC_ARCH_ARM64, UC_MODE_ARM, bytes_of(program)};
}

void BM_Aarch64BareUnicornStopsAndStarts(benchmark::State& state) {
  bare({{"svc #0", 0xd4000001}, {"b .-4", 0x17ffffff}}).time_stops(state, UC_ARM64_REG_PC);
}
BENCHMARK(BM_Aarch64BareUnicornStopsAndStarts);

// Budget: 250 ns, and 1.6 times the bare stop and start.
void BM_Aarch64HypercallIsAnswered(benchmark::State& state) {
  time_loop(state, {{"hvc #0", 0xd4000002}, {"mov x0, xzr", 0xaa1f03e0}, {"b .-8", 0x17fffffe}}, 0,
            3, "round_trip", kKindOf<exits::Hypercall>);
}
BENCHMARK(BM_Aarch64HypercallIsAnswered);

// Budget: 250 ns, and 1.6 times.
void BM_Aarch64SystemRegisterIsRead(benchmark::State& state) {
  time_loop(state, {{"mrs x0, S3_0_C4_C6_0", 0xd5384600}, {"b .-4", 0x17ffffff}}, 0, 2,
            "round_trip", kKindOf<exits::SysRegRead>);
}
BENCHMARK(BM_Aarch64SystemRegisterIsRead);

void BM_Aarch64SystemRegisterIsWritten(benchmark::State& state) {
  time_loop(state, {{"msr S3_0_C4_C6_0, x0", 0xd5184600}, {"b .-4", 0x17ffffff}}, 0xf0, 2,
            "round_trip", kKindOf<exits::SysRegWrite>);
}
BENCHMARK(BM_Aarch64SystemRegisterIsWritten);

// Budget: 400 ns, and 2.5 times.
void BM_Aarch64MmioIsRead(benchmark::State& state) {
  time_loop(state, {{"ldr w0, [x1]", 0xb9400020}, {"b .-4", 0x17ffffff}}, kUartFlags, 2,
            "round_trip", kKindOf<exits::MmioRead>);
}
BENCHMARK(BM_Aarch64MmioIsRead);

// UARTIMSC: writing it has no effect of its own.
void BM_Aarch64MmioIsWritten(benchmark::State& state) {
  time_loop(state, {{"str wzr, [x1, #0x20]", 0xb900203f}, {"b .-4", 0x17ffffff}}, kUartFlags, 2,
            "round_trip", kKindOf<exits::MmioWrite>);
}
BENCHMARK(BM_Aarch64MmioIsWritten);

// Not in place of ISV = 1: a pair has to be decoded.
void BM_Aarch64MmioPairIsRead(benchmark::State& state) {
  time_loop(state, {{"ldp w0, w2, [x1]", 0x29400820}, {"b .-4", 0x17ffffff}}, kUartFlags, 2,
            "round_trip", kKindOf<exits::NestedPageFault>);
}
BENCHMARK(BM_Aarch64MmioPairIsRead);

// The counter needs no exit.
void BM_Aarch64CounterIsRead(benchmark::State& state) {
  time_loop(state, {{"mrs x0, cntvct_el0", 0xd53be040}, {"b .-4", 0x17ffffff}}, 0, 2, "read");
}
BENCHMARK(BM_Aarch64CounterIsRead);

const Program kLoadStoreLoop = {{"ldr x2, [x1]", 0xf9400022},
                                {"add x2, x2, #1", 0x91000442},
                                {"str x2, [x1]", 0xf9000022},
                                {"b .-12", 0x17fffffd}};

// Budget: a sixth of what stock Unicorn takes for an instruction.
void BM_Aarch64LoadsAndStores(benchmark::State& state) {
  time_loop(state, kLoadStoreLoop, kData, 400, "of_400");
}
BENCHMARK(BM_Aarch64LoadsAndStores);

// The same loop, counted.
void BM_Aarch64StockUnicornLoadsAndStores(benchmark::State& state) {
  bare({{"ldr x2, [x1]", 0xf9400022},
        {"add x2, x2, #1", 0x91000442},
        {"str x2, [x1]", 0xf9000022},
        {"subs x3, x3, #1", 0xf1000463},
        {"b.ne .-16", 0x54ffff81},
        {"svc #0", 0xd4000001}})
      .time_loop(state, UC_ARM64_REG_X1, UC_ARM64_REG_X3, kBatch);
}
BENCHMARK(BM_Aarch64StockUnicornLoadsAndStores);

// Budget: 250 ns for a fill through both stages: 512 pages, then TLBI. Stage 1 has three levels
// (39-bit addresses), stage 2 four.
void BM_Aarch64TlbIsFilled(benchmark::State& state) {
  constexpr std::uint64_t kTables = kRam + 0x200'0000;
  const Program program = {{"msr ttbr0_el1, x0", 0xd5182000},
                           {"mov x2, #25", 0xd2800322},
                           {"movk x2, #5, lsl #32", 0xf2c000a2},
                           {"movk x2, #128, lsl #16", 0xf2a01002},
                           {"msr tcr_el1, x2", 0xd5182042},
                           {"mrs x3, sctlr_el1", 0xd5381003},
                           {"orr x3, x3, #1", 0xb2400063},
                           {"msr sctlr_el1, x3", 0xd5181003},
                           {"isb", 0xd5033fdf},
                           {"mov x4, #0x41000000", 0xd2a82004},
                           {"mov x5, #512", 0xd2804005},
                           {"ldr x6, [x4], #8", 0xf8408486},
                           {"add x4, x4, #4088", 0x913fe084},
                           {"subs x5, x5, #1", 0xf10004a5},
                           {"b.ne .-12", 0x54ffffa1},
                           {"tlbi vmalle1", 0xd508871f},
                           {"b .-28", 0x17fffff9}};
  const auto machine = machine_with(program, kTables);
  if (machine == nullptr) return state.SkipWithError("the machine does not start");
  Vm& vm = machine->vm(0);
  bool stored = vm.write_to_guest_of(GuestPhys(kTables + 8), kTables + 0x1000 + 3).has_value();
  for (std::uint64_t block = 0; block < 32; ++block) {
    const std::uint64_t level3 = kTables + 0x2000 + block * 0x1000;
    stored &= vm.write_to_guest_of(GuestPhys(kTables + 0x1000 + 8 * block), level3 | 3).has_value();
    for (std::uint64_t page = 0; page < 512; ++page) {
      const std::uint64_t to = kRam + (block << 21) + (page << 12);
      stored &= vm.write_to_guest_of(GuestPhys(level3 + 8 * page), to | 0x403).has_value();
    }
  }
  if (!stored) return state.SkipWithError("the tables do not fit");
  constexpr std::uint64_t kRound = 4 * 512 + 4;
  for (auto _ : state) (void)machine->run(kRound * 100);
  state.counters["fill"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 100 * 513,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Aarch64TlbIsFilled);

}  // namespace
}  // namespace retrap
