// What retrap stat counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/traces/sample.h"
#include "traces/statistics.h"

namespace retrap::traces::test {
namespace {

using retrap::test::Succeeds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kHalt = ExitReason(exits::Halt{}).index();
constexpr std::size_t kRead = ExitReason(exits::MmioRead{}).index();

/// Reads at 100, 200, ... of two VMs in turn, a halt of 5000 ns before the second half.
Reader two_vms(std::size_t reads) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  std::uint64_t retired = 0;
  std::uint64_t idle_ns = 0;
  for (std::size_t i = 0; i < reads; ++i) {
    if (i == reads / 2) {
      retired += 30;
      writer.add(ExitRecord{.retired = retired, .pc = 0x10, .reason = exits::Halt{}});
      idle_ns = 5000;
    }
    retired += 100;
    writer.add(ExitRecord{.vm = VmId{static_cast<std::uint32_t>(i % 2)},
                          .retired = retired,
                          .idle_ns = idle_ns,
                          .pc = 0x20,
                          .reason = exits::MmioRead{GuestPhys(0x1000 + 8 * (i % 2)), Width::Word}});
  }
  EXPECT_THAT(writer.finish({}), Succeeds());
  return Reader::parse("t.rtr", bytes).value();
}

Statistics counted(const Reader& reader, std::string_view filter, std::uint64_t first = 0) {
  Filter parsed = Filter::parse(filter).value();
  parsed.set_range(first, ~std::uint64_t{0});
  Statistics statistics;
  EXPECT_THAT(walk(reader, parsed, statistics), Succeeds());
  return statistics;
}

TEST(TheStatisticsOfATrace, CountInstructionsSinceTheLastExitOfAnyKind) {
  const Reader reader = two_vms(10);

  const Statistics all = counted(reader, "");
  const Statistics one_vm = counted(reader, "vm=1");
  const Statistics halts = counted(reader, "kind=halt");

  EXPECT_EQ(all.by_kind()[kRead].instructions, 1000U);
  EXPECT_EQ(all.by_kind()[kHalt].instructions, 30U);
  EXPECT_EQ(one_vm.by_kind()[kRead].instructions, 500U);
  EXPECT_EQ(halts.by_kind()[kHalt].instructions, 30U);
  EXPECT_THAT(one_vm.to_json(1), HasSubstr(R"("instructions":500,)"));
}

TEST(TheStatisticsOfATrace, CountInstructionsOfARangeFromTheExitBeforeIt) {
  EXPECT_EQ(counted(two_vms(10), "", 7).by_kind()[kRead].instructions, 400U);
  EXPECT_EQ(counted(two_vms(100'000), "", 90'001).by_kind()[kRead].instructions, 1'000'000U);
}

TEST(TheStatisticsOfATrace, SayHowLongTheMachineWasIdleAfterWhat) {
  const Statistics all = counted(two_vms(10), "");

  EXPECT_EQ(all.by_kind()[kHalt].idle_ns, 5000U);
  EXPECT_EQ(all.by_kind()[kRead].idle_ns, 0U);
  EXPECT_EQ(counted(two_vms(10), "kind=mmio-read").by_kind()[kRead].idle_ns, 0U);
  EXPECT_THAT(all.to_text(10), HasSubstr("mean idle ns"));
}

TEST(TheStatisticsOfATrace, GroupExitsByDevice) {
  const DeviceNames names = [](VmId vm, std::size_t kind, std::uint64_t address) -> std::string {
    EXPECT_EQ(kind, kRead);
    if (address == 0x1008) return "";
    return vm == VmId{0} ? "the \"first\" 0x1000" : "second";
  };
  const Statistics all = counted(two_vms(10), "");

  EXPECT_THAT(all.to_json(10, names),
              HasSubstr(R"("by_device":[{"name":"the \"first\" 0x1000","exits":5,)"));
  EXPECT_THAT(all.to_text(10, names), AllOf(HasSubstr("  device\n"), Not(HasSubstr("second"))));
  EXPECT_THAT(all.to_text(10), Not(HasSubstr("device")));
}

TEST(TheStatisticsOfATrace, SumTheSameAddressOfSeveralVms) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  for (std::uint32_t vm = 0; vm < 3; ++vm) {
    writer.add(
        ExitRecord{.vm = VmId{vm}, .reason = exits::MmioRead{GuestPhys(0x1000), Width::Word}});
  }
  EXPECT_THAT(writer.finish({}), Succeeds());

  EXPECT_THAT(counted(Reader::parse("t", bytes).value(), "").to_json(10),
              HasSubstr(R"("by_address":[{"name":"0x1000 mmio-read","exits":3,)"));
}

}  // namespace
}  // namespace retrap::traces::test
