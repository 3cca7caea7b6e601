// Code that changes: by the guest through any alias, by the host, by another CPU.
#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kAlias = 0x4000'0000;  ///< linear: the first 2 MiB once more

/// The routine at kRoutine returns what the byte at kImmediate says.
constexpr std::uint64_t kRoutine = 0x12'0000;
constexpr std::uint64_t kImmediate = kRoutine + 1;

void make_routine(CpuRig& rig) {
  rig.code({0xb8, 1, 0, 0, 0, 0xc3}, kRoutine);  // mov eax, 1; ret
}

/// Maps the alias with `flags` on top of present and accessed.
void make_alias(CpuRig& rig, std::uint64_t flags) {
  rig.store<std::uint64_t>(CpuRig::kTables + 0x3000, 0xe1 | flags);
}
constexpr std::uint64_t kWritable = 2;
constexpr std::uint64_t kNx = std::uint64_t{1} << 63;

/// call [rsi]; mov ebx, eax; mov byte [rdi], 2; call rsi; hlt
void make_caller(CpuRig& rig, std::uint64_t store_to) {
  rig.code({0xff, 0xd6, 0x89, 0xc3, 0xc6, 0x07, 2, 0xff, 0xd6, 0xf4});
  rig.cpu().set_gpr(Gpr::Rsi, kRoutine);
  rig.cpu().set_gpr(Gpr::Rdi, store_to);
}

void expect_one_then_two(CpuRig& rig) {
  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 1u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 2u);
  EXPECT_EQ(rig.clock.retired(), 8u);
}

TEST(ChangedCode, IsSeenThroughTheSameAddress) {
  CpuRig rig;
  make_routine(rig);
  make_caller(rig, kImmediate);

  expect_one_then_two(rig);
}

TEST(ChangedCode, IsSeenThroughAnExecutableAlias) {
  CpuRig rig;
  make_routine(rig);
  make_alias(rig, kWritable);
  make_caller(rig, kAlias + kImmediate);

  expect_one_then_two(rig);
}

TEST(ChangedCode, IsSeenThroughAnAliasWithoutExecution) {
  CpuRig rig;
  make_routine(rig);
  make_alias(rig, kWritable | kNx);
  make_caller(rig, kAlias + kImmediate);

  expect_one_then_two(rig);
}

TEST(ChangedCode, IsSeenOnAPageThatWasWrittenFirst) {
  CpuRig rig;
  make_routine(rig);
  make_alias(rig, kWritable | kNx);
  // mov byte [rdi], 1; call rsi; mov ebx, eax; mov byte [rdi], 2; call rsi; hlt
  rig.code({0xc6, 0x07, 1, 0xff, 0xd6, 0x89, 0xc3, 0xc6, 0x07, 2, 0xff, 0xd6, 0xf4});
  rig.cpu().set_gpr(Gpr::Rsi, kRoutine);
  rig.cpu().set_gpr(Gpr::Rdi, kAlias + kImmediate);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 1u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 2u);
}

TEST(ChangedCode, IsSeenEveryTime) {
  CpuRig rig;
  make_routine(rig);
  make_alias(rig, kWritable | kNx);
  // mov ecx, 100; 1: mov [rdi], cl; call rsi; add ebx, eax; dec ecx; jnz 1b; hlt
  rig.code({0xb9, 100, 0, 0, 0, 0x88, 0x0f, 0xff, 0xd6, 0x01, 0xc3, 0xff, 0xc9, 0x75, 0xf6, 0xf4});
  rig.cpu().set_gpr(Gpr::Rsi, kRoutine);
  rig.cpu().set_gpr(Gpr::Rdi, kAlias + kImmediate);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 5050u);
}

TEST(ChangedCode, IsSeenWhenTheHostChangesIt) {
  CpuRig rig;
  make_routine(rig);
  rig.code({0xff, 0xd6, 0xf4, 0xff, 0xd6, 0xf4});  // call rsi; hlt; call rsi; hlt
  rig.cpu().set_gpr(Gpr::Rsi, kRoutine);
  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  rig.cpu().advance(1);

  rig.store<std::uint8_t>(kImmediate, 9);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 9u);
}

TEST(ChangedCode, IsSeenByAnotherCpu) {
  CpuRig rig(2);
  make_routine(rig);
  rig.cpu(1).set_state(CpuRig::long_mode());
  rig.code({0xff, 0xd6, 0xf4, 0xff, 0xd6, 0xf4});          // CPU 0 calls twice
  rig.code({0xc6, 0x07, 3, 0xf4}, CpuRig::kCode + 0x100);  // CPU 1: mov byte [rdi], 3
  rig.cpu(0).set_gpr(Gpr::Rsi, kRoutine);
  rig.cpu(1).set_gpr(Gpr::Rdi, kImmediate);
  rig.cpu(1).set_rip(CpuRig::kCode + 0x100);
  rig.clock.set_slice_end(1000);
  ASSERT_EQ(rig.cpu(0).run().code, SvmExit::Hlt);
  rig.cpu(0).advance(1);

  ASSERT_EQ(rig.cpu(1).run().code, SvmExit::Hlt);
  ASSERT_EQ(rig.cpu(0).run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu(0).gpr(Gpr::Rax), 3u);
}

TEST(ChangedCode, IsSeenAcrossVms) {
  CpuRig rig;
  make_routine(rig);
  rig.code({0xff, 0xd6, 0xf4, 0xff, 0xd6, 0xf4});
  rig.cpu().set_gpr(Gpr::Rsi, kRoutine);
  // A second VM on the same frames.
  auto other = *rig.hardware->create(1, rig.space);
  other->cpu(0).set_state(CpuRig::long_mode());
  other->cpu(0).set_gpr(Gpr::Rdi, kImmediate);
  other->cpu(0).set_rip(CpuRig::kCode + 0x100);
  rig.code({0xc6, 0x07, 3, 0xf4, 0xc6, 0x07, 4, 0xf4}, CpuRig::kCode + 0x100);
  rig.clock.set_slice_end(1000);
  ASSERT_EQ(other->cpu(0).run().code, SvmExit::Hlt);  // now it may write there unasked
  other->cpu(0).advance(1);

  ASSERT_EQ(rig.cpu().run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 3u);
  rig.cpu().advance(1);
  ASSERT_EQ(other->cpu(0).run().code, SvmExit::Hlt);

  ASSERT_EQ(rig.cpu().run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 4u);
}

TEST(ALoopThatStores, KeepsWritingWhereItsOwnPageIs) {
  CpuRig rig;
  // mov ecx, 1000; 1: mov [rip+0x40], ecx; dec ecx; jnz 1b; hlt: data beside the code
  rig.code({0xb9, 0xe8, 3, 0, 0, 0x89, 0x0d, 0x40, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf6, 0xf4});

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.clock.retired(), 3001u);
  EXPECT_EQ(rig.load<std::uint32_t>(CpuRig::kCode + 11 + 0x40), 1u);
}

}  // namespace
}  // namespace retrap::test
