// Exact counts and exact stops: how often the CPU is stopped changes nothing.
#include <algorithm>
#include <array>
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

struct Program {
  std::string name;
  std::vector<std::uint8_t> bytes;
  std::uint64_t instructions;
  friend void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }
};

/// jmp to two nops and mov byte [rip - 1], 0x55, which end with their page; hlt on the next one.
std::vector<std::uint8_t> store_at_the_end_of_a_page() {
  std::vector<std::uint8_t> bytes(kPageSize + 1, 0x90);
  std::ranges::copy(std::to_array<std::uint8_t>({0xe9, 0xf2, 0x0f, 0, 0}), bytes.begin());
  std::ranges::copy(std::to_array<std::uint8_t>({0xc6, 0x05, 0xff, 0xff, 0xff, 0xff, 0x55, 0xf4}),
                    bytes.end() - 8);
  return bytes;
}

const std::vector<Program>& programs() {
  static const std::vector<Program> kPrograms = {
      {"straight line", {0xff, 0xc0, 0xff, 0xc0, 0x01, 0xc3, 0x90, 0xf4}, 4},
      // mov ecx, 50; 1: add rax, rcx; xor rbx, rax; dec ecx; jnz 1b; hlt
      {"loop",
       {0xb9, 50, 0, 0, 0, 0x48, 0x01, 0xc8, 0x48, 0x31, 0xc3, 0xff, 0xc9, 0x75, 0xf6, 0xf4},
       201},
      // mov rdi, 0x200000; mov ecx, 100; rep stosb; hlt: an iteration each and the end
      {"rep stos", {0x48, 0xc7, 0xc7, 0, 0, 0x20, 0, 0xb9, 100, 0, 0, 0, 0xf3, 0xaa, 0xf4}, 103},
      // mov ecx, 0; rep movsb; hlt
      {"rep movs without a count", {0xb9, 0, 0, 0, 0, 0xf3, 0xa4, 0xf4}, 2},
      // cli; sti; nop; sti; nop; mov eax, ss; mov ss, eax; inc ebx; hlt
      {"shadows", {0xfa, 0xfb, 0x90, 0xfb, 0x90, 0x8c, 0xd0, 0x8e, 0xd0, 0xff, 0xc3, 0xf4}, 8},
      // rdtsc; mov ebx, eax; nop; nop; rdtsc; sub eax, ebx; hlt
      {"time stamps", {0x0f, 0x31, 0x89, 0xc3, 0x90, 0x90, 0x0f, 0x31, 0x29, 0xd8, 0xf4}, 6},
      // mov rdi, 0x200000; mov ecx, 20; 1: lock cmpxchg8b [rdi]; pushfq; pop rbx; dec ecx;
      // jnz 1b; hlt
      {"cmpxchg8b",
       {0x48, 0xc7, 0xc7, 0,    0,    0x20, 0,    0xb9, 20,   0,    0,   0,
        0xf0, 0x0f, 0xc7, 0x0f, 0x9c, 0x5b, 0xff, 0xc9, 0x75, 0xf6, 0xf4},
       102},
      // lea rax, [rip+11]; inc ecx; mov byte [rax], 0xf4 (patches the last nop); nop; nop; nop;
      // hlt: the store hits the block it is in
      {"a block that changes itself",
       {0x48, 0x8d, 0x05, 0x06, 0, 0, 0, 0xff, 0xc1, 0xc6, 0x00, 0xf4, 0x90, 0x90, 0xf4},
       4},
      // mov ecx, 30; 1: mov [rip+0], cl into the immediate of the next; mov al, imm; add ebx, eax;
      // dec ecx; jnz 1b; hlt
      {"a loop that changes itself",
       {0xb9, 30,   0,    0,    0,    0x88, 0x0d, 0x01, 0,    0,
        0,    0xb0, 0x00, 0x01, 0xc3, 0xff, 0xc9, 0x75, 0xf2, 0xf4},
       151},
      {"a store into itself at the end of a page", store_at_the_end_of_a_page(), 4},
      // mov eax, 0xf4f4f0ff; lea rsp, [rip + 8]; push rax in its long form, over itself; hlt
      {"a push of a register over itself",
       {0xb8, 0xff, 0xf0, 0xf4, 0xf4, 0x48, 0x8d, 0x25, 8,    0,
        0,    0,    0xff, 0xf0, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4},
       3},
      // lea rdi, [rip + 2]; mov ecx, 6; mov al, 0xf3; rep stosb up to its own first byte; hlt
      {"rep stosb over its own bytes",
       {0x48, 0x8d, 0x3d, 2, 0, 0, 0, 0xb9, 6, 0, 0, 0, 0xb0, 0xf3, 0xf3, 0xaa, 0xf4},
       10},
      // lea rdi, [rip + 9]; mov ecx, 2; mov eax, 0xf4abf390; rep stosd, of which the first
      // iteration writes its own bytes as they are; hlt
      {"rep stosd over its own bytes",
       {0x48, 0x8d, 0x3d, 9,    0,    0,    0,    0xb9, 2,    0,
        0,    0,    0xb8, 0x90, 0xf3, 0xab, 0xf4, 0xf3, 0xab, 0xf4},
       6},
      // lea rsp, [rip + 1]; call the next one, whose return address hits the block; hlt
      {"a call with its stack in the block",
       {0x48, 0x8d, 0x25, 1, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xf4},
       2},
      // mov eax, 0x200000; lea rsp, [rip + 13]; 1: call 1b, over which the second return address
      // goes: what is there now adds to memory; hlt
      {"a call of itself until it is overwritten",
       {0xb8, 0,    0,    0x20, 0, 0x48, 0x8d, 0x25, 13, 0, 0, 0,    0xe8, 0xfb,
        0xff, 0xff, 0xff, 0,    0, 0,    0,    0,    0,  0, 0, 0xf4, 0xf4},
       11},
      // mov ecx, 10; 1: int 0x80 (handler: HLT is replaced by IRETQ); dec ecx; jnz 1b; hlt
      {"software interrupts", {0xb9, 10, 0, 0, 0, 0xcd, 0x80, 0xff, 0xc9, 0x75, 0xfa, 0xf4}, 41},
      // pushfq; or dword [rsp], 0x100; popfq; nop; nop; pushfq; and dword [rsp], ~0x100; popfq;
      // nop; hlt, with a #DB handler that returns
      {"single stepping",
       {0x9c, 0x81, 0x0c, 0x24, 0,    1,    0,    0,    0x9d, 0x90, 0x90,
        0x9c, 0x81, 0x24, 0x24, 0xff, 0xfe, 0xff, 0xff, 0x9d, 0x90, 0xf4},
       14},
  };
  return kPrograms;
}

