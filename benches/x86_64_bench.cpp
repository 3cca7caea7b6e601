// Round trips of the simulated x86_64 CPU, and its speed between them, against bare Unicorn.
#include <benchmark/benchmark.h>
#include <elf.h>
#include <unicorn/unicorn.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "benches/bare_engine.h"
#include "benches/guest_loop.h"

namespace retrap {
namespace {

constexpr std::uint64_t kRamBytes = 64U << 20;
constexpr std::uint64_t kCode = 0x20'0000;
constexpr std::uint64_t kData = 0x100'0000;
constexpr std::uint64_t kIoApic = 0xfec0'0000;
constexpr std::uint64_t kPrologue = 5;  // bytes

/// The bytes of an instruction and what they say.
struct Insn {
  const char* assembly;
  std::vector<std::uint8_t> bytes;
};
using Program = std::vector<Insn>;

std::vector<std::byte> bytes_of(const Program& program) {
  std::vector<std::byte> bytes;
  for (const Insn& insn : program) {
    for (const std::uint8_t byte : insn.bytes) bytes.push_back(std::byte{byte});
  }
  return bytes;
}

/// An executable that consists of `program` at kCode: a bare image would be entered in real mode.
std::vector<std::byte> executable_of(const Program& program) {
  const auto code = bytes_of(program);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = kCode;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_W | PF_X;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_vaddr = segment.p_paddr = kCode;
  segment.p_filesz = segment.p_memsz = code.size();
  std::vector<std::byte> bytes(segment.p_offset + code.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &segment, sizeof segment);
  std::ranges::copy(code, bytes.begin() + static_cast<std::ptrdiff_t>(segment.p_offset));
  return bytes;
}

/// A machine whose guest is `program`, entered in 64-bit mode, behind "mov edi, argument".
std::unique_ptr<Machine> machine_with(const Program& program, std::uint64_t argument) {
  auto machine = Machine::create({.memory_bytes = 256U << 20});
  if (!machine) return nullptr;
  Architecture* const arch = (*machine)->architecture(ArchId::X86_64);
  const VmConfig config = arch->default_config(kRamBytes);
  Images images;
  Insn load{"mov edi, argument", {0xbf}};
  for (unsigned i = 0; i < 4; ++i) {
    load.bytes.push_back(static_cast<std::uint8_t>(argument >> (8 * i)));
  }
  Program all = {load};
  all.insert(all.end(), program.begin(), program.end());
  auto image = Image::parse("bench", executable_of(all), ArchId::X86_64);
  if (!image) return nullptr;
  images.kernel = std::move(*image);
  const auto vm = (*machine)->add_vm(config, images);
  if (!vm) return nullptr;
  return std::move(*machine);
}

/// Times `per_item` instructions of a guest that loops, and takes an exit of `kind` each time.
void time_loop(benchmark::State& state, const Program& program, std::uint64_t argument,
               std::uint64_t per_item, const char* unit, std::size_t kind = kUnseen) {
  time_guest(state, {machine_with(program, argument), kCode, bytes_of(program).size() + kPrologue},
             per_item, unit, kind);
}

BareEngine bare(const Program& program) {
  return {UC_ARCH_X86, UC_MODE_64, bytes_of(program)};
}

void BM_X86BareUnicornStopsAndStarts(benchmark::State& state) {
  bare({{"int 0x80", {0xcd, 0x80}}, {"jmp .-2", {0xeb, 0xfc}}}).time_stops(state, UC_X86_REG_RIP);
}
BENCHMARK(BM_X86BareUnicornStopsAndStarts);

// Budget: 250 ns, and 1.6 times the bare stop and start.
void BM_X86HypercallIsAnswered(benchmark::State& state) {
  time_loop(state, {{"vmmcall", {0x0f, 0x01, 0xd9}}, {"jmp .-3", {0xeb, 0xfb}}}, 0, 2, "round_trip",
            kKindOf<exits::Hypercall>);
}
BENCHMARK(BM_X86HypercallIsAnswered);

void BM_X86CpuidIsAnswered(benchmark::State& state) {
  time_loop(state, {{"cpuid", {0x0f, 0xa2}}, {"jmp .-2", {0xeb, 0xfc}}}, 0, 2, "round_trip");
}
BENCHMARK(BM_X86CpuidIsAnswered);

void BM_X86PortIsWritten(benchmark::State& state) {
  time_loop(state, {{"out 0x80, al", {0xe6, 0x80}}, {"jmp .-2", {0xeb, 0xfc}}}, 0, 2, "round_trip",
            kKindOf<exits::IoWrite>);
}
BENCHMARK(BM_X86PortIsWritten);

// The scratch register of the UART.
void BM_X86PortIsRead(benchmark::State& state) {
  time_loop(state,
            {{"mov edx, 0x3ff", {0xba, 0xff, 0x03, 0, 0}},
             {"in al, dx", {0xec}},
             {"jmp .-1", {0xeb, 0xfd}}},
            0, 2, "round_trip", kKindOf<exits::IoRead>);
}
BENCHMARK(BM_X86PortIsRead);

void BM_X86MsrIsRead(benchmark::State& state) {
  time_loop(state,
            {{"mov ecx, 0x1b", {0xb9, 0x1b, 0, 0, 0}},
             {"rdmsr", {0x0f, 0x32}},
             {"jmp .-2", {0xeb, 0xfc}}},
            0, 2, "round_trip");
}
BENCHMARK(BM_X86MsrIsRead);

// Budget: 400 ns, and 3 times. The index register of the IO-APIC.
void BM_X86MmioIsRead(benchmark::State& state) {
  time_loop(state, {{"mov eax, [rdi]", {0x8b, 0x07}}, {"jmp .-2", {0xeb, 0xfc}}}, kIoApic, 2,
            "round_trip", kKindOf<exits::MmioRead>);
}
BENCHMARK(BM_X86MmioIsRead);

void BM_X86MmioIsWritten(benchmark::State& state) {
  time_loop(state, {{"mov [rdi], ebx", {0x89, 0x1f}}, {"jmp .-2", {0xeb, 0xfc}}}, kIoApic, 2,
            "round_trip", kKindOf<exits::MmioWrite>);
}
BENCHMARK(BM_X86MmioIsWritten);

const Program kLoadStoreLoop = {{"mov rax, [rdi]", {0x48, 0x8b, 0x07}},
                                {"inc rax", {0x48, 0xff, 0xc0}},
                                {"mov [rdi], rax", {0x48, 0x89, 0x07}},
                                {"jmp .-9", {0xeb, 0xf5}}};

// Budget: a sixth of what stock Unicorn takes for an instruction.
void BM_X86LoadsAndStores(benchmark::State& state) {
  time_loop(state, kLoadStoreLoop, kData, 400, "of_400");
}
BENCHMARK(BM_X86LoadsAndStores);

// The same loop, counted.
void BM_X86StockUnicornLoadsAndStores(benchmark::State& state) {
  bare({{"mov rax, [rdi]", {0x48, 0x8b, 0x07}},
        {"inc rax", {0x48, 0xff, 0xc0}},
        {"mov [rdi], rax", {0x48, 0x89, 0x07}},
        {"dec rcx", {0x48, 0xff, 0xc9}},
        {"jnz .-12", {0x75, 0xf2}},
        {"int 0x80", {0xcd, 0x80}}})
      .time_loop(state, UC_X86_REG_RDI, UC_X86_REG_RCX, kBatch);
}
BENCHMARK(BM_X86StockUnicornLoadsAndStores);

// Budget: 250 ns for a fill through both stages, of four levels each: 512 pages, then CR3.
void BM_X86TlbIsFilled(benchmark::State& state) {
  constexpr std::uint64_t kTable = 0x180'0000;  // of 4 KiB pages for 0x1000000 to 0x1200000
  const Program program = {{"mov rax, cr3", {0x0f, 0x20, 0xd8}},
                           {"mov rbx, rdi", {0x48, 0x89, 0xfb}},
                           {"mov ecx, 512", {0xb9, 0, 2, 0, 0}},
                           {"mov edx, [rbx]", {0x8b, 0x13}},
                           {"add rbx, 4096", {0x48, 0x81, 0xc3, 0, 0x10, 0, 0}},
                           {"dec ecx", {0xff, 0xc9}},
                           {"jnz .-11", {0x75, 0xf3}},
                           {"mov cr3, rax", {0x0f, 0x22, 0xd8}},
                           {"jmp .-24", {0xeb, 0xe6}}};
  const auto machine = machine_with(program, kData);
  if (machine == nullptr) return state.SkipWithError("the machine does not start");
  if (machine->run(2).reason != StopReason::BudgetSpent) {
    return state.SkipWithError("the guest does not start");
  }
  Vm& vm = machine->vm(0);
  constexpr std::uint64_t kAddress = 0xf'ffff'ffff'f000;
  std::uint64_t table = *vm.board().vcpu(kBootVcpu).gpr(0) & kAddress;  // PML4
  for (const unsigned shift : {39U, 30U}) {
    const auto entry =
        vm.read_from_guest_of<std::uint64_t>(GuestPhys(table + 8 * (kData >> shift & 0x1ff)));
    table = *entry & kAddress;
  }
  bool stored =
      vm.write_to_guest_of(GuestPhys(table + 8 * (kData >> 21 & 0x1ff)), kTable + 7).has_value();
  for (std::uint64_t page = 0; page < 512; ++page) {
    stored =
        stored && vm.write_to_guest_of(GuestPhys(kTable + page * 8), (kData + page * 4096) | 0x67);
  }
  if (!stored) return state.SkipWithError("the tables cannot be written");
  constexpr std::uint64_t kRound = 512 * 4 + 4;
  for (auto _ : state) {
    if (machine->run(kRound * 100).reason != StopReason::BudgetSpent) {
      return state.SkipWithError("the guest stopped");
    }
  }
  check_pc(state, vm, kCode, bytes_of(program).size() + kPrologue);
  state.counters["fill"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 100 * 512,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_X86TlbIsFilled);

}  // namespace
}  // namespace retrap
