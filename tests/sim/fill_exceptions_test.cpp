// A refused TLB fill comes to the hook of exceptions, and the engine goes on from there.
#include "sim/unicorn/fill_exceptions.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/unicorn/aarch64/env.h"
#include "sim/unicorn/engine.h"
#include "sim/unicorn/riscv64/env.h"

namespace retrap::unicorn {
namespace {

class AnEngine : public ::testing::Test {
 protected:
  Engine open(uc_arch arch, uc_mode mode) {
    return std::move(*Engine::open({.arch = arch, .mode = mode}, memory_));
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(1u << 20);
  HostMemory memory_{HostPhys(0x1'0000'0000), bytes_};
};

TEST_F(AnEngine, OfAarch64GoesOnAfterARefusedFill) {
  const Engine engine = open(UC_ARCH_ARM64, UC_MODE_ARM);
  aarch64::Env* const env = *aarch64::Env::find(engine.get());

  EXPECT_TRUE(FillExceptions::find(engine.get(), env).work());
}

TEST_F(AnEngine, OfRiscv64GoesOnAfterARefusedFill) {
  const Engine engine = open(UC_ARCH_RISCV, UC_MODE_RISCV64);
  riscv64::Env* const env = *riscv64::Env::find(engine.get());

  EXPECT_TRUE(FillExceptions::find(engine.get(), env).work());
}

TEST_F(AnEngine, IsAsItWasAfterTheTrial) {
  const Engine engine = open(UC_ARCH_ARM64, UC_MODE_ARM);
  aarch64::Env* const env = *aarch64::Env::find(engine.get());
  env->x[5] = 55;
  const std::uint64_t pc = env->pc;

  (void)FillExceptions::find(engine.get(), env);

  EXPECT_EQ(env->x[5], 55u);
  EXPECT_EQ(env->pc, pc);
}

// A library of another layout: the registers are not where the CPU says that they are.
TEST_F(AnEngine, WhoseFieldsAreElsewhereKeepsItsOwnWay) {
  const Engine engine = open(UC_ARCH_ARM64, UC_MODE_ARM);
  aarch64::Env* const env = *aarch64::Env::find(engine.get());

  FillExceptions fills = FillExceptions::find(engine.get(), &env->x[0]);

  EXPECT_FALSE(fills.work());
  fills.raise();  // does nothing
}

}  // namespace
}  // namespace retrap::unicorn
