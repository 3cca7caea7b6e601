// Every form of load and store that the monitor performs, and the decoder under it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/aarch64/decode.h"
#include "arch/aarch64/emulate.h"
#include "tests/arch/aarch64_fake.h"

namespace retrap::aarch64::test {
namespace {

using ::testing::ElementsAre;

struct Insn {
  const char* assembly;
  std::uint32_t word;
};

constexpr std::uint64_t kDevice = 0x0900'0000;

struct Decoded {
  Insn insn;
  MemoryOp op;
  unsigned size_log2;
  unsigned registers = 1;
  std::uint64_t bytes = 0;  ///< 0: registers << size_log2
  bool syndrome = false;
  std::uint64_t address = kDevice;  ///< x2 = kDevice, x3 = 8, SP = kDevice - 64, PC = 0x1000
};
void PrintTo(const Decoded& d, std::ostream* out) {
  *out << d.insn.assembly;
}

class TheDecoder : public ::testing::TestWithParam<Decoded> {};

TEST_P(TheDecoder, KnowsWhatTheInstructionAccesses) {
  const Decoded& d = GetParam();
  struct {
    std::uint64_t x(unsigned index) const { return index == 2 ? kDevice : index == 3 ? 8 : 0; }
    std::uint64_t sp() const { return kDevice - 64; }
  } registers;

  const auto insn = decode_memory(d.insn.word);

  ASSERT_TRUE(insn.has_value());
  EXPECT_EQ(insn->op, d.op) << insn->name;
  EXPECT_EQ(insn->size_log2, d.size_log2);
  EXPECT_EQ(insn->registers, d.registers);
  EXPECT_EQ(insn->bytes(), d.bytes != 0 ? d.bytes : std::uint64_t{d.registers} << d.size_log2);
  EXPECT_EQ(insn->syndrome, d.syndrome);
  EXPECT_EQ(effective_address(*insn, 0x1000, registers), d.address);
}

const Decoded kDecoded[] = {
    {.insn = {"ldrb w1, [x2]", 0x39400041}, .op = MemoryOp::Load, .size_log2 = 0, .syndrome = true},
    {.insn = {"ldrsh x1, [x2, #2]", 0x79800441},
     .op = MemoryOp::Load,
     .size_log2 = 1,
     .syndrome = true,
     .address = kDevice + 2},
    {.insn = {"ldrsw x1, [x2, #-4]!", 0xb89fcc41},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .address = kDevice - 4},
    {.insn = {"str x1, [x2], #16", 0xf8010441}, .op = MemoryOp::Store, .size_log2 = 3},
    {.insn = {"sturh w1, [x2, #-3]", 0x781fd041},
     .op = MemoryOp::Store,
     .size_log2 = 1,
     .syndrome = true,
     .address = kDevice - 3},
    {.insn = {"ldtrsb x1, [x2, #5]", 0x38805841},
     .op = MemoryOp::Load,
     .size_log2 = 0,
     .syndrome = true,
     .address = kDevice + 5},
    {.insn = {"sttr w1, [x2]", 0xb8000841},
     .op = MemoryOp::Store,
     .size_log2 = 2,
     .syndrome = true},
    {.insn = {"ldr x1, [x2, x3, lsl #3]", 0xf8637841},
     .op = MemoryOp::Load,
     .size_log2 = 3,
     .syndrome = true,
     .address = kDevice + 64},
    {.insn = {"ldr w1, [x2, w3, uxtw #2]", 0xb8635841},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .syndrome = true,
     .address = kDevice + 32},
    {.insn = {"strb w1, [x2, w3, sxtw]", 0x3823c841},
     .op = MemoryOp::Store,
     .size_log2 = 0,
     .syndrome = true,
     .address = kDevice + 8},
    {.insn = {"ldr x1, [x2, x3, sxtx]", 0xf863e841},
     .op = MemoryOp::Load,
     .size_log2 = 3,
     .syndrome = true,
     .address = kDevice + 8},
    {.insn = {"ldr x1, .+64", 0x58000201},
     .op = MemoryOp::Load,
     .size_log2 = 3,
     .syndrome = true,
     .address = 0x1040},
    {.insn = {"ldrsw x1, .-8", 0x98ffffc1},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .syndrome = true,
     .address = 0xff8},
    {.insn = {"ldr q1, .+16", 0x9c000081}, .op = MemoryOp::Load, .size_log2 = 4, .address = 0x1010},
    {.insn = {"ldp w1, w4, [x2, #8]", 0x29411041},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .registers = 2,
     .address = kDevice + 8},
    {.insn = {"stp x1, x4, [sp, #64]!", 0xa98413e1},
     .op = MemoryOp::Store,
     .size_log2 = 3,
     .registers = 2},
    {.insn = {"ldpsw x1, x4, [x2], #8", 0x68c11041},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .registers = 2},
    {.insn = {"stnp q1, q2, [x2, #-32]", 0xac3f0841},
     .op = MemoryOp::Store,
     .size_log2 = 4,
     .registers = 2,
     .address = kDevice - 32},
    {.insn = {"ldp d1, d2, [x2]", 0x6d400841},
     .op = MemoryOp::Load,
     .size_log2 = 3,
     .registers = 2},
    {.insn = {"ldr b1, [x2, #1]", 0x3d400441},
     .op = MemoryOp::Load,
     .size_log2 = 0,
     .address = kDevice + 1},
    {.insn = {"str q1, [x2, #16]", 0x3d800441},
     .op = MemoryOp::Store,
     .size_log2 = 4,
     .address = kDevice + 16},
    {.insn = {"ldr s1, [x2, #-4]!", 0xbc5fcc41},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .address = kDevice - 4},
    {.insn = {"str d1, [x2], #8", 0xfc008441}, .op = MemoryOp::Store, .size_log2 = 3},
    {.insn = {"ldur h1, [x2, #1]", 0x7c401041},
     .op = MemoryOp::Load,
     .size_log2 = 1,
     .address = kDevice + 1},
    {.insn = {"ldr q1, [x2, x3, lsl #4]", 0x3ce37841},
     .op = MemoryOp::Load,
     .size_log2 = 4,
     .address = kDevice + 128},
    {.insn = {"ldxrh w1, [x2]", 0x485f7c41}, .op = MemoryOp::LoadExclusive, .size_log2 = 1},
    {.insn = {"stlxr w4, x1, [x2]", 0xc804fc41}, .op = MemoryOp::StoreExclusive, .size_log2 = 3},
    {.insn = {"ldaxp w1, w4, [x2]", 0x887f9041},
     .op = MemoryOp::LoadExclusive,
     .size_log2 = 2,
     .registers = 2},
    {.insn = {"stxp w5, x1, x4, [x2]", 0xc8251041},
     .op = MemoryOp::StoreExclusive,
     .size_log2 = 3,
     .registers = 2},
    {.insn = {"ldarb w1, [x2]", 0x08dffc41},
     .op = MemoryOp::Load,
     .size_log2 = 0,
     .syndrome = true},
    {.insn = {"stlr x1, [x2]", 0xc89ffc41},
     .op = MemoryOp::Store,
     .size_log2 = 3,
     .syndrome = true},
    {.insn = {"ldapr w1, [x2]", 0xb8bfc041},
     .op = MemoryOp::Load,
     .size_log2 = 2,
     .syndrome = true},
    {.insn = {"stlur x1, [x2, #9]", 0xd9009041},
     .op = MemoryOp::Store,
     .size_log2 = 3,
     .syndrome = true,
     .address = kDevice + 9},
    {.insn = {"cas w1, w4, [x2]", 0x88a17c44}, .op = MemoryOp::CompareSwap, .size_log2 = 2},
    {.insn = {"casp x4, x5, x6, x7, [x2]", 0x48247c46},
     .op = MemoryOp::CompareSwap,
     .size_log2 = 3,
     .registers = 2},
    {.insn = {"ldadd x1, x4, [x2]", 0xf8210044}, .op = MemoryOp::AtomicAdd, .size_log2 = 3},
    {.insn = {"ldclrb w1, w4, [x2]", 0x38211044}, .op = MemoryOp::AtomicClear, .size_log2 = 0},
    {.insn = {"ldeor w1, w4, [x2]", 0xb8212044}, .op = MemoryOp::AtomicEor, .size_log2 = 2},
    {.insn = {"ldset w1, w4, [x2]", 0xb8213044}, .op = MemoryOp::AtomicSet, .size_log2 = 2},
    {.insn = {"ldsmax w1, w4, [x2]", 0xb8214044}, .op = MemoryOp::AtomicSignedMax, .size_log2 = 2},
    {.insn = {"ldsmin w1, w4, [x2]", 0xb8215044}, .op = MemoryOp::AtomicSignedMin, .size_log2 = 2},
    {.insn = {"ldumax w1, w4, [x2]", 0xb8216044},
     .op = MemoryOp::AtomicUnsignedMax,
     .size_log2 = 2},
    {.insn = {"ldumin w1, w4, [x2]", 0xb8217044},
     .op = MemoryOp::AtomicUnsignedMin,
     .size_log2 = 2},
    {.insn = {"swpal x1, x4, [x2]", 0xf8e18044}, .op = MemoryOp::Swap, .size_log2 = 3},
    {.insn = {"ld1 {v0.16b}, [x2]", 0x4c407040},
     .op = MemoryOp::Structures,
     .size_log2 = 0,
     .bytes = 16},
    {.insn = {"ld1 {v0.8b-v3.8b}, [x2], #32", 0x0cdf2040},
     .op = MemoryOp::Structures,
     .size_log2 = 0,
     .bytes = 32},
    {.insn = {"st2 {v0.4s, v1.4s}, [x2]", 0x4c008840},
     .op = MemoryOp::Structures,
     .size_log2 = 2,
     .bytes = 32},
    {.insn = {"ld3 {v0.2d-v2.2d}, [x2], x3", 0x4cc34c40},
     .op = MemoryOp::Structures,
     .size_log2 = 3,
     .bytes = 48},
    {.insn = {"st4 {v0.8h-v3.8h}, [x2]", 0x4c000440},
     .op = MemoryOp::Structures,
     .size_log2 = 1,
     .bytes = 64},
    {.insn = {"ld1 {v0.d}[1], [x2]", 0x4d408440},
     .op = MemoryOp::Structures,
     .size_log2 = 3,
     .bytes = 8},
    {.insn = {"st3 {v0.b, v1.b, v2.b}[15], [x2]", 0x4d003c40},
     .op = MemoryOp::Structures,
     .size_log2 = 0,
     .bytes = 3},
    {.insn = {"ld4r {v0.4s-v3.4s}, [x2], #16", 0x4dffe840},
     .op = MemoryOp::Structures,
     .size_log2 = 2,
     .bytes = 16},
    {.insn = {"dc zva, x2", 0xd50b7422}, .op = MemoryOp::ZeroBlock, .size_log2 = 0, .bytes = 64},
    {.insn = {"dc civac, x2", 0xd50b7e22}, .op = MemoryOp::Maintain, .size_log2 = 0, .bytes = 1},
    {.insn = {"prfm pldl1keep, [x2, #8]", 0xf9800440},
     .op = MemoryOp::Prefetch,
     .size_log2 = 3,
     .bytes = 1,
     .address = kDevice + 8},
};
INSTANTIATE_TEST_SUITE_P(OfEveryGroup, TheDecoder, ::testing::ValuesIn(kDecoded));

TEST(TheDecoder, KnowsWhatDoesNotAccessMemory) {
  for (const Insn& insn : std::vector<Insn>{{"add x0, x0, #1", 0x91000400},
                                            {"b .+4", 0x14000001},
                                            {"mrs x0, midr_el1", 0xd5380000},
                                            {"fadd d0, d1, d2", 0x1e622820},
                                            {"svc #0", 0xd4000001},
                                            {"msr daifset, #2", 0xd50342df},
                                            {"dc isw, x0", 0xd5087640}}) {
    EXPECT_FALSE(decode_memory(insn.word).has_value()) << insn.assembly;
  }
}

TEST(TheDecoder, RefusesUnallocatedForms) {
  for (const std::uint32_t word : {0xb8c0'0000u,                 // size 2, opc 3
                                   0x3cc0'0000u | 1u << 30,      // a vector of 16 bytes with size 1
                                   0xdc00'0000u,                 // literal, V, opc 3
                                   0x6840'0000u ^ 0x0040'0000u,  // STGP
                                   0xe940'0000u,                 // pair, opc 3
                                   0x0c40'1000u,                 // structures, opcode 1
                                   0x0c40'0c00u,                 // ld4 of 1d
                                   0x0d40'4400u,                 // half at an odd lane
                                   0x0d40'8800u,                 // word, size 2
                                   0x0d00'c000u,                 // a replicating store
                                   0xf820'0800u,                 // register offset, extend 0
                                   0x0820'7c01u | 1u << 22}) {   // casp of odd registers
    EXPECT_FALSE(decode_memory(word).has_value()) << std::hex << word;
  }
}

TEST(TheDecoder, NeverReadsBeyondItsTables) {
  // Every word of the class with its low bits fixed: a walk through all groups and sizes.
  std::size_t decoded = 0;
  for (std::uint32_t high = 0; high < 0x1'0000; ++high) {
    for (const std::uint32_t low :
         {0x0000u, 0x0441u, 0x0c62u, 0x7c83u, 0x8041u, 0xd062u, 0xfc83u}) {
      const auto insn = decode_memory(high << 16 | low);
      if (!insn) continue;
      ++decoded;
      EXPECT_LE(insn->bytes(), 64u);
      EXPECT_LE(insn->size_log2, 4);
      EXPECT_FALSE(insn->name.empty());
    }
  }
  EXPECT_GT(decoded, 20'000u);
}

/// A CPU at one instruction; x2 points to the device.
class AnEmulatedInstruction : public ::testing::Test {
 public:
  AnEmulatedInstruction() {
    cpu.gpr[2] = kDevice;
    port.fill(kDevice, 0x8877'6655'f433'a281);
    port.fill(kDevice + 8, 0x0123'4567'89ab'cdef);
  }
  Emulated does(Insn insn) {
    cpu.word = insn.word;
    result = emulate_instruction(cpu, port);
    return result.outcome;
  }
  Clock clock;
  FakeCpu cpu{clock};
  FakePort port;
  EmulationResult result;
};

TEST_F(AnEmulatedInstruction, LoadsAPair) {
  EXPECT_EQ(does({"ldp x0, x1, [x2]", 0xa9400440}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0x8877'6655'f433'a281);
  EXPECT_EQ(cpu.gpr[1], 0x0123'4567'89ab'cdef);
  EXPECT_THAT(port.reads, ElementsAre(exits::MmioRead{GuestPhys(kDevice), Width::Double, 0},
                                      exits::MmioRead{GuestPhys(kDevice + 8), Width::Double, 1}));
}
TEST_F(AnEmulatedInstruction, SignExtendsAPairOfWords) {
  EXPECT_EQ(does({"ldpsw x0, x1, [x2]", 0x69400440}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0xffff'ffff'f433'a281);
  EXPECT_EQ(cpu.gpr[1], 0xffff'ffff'8877'6655);
}
TEST_F(AnEmulatedInstruction, WritesItsBaseBackBeforeTheAccess) {
  EXPECT_EQ(does({"ldr w0, [x2, #4]!", 0xb8404c40}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0x8877'6655u);
  EXPECT_EQ(cpu.gpr[2], kDevice + 4);
}
TEST_F(AnEmulatedInstruction, WritesItsBaseBackAfterTheAccess) {
  EXPECT_EQ(does({"ldrsb x0, [x2], #-1", 0x389ff440}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0xffff'ffff'ffff'ff81);
  EXPECT_EQ(cpu.gpr[2], kDevice - 1);
}
TEST_F(AnEmulatedInstruction, WritesTheStackPointerBack) {
  cpu.stack = kDevice + 16;
  cpu.gpr[0] = 0x77;
  EXPECT_EQ(does({"str x0, [sp, #-16]!", 0xf81f0fe0}), Emulated::Retired);
  EXPECT_EQ(cpu.stack, kDevice);
  EXPECT_EQ(port.word64(kDevice), 0x77u);
}
TEST_F(AnEmulatedInstruction, SignExtendsToAWord) {
  EXPECT_EQ(does({"ldrsh w0, [x2]", 0x79c00040}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0xffff'a281u);
}
TEST_F(AnEmulatedInstruction, LoadsAndStoresSimdRegisters) {
  cpu.simd[1] = {1, 2};
  EXPECT_EQ(does({"ldr q1, [x2]", 0x3dc00041}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[1], (Vector{0x8877'6655'f433'a281, 0x0123'4567'89ab'cdef}));
  EXPECT_EQ(does({"ldr s1, [x2, #4]", 0xbd400441}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[1], (Vector{0x8877'6655, 0}));
  cpu.simd[2] = {3, 4};
  EXPECT_EQ(does({"stp q1, q2, [x2, #32]", 0xad010841}), Emulated::Retired);
  EXPECT_EQ(port.word64(kDevice + 32), 0x8877'6655u);
  EXPECT_EQ(port.word64(kDevice + 48), 3u);
  EXPECT_EQ(port.word64(kDevice + 56), 4u);
}
TEST_F(AnEmulatedInstruction, LoadsInterleavedStructures) {
  EXPECT_EQ(does({"ld2 {v4.8b, v5.8b}, [x2], #16", 0x0cdf8044}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[4], (Vector{0x2367'abef'7755'3381, 0}));
  EXPECT_EQ(cpu.simd[5], (Vector{0x0145'89cd'8866'f4a2, 0}));
  EXPECT_EQ(cpu.gpr[2], kDevice + 16);
}
TEST_F(AnEmulatedInstruction, StoresOneLane) {
  cpu.simd[4] = {0, 0xaabb'0000'0000'0000};
  cpu.gpr[3] = 0x100;
  EXPECT_EQ(does({"st1 {v4.h}[7], [x2], x3", 0x4d835844}), Emulated::Retired);
  EXPECT_THAT(port.writes, ElementsAre(exits::MmioWrite{GuestPhys(kDevice), Width::Half, 0xaabb}));
  EXPECT_EQ(cpu.gpr[2], kDevice + 0x100);
}
TEST_F(AnEmulatedInstruction, LoadsOneLaneAndKeepsTheOthers) {
  cpu.simd[4] = {1, 2};
  EXPECT_EQ(does({"ld1 {v4.d}[1], [x2]", 0x4d408444}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[4], (Vector{1, 0x8877'6655'f433'a281}));
}
TEST_F(AnEmulatedInstruction, ReplicatesAnElement) {
  EXPECT_EQ(does({"ld1r {v4.4h}, [x2]", 0x0d40c444}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[4], (Vector{0xa281'a281'a281'a281, 0}));
  EXPECT_EQ(does({"ld1r {v4.2d}, [x2]", 0x4d40cc44}), Emulated::Retired);
  EXPECT_EQ(cpu.simd[4].high, 0x8877'6655'f433'a281);
}
TEST_F(AnEmulatedInstruction, ZeroesABlock) {
  cpu.gpr[2] = kDevice + 0x47;
  EXPECT_EQ(does({"dc zva, x2", 0xd50b7422}), Emulated::Retired);
  ASSERT_EQ(port.writes.size(), 8u);
  EXPECT_EQ(port.writes.front().addr, GuestPhys(kDevice + 0x40));
}
TEST_F(AnEmulatedInstruction, MaintainsNothing) {
  EXPECT_EQ(does({"dc civac, x2", 0xd50b7e22}), Emulated::Retired);
  EXPECT_TRUE(port.reads.empty() && port.writes.empty());
}

struct Atomic {
  Insn insn;
  std::uint64_t expected;
};
TEST_F(AnEmulatedInstruction, PerformsAtomics) {
  const Atomic atomics[] = {
      {{"ldadd x0, x1, [x2]", 0xf8200041}, 0x8877'6655'f433'a282},
      {{"ldclr x0, x1, [x2]", 0xf8201041}, 0x8877'6655'f433'a280},
      {{"ldeor x0, x1, [x2]", 0xf8202041}, 0x8877'6655'f433'a280},
      {{"ldset x0, x1, [x2]", 0xf8203041}, 0x8877'6655'f433'a281},
      {{"ldsmax x0, x1, [x2]", 0xf8204041}, 1},
      {{"ldsmin x0, x1, [x2]", 0xf8205041}, 0x8877'6655'f433'a281},
      {{"ldumax x0, x1, [x2]", 0xf8206041}, 0x8877'6655'f433'a281},
      {{"ldumin x0, x1, [x2]", 0xf8207041}, 1},
      {{"swp x0, x1, [x2]", 0xf8208041}, 1},
  };
  for (const Atomic& atomic : atomics) {
    port.fill(kDevice, 0x8877'6655'f433'a281);
    cpu.gpr[0] = 1;
    EXPECT_EQ(does(atomic.insn), Emulated::Retired) << atomic.insn.assembly;
    EXPECT_EQ(port.word64(kDevice), atomic.expected) << atomic.insn.assembly;
    EXPECT_EQ(cpu.gpr[1], 0x8877'6655'f433'a281) << atomic.insn.assembly;
  }
}
TEST_F(AnEmulatedInstruction, ComparesAndSwaps) {
  cpu.gpr[0] = 0xf433'a281;
  cpu.gpr[1] = 5;
  EXPECT_EQ(does({"cas w0, w1, [x2]", 0x88a07c41}), Emulated::Retired);
  EXPECT_EQ(port.word64(kDevice), 0x8877'6655'0000'0005);
  EXPECT_EQ(does({"cas w0, w1, [x2]", 0x88a07c41}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 5u);
  EXPECT_EQ(port.writes.size(), 1u);
}
TEST_F(AnEmulatedInstruction, ComparesAndSwapsAPair) {
  cpu.gpr[4] = 0x8877'6655'f433'a281;
  cpu.gpr[5] = 0x0123'4567'89ab'cdef;
  cpu.gpr[6] = 7;
  cpu.gpr[7] = 8;
  EXPECT_EQ(does({"casp x4, x5, x6, x7, [x2]", 0x48247c46}), Emulated::Retired);
  EXPECT_EQ(port.word64(kDevice), 7u);
  EXPECT_EQ(port.word64(kDevice + 8), 8u);
}
TEST_F(AnEmulatedInstruction, RefusesExclusivesWithTheirOwnFault) {
  EXPECT_EQ(does({"ldxr x0, [x2]", 0xc85f7c40}), Emulated::GuestFault);
  EXPECT_EQ(result.fsc, fsc::kUnsupportedExclusive);
  EXPECT_EQ(result.far, kDevice);
}
TEST_F(AnEmulatedInstruction, SplitsAnAccessThatCrossesAPage) {
  cpu.gpr[2] = kDevice + 0xffd;
  port.fill(kDevice + 0xffd, 0x1122'3344'5566'7788);
  EXPECT_EQ(does({"ldr x0, [x2]", 0xf9400040}), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0x1122'3344'5566'7788);
  for (const exits::MmioRead& read : port.reads) {
    EXPECT_LE((read.addr.raw() & 0xfff) + bytes(read.width), 0x1000u);
  }
  EXPECT_EQ(does({"str x0, [x2]", 0xf9000040}), Emulated::Retired);
  EXPECT_EQ(port.word64(kDevice + 0xffd), 0x1122'3344'5566'7788);
}
TEST_F(AnEmulatedInstruction, ChangesNothingWhereTheOtherPageFaults) {
  cpu.gpr[2] = kDevice + 0xffc;
  cpu.faults[(kDevice + 0x1000) >> 12] = {.kind = AddressTranslation::Kind::Stage1Fault, .fsc = 7};
  EXPECT_EQ(does({"ldr x0, [x2], #8", 0xf8408440}), Emulated::GuestFault);
  EXPECT_EQ(result.fsc, 7u);
  EXPECT_EQ(result.far, kDevice + 0x1000);
  EXPECT_EQ(cpu.gpr[2], kDevice + 0xffc);
  EXPECT_TRUE(port.reads.empty());
}
TEST_F(AnEmulatedInstruction, WaitsForStage2WhereAWalkNeedsIt) {
  cpu.faults[kDevice >> 12] = {.kind = AddressTranslation::Kind::WalkFault};
  EXPECT_EQ(does({"ldp x0, x1, [x2]", 0xa9400440}), Emulated::NestedFault);
}
TEST_F(AnEmulatedInstruction, ChangesNothingWhereThePortRefusesTheSecondRegister) {
  port.holes = {kDevice + 8};
  cpu.gpr[0] = 1;
  EXPECT_EQ(does({"ldp x0, x1, [x2], #16", 0xa8c10440}), Emulated::NoAccess);
  EXPECT_EQ(cpu.gpr[0], 1u);
  EXPECT_EQ(cpu.gpr[2], kDevice);
  EXPECT_EQ(does({"stp x0, x1, [x2], #16", 0xa8810440}), Emulated::NoAccess);
  EXPECT_EQ(cpu.gpr[2], kDevice);
  port.holes = {kDevice};
  EXPECT_EQ(does({"ldadd x0, x1, [x2]", 0xf8200041}), Emulated::NoAccess);
}
TEST_F(AnEmulatedInstruction, AccessesMemoryAsEl0WhereItIsUnprivileged) {
  EXPECT_EQ(does({"ldtr x0, [x2]", 0xf8400840}), Emulated::Retired);
  EXPECT_EQ(cpu.last_privilege, Privilege::El0);
  EXPECT_EQ(does({"ldr x0, [x2]", 0xf9400040}), Emulated::Retired);
  EXPECT_EQ(cpu.last_privilege, Privilege::El1);
}
TEST_F(AnEmulatedInstruction, IsUnknownWhereItAccessesNoMemory) {
  EXPECT_EQ(does({"add x0, x0, #1", 0x91000400}), Emulated::Unknown);
  cpu.word.reset();
  EXPECT_EQ(emulate_instruction(cpu, port).outcome, Emulated::Unknown);
}

}  // namespace
}  // namespace retrap::aarch64::test
