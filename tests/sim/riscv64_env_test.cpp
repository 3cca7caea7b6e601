// The window on the engine's registers: what is seen there is what the public interface says.
#include "sim/unicorn/riscv64/env.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/unicorn/engine.h"
#include "tests/support/matchers.h"

namespace retrap::unicorn::riscv64 {
namespace {

using test::Succeeds;

class AnEnv : public ::testing::Test {
 public:
  AnEnv() {
    auto found = Env::find(engine_.get());
    EXPECT_THAT(found, Succeeds());
    env_ = *found;
  }
  std::uint64_t read(int id) const {
    std::uint64_t value = 0;
    check(uc_reg_read(engine_.get(), id, &value), "reg_read");
    return value;
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(1u << 20);
  HostMemory memory_{HostPhys(0x1'0000'0000), bytes_};
  Engine engine_ = std::move(*Engine::open({UC_ARCH_RISCV, UC_MODE_RISCV64}, memory_));
  Env* env_ = nullptr;
};

TEST_F(AnEnv, LeavesTheRegistersOfANewEngineAsTheyWere) {
  for (int i = 0; i < 32; ++i) EXPECT_EQ(read(UC_RISCV_REG_X0 + i), 0u) << "x" << i;
  for (int i = 0; i < 32; ++i) EXPECT_EQ(read(UC_RISCV_REG_F0 + i), 0u) << "f" << i;
  for (const int id : {UC_RISCV_REG_SEPC, UC_RISCV_REG_SCAUSE, UC_RISCV_REG_STVAL,
                       UC_RISCV_REG_SSCRATCH, UC_RISCV_REG_STVEC, UC_RISCV_REG_SCOUNTEREN,
                       UC_RISCV_REG_MIP, UC_RISCV_REG_MIE, UC_RISCV_REG_MIDELEG}) {
    EXPECT_EQ(read(id), 0u) << id;
  }
}

TEST_F(AnEnv, IsTheStateAndNotACopy) {
  env_->x[17] = 0x1717;
  env_->sepc = 0x2020;
  const std::uint64_t value = 0x5a5a;
  check(uc_reg_write(engine_.get(), UC_RISCV_REG_SSCRATCH, &value), "reg_write");

  EXPECT_EQ(read(UC_RISCV_REG_X17), 0x1717u);
  EXPECT_EQ(read(UC_RISCV_REG_SEPC), 0x2020u);
  EXPECT_EQ(env_->sscratch, 0x5a5au);
}

TEST_F(AnEnv, IsFoundInEveryEngineOfItsOwn) {
  Engine other = std::move(*Engine::open({UC_ARCH_RISCV, UC_MODE_RISCV64}, memory_));
  const auto found = Env::find(other.get());

  ASSERT_THAT(found, Succeeds());
  EXPECT_NE(*found, env_);
}

}  // namespace
}  // namespace retrap::unicorn::riscv64