CpuRig make_rig(const Program& program) {
  CpuRig rig;
  std::uint64_t at = CpuRig::kCode;
  for (const std::uint8_t byte : program.bytes) rig.store(at++, byte);
  for (const unsigned vector : {1U, 0x80U}) {
    rig.gate(vector);
    rig.code({0x48, 0xcf}, CpuRig::handler(vector));  // iretq
  }
  return rig;
}

class AProgram : public testing::TestWithParam<Program> {};

TEST_P(AProgram, RetiresItsInstructions) {
  CpuRig rig = make_rig(GetParam());

  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.clock.retired(), GetParam().instructions);
}

TEST_P(AProgram, EndsInOneStateForEverySlice) {
  CpuRig whole = make_rig(GetParam());
  ASSERT_EQ(whole.run().code, SvmExit::Hlt);

  for (const std::uint64_t slice : {1U, 2U, 3U, 5U, 7U, 11U, 1000U}) {
    CpuRig cut = make_rig(GetParam());
    ASSERT_EQ(cut.run(100'000, slice).code, SvmExit::Hlt) << "slice " << slice;
    EXPECT_EQ(cut.digest(), whole.digest()) << "slice " << slice;
  }
}

TEST_P(AProgram, StopsAtEveryCountItIsAskedFor) {
  for (std::uint64_t count = 1; count < std::min<std::uint64_t>(GetParam().instructions, 40);
       ++count) {
    CpuRig rig = make_rig(GetParam());
    EXPECT_EQ(rig.run(count).code, SvmExit::Limit);
    EXPECT_EQ(rig.clock.retired(), count);
  }
}

INSTANTIATE_TEST_SUITE_P(All, AProgram, testing::ValuesIn(programs()),
                         [](const auto& each) { return "n" + std::to_string(each.index); });

TEST(ATimeStamp, IsVirtualTimePlusTheOffset) {
  CpuRig rig;
  rig.cpu().set_tsc_offset(1'000'000);
  rig.code({0x90, 0x90, 0x0f, 0x31, 0xf4});  // nop; nop; rdtsc; hlt

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 1'000'002u);
}

TEST(ATimeStamp, OfRdtscpNamesTheProcessor) {
  CpuRig rig;
  rig.cpu().set_msr(0xc000'0103, 7);
  rig.code({0x0f, 0x01, 0xf9, 0xf4});  // rdtscp; hlt

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().gpr(Gpr::Rcx), 7u);
}

TEST(Randomness, OfTheHostIsOutOfReach) {
  for (const int modrm : {0xf0, 0xf8}) {  // rdrand eax; rdseed eax
    CpuRig rig;
    rig.gate(6);
    rig.code({0x0f, 0xc7, modrm});

    ASSERT_EQ(rig.run().code, SvmExit::Hlt);
    EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(6));
  }
}

TEST(Cmpxchg16b, KeepsTheOtherFlags) {
  // For each set of flags: push rbx; popfq; lock cmpxchg16b [rdi]; pushfq; pop rcx; hlt
  for (const bool equal : {false, true}) {
    for (const std::uint64_t flags : {0x0U, 0x1U, 0x4U, 0x10U, 0x40U, 0x80U, 0x800U, 0x8d5U}) {
      CpuRig rig;
      rig.code(
          {0x53, 0x9d, 0x29, 0xf6, 0x53, 0x9d, 0xf0, 0x48, 0x0f, 0xc7, 0x0f, 0x9c, 0x59, 0xf4});
      rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kData);
      rig.cpu().set_gpr(Gpr::Rbx, flags | 2);
      rig.cpu().set_gpr(Gpr::Rax, equal ? 0 : 1);

      ASSERT_EQ(rig.run().code, SvmExit::Hlt);

      const std::uint64_t expected = (flags & ~std::uint64_t{0x40}) | (equal ? 0x40 : 0) | 2;
      EXPECT_EQ(rig.cpu().gpr(Gpr::Rcx), expected);
    }
  }
}

TEST(Cmpxchg16b, WantsAlignment) {
  CpuRig rig;
  rig.gate(13);
  rig.code({0x48, 0x0f, 0xc7, 0x0f});  // cmpxchg16b [rdi]
  rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kData + 8);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(13));
}

}  // namespace
}  // namespace retrap::test
