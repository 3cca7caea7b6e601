// Operands that reach further than the CPU shows.
#include <gtest/gtest.h>

#include <algorithm>

#include "arch/x86_64/emulate.h"
#include "tests/arch/x86_64_fake_cpu.h"

namespace retrap::x86_64 {
namespace {

using test::FakeCpu;
using test::FakePort;

constexpr std::uint64_t kRbx = 0xd000'0000;

/// An operand that begins in a device and goes on elsewhere, as the CPU shows it.
struct ALongOperand : testing::Test {
  test::Parts parts;
  FakePort port;
  Decoder decoder;
  const RawExit exit{.code = SvmExit::NestedPageFault,
                     .info1 = npf::kWrite,
                     .info2 = kRbx + 0xff0,
                     .linear = kRbx + 0xff0,
                     .size = 2};
  std::vector<GuestPhys> pages;  ///< of the last attempt

  /// fsave [rbx], which ends in the page at `second`.
  Emulated run(GuestPhys second) {
    FakeCpu& cpu = parts.cpu;
    cpu.code = {0xdd, 0x33};
    cpu.on_scratch = [this, second](std::span<const ScratchPage> given) {
      pages.clear();
      for (const ScratchPage& page : given) pages.push_back(page.page);
      const bool there = std::ranges::find(pages, second) != pages.end();
      parts.cpu.last = {
          .code = SvmExit::NestedPageFault, .info1 = npf::kWrite, .info2 = second.raw()};
      return there || ++attempts == 2 ? Completion::Retired : Completion::NestedFault;
    };
    return Emulator(cpu, port, &parts.space).run(exit, decoder);
  }
  unsigned attempts = 0;
};

TEST_F(ALongOperand, EndsInAPageThatReadsAsAllOnesWhereNothingIs) {
  constexpr GuestPhys kHole(kRbx + 0x1000);

  EXPECT_EQ(run(kHole), Emulated::Retired);

  EXPECT_EQ(pages, (std::vector{GuestPhys(kRbx), kHole}));
}

TEST_F(ALongOperand, EndsInMemoryWhereThatIs) {
  EXPECT_EQ(run(GuestPhys(0x3000)), Emulated::Retired);

  EXPECT_EQ(pages, std::vector{GuestPhys(kRbx)}) << "no page stands in for memory";
  EXPECT_EQ(attempts, 2u);
}

}  // namespace
}  // namespace retrap::x86_64
