// Which instructions a turn may end behind: those that end a block wherever it begins.
#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>

#include "sim/unicorn/aarch64/block_marks.h"
#include "sim/unicorn/riscv64/block_counts.h"

namespace retrap::unicorn {
namespace {

using Words = std::initializer_list<std::uint32_t>;

TEST(BranchesOfAarch64, AreAllWithALabelOrARegister) {
  const Words branches = {
      0x1400'0001,  // b
      0x97ff'ffff,  // bl
      0x5400'0041,  // b.ne
      0xb400'0040,  // cbz x0
      0x3500'0040,  // cbnz w0
      0x3600'0040,  // tbz w0, #0
      0xb7f8'0040,  // tbnz x0, #63
      0xd61f'0200,  // br x16
      0xd63f'0020,  // blr x1
      0xd65f'03c0,  // ret
  };
  for (const std::uint32_t word : branches)
    EXPECT_TRUE(aarch64::is_branch(word)) << std::hex << word;
}

TEST(BranchesOfAarch64, AreNotExceptionsAndReturnsFromThem) {
  const Words others = {
      0xd69f'03e0,  // eret
      0xd400'0001,  // svc #0
      0xd400'0002,  // hvc #0
      0xd503'205f,  // wfe
      0xd503'3fdf,  // isb
      0x9100'0400,  // add x0, x0, #1
      0xf940'0000,  // ldr x0, [x0]
      0x0000'0000,  // udf
  };
  for (const std::uint32_t word : others)
    EXPECT_FALSE(aarch64::is_branch(word)) << std::hex << word;
}

TEST(BranchesOfRiscv64, AreJumpsAndBranchesOfBothLengths) {
  const Words branches = {
      0x0000'006f,  // j .
      0x0000'8067,  // ret
      0x00b5'0463,  // beq a0, a1
      0xa001,       // c.j
      0xc101,       // c.beqz a0
      0xe101,       // c.bnez a0
      0x8082,       // c.jr ra
      0x9502,       // c.jalr a0
  };
  for (const std::uint32_t word : branches)
    EXPECT_TRUE(riscv64::is_branch(word)) << std::hex << word;
}

TEST(BranchesOfRiscv64, AreNotCallsOfTheEnvironmentAndWhatLooksLikeOne) {
  const Words others = {
      0x0000'0073,  // ecall
      0x1020'0073,  // sret
      0x1050'0073,  // wfi
      0x0000'0013,  // nop
      0x0001,       // c.nop
      0x9002,       // c.ebreak
      0x8002,       // c.jr of x0 is reserved
      0x852e,       // c.mv a0, a1
      0x952e,       // c.add a0, a1
      0x0000,       // illegal
  };
  for (const std::uint32_t word : others)
    EXPECT_FALSE(riscv64::is_branch(word)) << std::hex << word;
}

}  // namespace
}  // namespace retrap::unicorn
