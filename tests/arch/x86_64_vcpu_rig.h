// Two vCPUs on scripted CPUs, for tests of exits and events.
#pragma once

#include <gtest/gtest.h>

#include "tests/arch/x86_64_fake_cpu.h"

namespace retrap::x86_64::test {

inline constexpr std::uint64_t kRip = 0x1000;
inline constexpr std::uint8_t kUd = 6, kGp = 13;

/// An exit of an instruction of `length` bytes.
inline RawExit raw(SvmExit code, unsigned length, std::uint64_t info1 = 0,
                   std::uint64_t info2 = 0) {
  return {.code = code, .info1 = info1, .info2 = info2, .next_rip = kRip + length};
}

struct VcpuTest : testing::Test {
  Parts parts;
  FakeCpu& cpu = parts.cpu;
  Vcpu vcpu{kBootVcpu, parts.for_cpu(parts.cpu)};
  Vcpu other{VcpuId{1}, parts.for_cpu(parts.other_cpu)};

  VcpuTest() { cpu.now.rip = kRip; }

  ExitReason run(RawExit exit) {
    cpu.now.rip = kRip;
    cpu.script = {exit};
    return vcpu.run();
  }
  /// What follows an exit that is handled inside: the guest goes on until the limit.
  [[nodiscard]] bool stayed_inside(const ExitReason& exit) const {
    return exit == ExitReason(exits::BudgetSpent{});
  }
  void expect_fault(const Event& event) {
    EXPECT_EQ(cpu.pending, event);
    EXPECT_EQ(cpu.now.rip, kRip);
    EXPECT_TRUE(cpu.advances.empty());
  }
};

}  // namespace retrap::x86_64::test
