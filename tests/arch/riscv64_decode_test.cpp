// Every row of the load, store and atomic tables, by the assembler's own encodings.
#include "arch/riscv64/decode.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace retrap::riscv64 {
namespace {

struct Case {
  std::string name;      ///< of the test
  std::uint32_t word;    ///< from clang 19
  std::string mnemonic;  ///< the row
  MemoryKind kind;
  Width width;
  bool signed_ext;
  unsigned rd;
  unsigned rs1;
  unsigned rs2;
  std::int64_t offset;
  unsigned length;
};

void PrintTo(const Case& row, std::ostream* out) {
  *out << row.name;
}

class Decoder : public ::testing::TestWithParam<Case> {};

TEST_P(Decoder, TakesTheInstructionApart) {
  const Case& want = GetParam();

  const auto got = decode_memory(want.word);

  ASSERT_TRUE(got);
  EXPECT_EQ(got->name, want.mnemonic);
  EXPECT_EQ(got->kind, want.kind);
  EXPECT_EQ(got->width, want.width);
  EXPECT_EQ(got->signed_ext, want.signed_ext);
  EXPECT_EQ(got->rd, want.rd);
  EXPECT_EQ(got->rs1, want.rs1);
  EXPECT_EQ(got->rs2, want.rs2);
  EXPECT_EQ(got->offset, want.offset);
  EXPECT_EQ(got->length, want.length);
}

TEST_P(Decoder, ReadsItsOwnTransformedInstructionBack) {
  const auto instruction = decode_memory(GetParam().word);
  ASSERT_TRUE(instruction);

  const auto back = decode_transformed(transformed(*instruction, 3));

  ASSERT_TRUE(back);
  EXPECT_EQ(back->address_offset, 3u);
  EXPECT_EQ(back->instruction.kind, instruction->kind);
  EXPECT_EQ(back->instruction.width, instruction->width);
  EXPECT_EQ(back->instruction.signed_ext, instruction->signed_ext);
  EXPECT_EQ(back->instruction.length, instruction->length);
  const bool loads = !instruction->writes_memory() || instruction->kind == MemoryKind::Amo;
  if (loads) {
    EXPECT_EQ(back->instruction.rd, instruction->rd);
  } else {
    EXPECT_EQ(back->instruction.rs2, instruction->rs2);
  }
}

using enum MemoryKind;

// clang-format off
INSTANTIATE_TEST_SUITE_P(AllRows, Decoder, ::testing::Values(
    // name, word, mnemonic, kind, width, signed, rd, rs1, rs2, offset, length
    Case{"lb",      0xfff68703, "lb",  Load, Width::Byte,   true,  14, 13, 0, -1, 4},   // lb a4,-1(a3)
    Case{"lh",      0x00269703, "lh",  Load, Width::Half,   true,  14, 13, 0, 2, 4},    // lh a4,2(a3)
    Case{"lw",      0x0046a703, "lw",  Load, Width::Word,   true,  14, 13, 0, 4, 4},    // lw a4,4(a3)
    Case{"ld",      0x0086b703, "ld",  Load, Width::Double, false, 14, 13, 0, 8, 4},    // ld a4,8(a3)
    Case{"lbu",     0x0016c703, "lbu", Load, Width::Byte,   false, 14, 13, 0, 1, 4},    // lbu a4,1(a3)
    Case{"lhu",     0x0026d703, "lhu", Load, Width::Half,   false, 14, 13, 0, 2, 4},    // lhu a4,2(a3)
    Case{"lwu",     0x0046e703, "lwu", Load, Width::Word,   false, 14, 13, 0, 4, 4},    // lwu a4,4(a3)
    Case{"sb",      0x00e680a3, "sb",  Store, Width::Byte,   false, 0, 13, 14, 1, 4},   // sb a4,1(a3)
    Case{"sh",      0x00e69123, "sh",  Store, Width::Half,   false, 0, 13, 14, 2, 4},   // sh a4,2(a3)
    Case{"sw",      0xfee6ae23, "sw",  Store, Width::Word,   false, 0, 13, 14, -4, 4},  // sw a4,-4(a3)
    Case{"sd",      0x7ee6bc23, "sd",  Store, Width::Double, false, 0, 13, 14, 2040, 4},// sd a4,2040(a3)
    Case{"flw",     0x0046a507, "flw", LoadFloat, Width::Word,    false, 10, 13, 0, 4, 4},  // flw fa0,4(a3)
    Case{"fld",     0x0006b507, "fld", LoadFloat, Width::Double,  false, 10, 13, 0, 0, 4},  // fld fa0,0(a3)
    Case{"fsw",     0x00a6a027, "fsw", StoreFloat, Width::Word,   false, 0, 13, 10, 0, 4},  // fsw fa0,0(a3)
    Case{"fsd",     0x00a6b427, "fsd", StoreFloat, Width::Double, false, 0, 13, 10, 8, 4},  // fsd fa0,8(a3)
    Case{"lr_w",    0x1006a2af, "lr",  LoadReserved, Width::Word, true, 5, 13, 0, 0, 4},    // lr.w t0,(a3)
    Case{"sc_d",    0x1866b2af, "sc",  StoreConditional, Width::Double, true, 5, 13, 6, 0, 4}, // sc.d t0,t1,(a3)
    Case{"amoswap_d", 0x0866b2af, "amoswap", Amo, Width::Double, true, 5, 13, 6, 0, 4},     // amoswap.d t0,t1,(a3)
    Case{"amoadd_w",  0x0066a2af, "amoadd",  Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amoxor_w",  0x2066a2af, "amoxor",  Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amoand_w",  0x6066a2af, "amoand",  Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amoor_w",   0x4066a2af, "amoor",   Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amomin_w",  0x8066a2af, "amomin",  Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amomax_w",  0xa066a2af, "amomax",  Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amominu_w", 0xc066a2af, "amominu", Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"amomaxu_w_aqrl", 0xe666a2af, "amomaxu", Amo, Width::Word, true, 5, 13, 6, 0, 4},
    Case{"c_lw",    0x42d8, "c.lw",   Load, Width::Word, true, 14, 13, 0, 4, 2},            // c.lw a4,4(a3)
    Case{"c_ld",    0x6698, "c.ld",   Load, Width::Double, false, 14, 13, 0, 8, 2},         // c.ld a4,8(a3)
    Case{"c_fld",   0x269c, "c.fld",  LoadFloat, Width::Double, false, 15, 13, 0, 8, 2},    // c.fld fa5,8(a3)
    Case{"c_sw",    0xc2d8, "c.sw",   Store, Width::Word, false, 0, 13, 14, 4, 2},          // c.sw a4,4(a3)
    Case{"c_sd",    0xe698, "c.sd",   Store, Width::Double, false, 0, 13, 14, 8, 2},        // c.sd a4,8(a3)
    Case{"c_fsd",   0xa69c, "c.fsd",  StoreFloat, Width::Double, false, 0, 13, 15, 8, 2},   // c.fsd fa5,8(a3)
    Case{"c_lwsp",  0x4732, "c.lwsp", Load, Width::Word, true, 14, 2, 0, 12, 2},            // c.lwsp a4,12(sp)
    Case{"c_ldsp",  0x6742, "c.ldsp", Load, Width::Double, false, 14, 2, 0, 16, 2},         // c.ldsp a4,16(sp)
    Case{"c_fldsp", 0x27c2, "c.fldsp", LoadFloat, Width::Double, false, 15, 2, 0, 16, 2},   // c.fldsp fa5,16(sp)
    Case{"c_swsp",  0xc63a, "c.swsp", Store, Width::Word, false, 0, 2, 14, 12, 2},          // c.swsp a4,12(sp)
    Case{"c_sdsp",  0xe83a, "c.sdsp", Store, Width::Double, false, 0, 2, 14, 16, 2},        // c.sdsp a4,16(sp)
    Case{"c_fsdsp", 0xa83e, "c.fsdsp", StoreFloat, Width::Double, false, 0, 2, 15, 16, 2}), // c.fsdsp fa5,16(sp)
    [](const auto& row) { return row.param.name; });
// clang-format on

TEST(Decoder, RefusesWhatAccessesNoMemory) {
  // addi a0,a0,1; c.nop; ecall; reserved c.lwsp x0 and c.ldsp x0; load with funct3 7; 0; all ones.
  for (const std::uint32_t word :
       {0x00150513u, 0x0001u, 0x00000073u, 0x4002u, 0x6002u, 0x0006f703u, 0u, 0xffff'ffffu}) {
    EXPECT_FALSE(decode_memory(word)) << std::hex << word;
  }
}

TEST(Decoder, ScattersTheOffsetsOfCompressedInstructionsAsTheManualDoes) {
  // c.ld with each offset bit: uimm[5:3] at [12:10], uimm[7:6] at [6:5].
  EXPECT_EQ(decode_memory(0x6000 | 1u << 10)->offset, 8);
  EXPECT_EQ(decode_memory(0x6000 | 1u << 12)->offset, 32);
  EXPECT_EQ(decode_memory(0x6000 | 1u << 5)->offset, 64);
  EXPECT_EQ(decode_memory(0x6000 | 1u << 6)->offset, 128);
  // c.lw: uimm[2] at 6, uimm[6] at 5.
  EXPECT_EQ(decode_memory(0x4000 | 1u << 6)->offset, 4);
  EXPECT_EQ(decode_memory(0x4000 | 1u << 5)->offset, 64);
  // c.swsp: uimm[7:6] at [8:7]; c.sdsp: uimm[8:6] at [9:7].
  EXPECT_EQ(decode_memory(0xc002 | 1u << 8)->offset, 128);
  EXPECT_EQ(decode_memory(0xe002 | 1u << 9)->offset, 256);
}

TEST(TransformedInstruction, ClearsTheImmediateOfALoad) {
  // lw a4,4(a3) becomes lw a4,0(x0).
  EXPECT_EQ(transformed(*decode_memory(0x0046a703), 0), 0x00002703u);
}

TEST(TransformedInstruction, ClearsTheImmediateOfAStore) {
  // sd a4,2040(a3) becomes sd a4,0(x4): the fault was 4 bytes into the access.
  EXPECT_EQ(transformed(*decode_memory(0x7ee6bc23), 4), 0x00e23023u);
}

TEST(TransformedInstruction, KeepsEverythingOfAnAtomicButItsBase) {
  EXPECT_EQ(transformed(*decode_memory(0xe666a2af), 0), 0xe66022afu);
}

TEST(TransformedInstruction, SaysThatItWasCompressed) {
  // c.lw a4,4(a3): bit 1 is clear.
  EXPECT_EQ(transformed(*decode_memory(0x42d8), 0), 0x00002701u);
}

TEST(TransformedInstruction, IsNotReadFromAPseudoInstruction) {
  EXPECT_FALSE(decode_transformed(0));
  EXPECT_FALSE(decode_transformed(0x3000));
  EXPECT_FALSE(decode_transformed(0x3020));
  EXPECT_FALSE(decode_transformed(0x1'0000'2703));
  EXPECT_FALSE(decode_transformed(0x00150513));
}

// A word that matches a row decodes, and its transformed instruction decodes to the same row.
TEST(Decoder, AgreesWithItselfOnEveryAtomicEncoding) {
  for (std::uint32_t upper = 0; upper < 0x200; ++upper) {
    const std::uint32_t word = upper << 23 | 6u << 20 | 13u << 15 | 2u << 12 | 5u << 7 | 0x2f;
    const auto instruction = decode_memory(word);
    if (!instruction) continue;
    const auto back = decode_transformed(transformed(*instruction, 0));
    ASSERT_TRUE(back) << std::hex << word;
    EXPECT_EQ(back->instruction.name, instruction->name);
    EXPECT_EQ(back->instruction.amo, instruction->amo);
  }
}

}  // namespace
}  // namespace retrap::riscv64
