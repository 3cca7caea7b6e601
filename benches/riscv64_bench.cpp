// Round trips of the simulated riscv64 hart, and its speed between them, against bare Unicorn.
#include <benchmark/benchmark.h>
#include <unicorn/unicorn.h>

#include <cstring>
#include <vector>

#include "benches/checks.h"
#include "sim/machine.h"

namespace retrap {
namespace {

constexpr std::uint64_t kRam = 0x8000'0000;
constexpr std::uint64_t kRamBytes = 64u << 20;
constexpr std::uint64_t kCode = kRam + 0x20'0000;
constexpr std::uint64_t kData = kRam + 0x100'0000;
constexpr std::uint64_t kUart = 0x1000'0000;
constexpr std::uint64_t kCustomCsr = 0x5c0;
constexpr std::uint64_t kHypercall = 0x48'5643;
constexpr std::uint64_t kBatch = 10'000;

/// A machine word and what it says.
struct Insn {
  const char* assembly;
  std::uint32_t word;
};
using Program = std::vector<Insn>;

/// A CSR that holds what is written to it.
class CustomCsr final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "custom-csr"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access&) override { return value_; }
  [[nodiscard]] IoResult<> write(const Access&, std::uint64_t value) override {
    value_ = value;
    return {};
  }
  void reset() override { value_ = 0; }
  void digest(Digest& into) const override { into.add(value_); }

 private:
  std::uint64_t value_ = 0;
};

std::vector<std::byte> bytes_of(const Program& program) {
  std::vector<std::byte> bytes(program.size() * 4);
  for (std::size_t i = 0; i < program.size(); ++i) {
    std::memcpy(bytes.data() + 4 * i, &program[i].word, 4);
  }
  return bytes;
}

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
  if (!(*vm)->add_sysreg_device(kCustomCsr, std::make_unique<CustomCsr>())) return nullptr;
  ArchVcpu& vcpu = (*vm)->board().vcpu(kBootVcpu);
  if (!vcpu.set_gpr(11, argument) || !vcpu.set_gpr(17, kHypercall)) return nullptr;
  return std::move(*machine);
}

/// Times `per_item` instructions of a guest that loops, and takes an exit of `kind` each time.
void time_loop(benchmark::State& state, const Program& program, std::uint64_t argument,
               std::uint64_t per_item, const char* unit, std::size_t kind = kUnseen) {
  const auto machine = machine_with(program, argument);
  if (machine == nullptr) return state.SkipWithError("the machine does not start");
  for (auto _ : state) {
    const RunReport report = machine->run(per_item * kBatch);
    if (report.reason != StopReason::BudgetSpent) return state.SkipWithError("the guest stopped");
  }
  const std::uint64_t count = static_cast<std::uint64_t>(state.iterations()) * kBatch;
  check_exits(state, machine->vm(0), kind, count);
  check_pc(state, machine->vm(0), kCode, bytes_of(program).size());
  const auto items = static_cast<double>(count);
  state.counters[unit] =
      benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// An engine without hooks but the one that stops it.
class BareEngine {
 public:
  explicit BareEngine(const Program& program) {
    uc_open(UC_ARCH_RISCV, UC_MODE_RISCV64, &uc_);
    uc_mem_map(uc_, 0, 0x10000, UC_PROT_ALL);
    const auto code = bytes_of(program);
    uc_mem_write(uc_, 0x1000, code.data(), code.size());
    uc_hook hook = 0;
    const auto stop = +[](uc_engine* engine, std::uint32_t, void*) { uc_emu_stop(engine); };
    uc_hook_add(uc_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(stop), nullptr, 1, 0);
    uc_ctl_exits_enable(uc_);
  }
  ~BareEngine() { uc_close(uc_); }
  BareEngine(const BareEngine&) = delete;
  BareEngine& operator=(const BareEngine&) = delete;
  [[nodiscard]] uc_engine* get() const { return uc_; }

 private:
  uc_engine* uc_ = nullptr;
};

// The yardstick of the round trips.
void BM_Riscv64BareUnicornStopsAndStarts(benchmark::State& state) {
  const BareEngine engine({{"ecall", 0x00000073}, {"j .-4", 0xffdff06f}});
  std::uint64_t pc = 0x1000;
  for (auto _ : state) {
    uc_emu_start(engine.get(), pc, 0, 0, 0);
    uc_reg_read(engine.get(), UC_RISCV_REG_PC, &pc);
  }
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
            kData, 4 * 100, "of_400");
}
BENCHMARK(BM_Riscv64LoadsAndStores);

// Stock: one mapping for everything, readable, writable, executable, and nothing counted.
void BM_Riscv64StockUnicornLoadsAndStores(benchmark::State& state) {
  const BareEngine engine({{"ld a2, 0(a1)", 0x0005b603},
                           {"addi a2, a2, 1", 0x00160613},
                           {"sd a2, 0(a1)", 0x00c5b023},
                           {"addi a3, a3, -1", 0xfff68693},
                           {"bnez a3, .-16", 0xfe0698e3},
                           {"ecall", 0x00000073}});
  const std::uint64_t data = 0x8000;
  uc_reg_write(engine.get(), UC_RISCV_REG_A1, &data);
  constexpr std::uint64_t kRounds = kBatch * 80;  // five instructions each
  for (auto _ : state) {
    uc_reg_write(engine.get(), UC_RISCV_REG_A3, &kRounds);
    uc_emu_start(engine.get(), 0x1000, 0, 0, 0);
  }
  state.counters["of_400"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kBatch),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
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
