// One address space, written in every format that real hardware reads.
#include "vmm/address_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/aarch64/stage2.h"
#include "arch/riscv64/stage2.h"
#include "arch/x86_64/stage2.h"
#include "tests/support/matchers.h"
#include "vmm/base/bits.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;

constexpr auto kRead = MappingFlags::Read;
constexpr auto kAll = kRead | MappingFlags::Write | MappingFlags::Execute;

struct Named {
  std::string name;
  const PageTableFormat* format;
};
void PrintTo(const Named& named, std::ostream* out) {
  *out << named.name;
}

std::vector<Named> formats() {
  static const x86_64::NestedPageTableFormat nested;
  static const aarch64::Stage2Format stage2;
  return {{"nested", &nested},
          {"stage2", &stage2},
          {"sv39x4", &riscv64::sv39x4()},
          {"sv48x4", &riscv64::sv48x4()}};
}

class AnAddressSpaceOfEveryFormat : public ::testing::TestWithParam<Named> {
 public:
  [[nodiscard]] Result<> ram(GuestPhys base, std::uint64_t size, Populate populate) {
    return space_.map_ram(base, size, kAll, MapType::Alloc, populate, "ram");
  }
  [[nodiscard]] GuestPhys last_page() const {
    return GuestPhys(bit(GetParam().format->address_bits()) - 0x1000);
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(16_MiB);
  HostMemory memory_{0x1'0000'0000_hpa, bytes_};
  Frames frames_{memory_};
  AddressSpace space_ = *AddressSpace::make(*GetParam().format, frames_, VmId{1});
};

TEST_P(AnAddressSpaceOfEveryFormat, A14_MapsFaultsAndGivesBackAlike) {
  const std::uint64_t before = frames_.bytes_free();
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB, Populate::Eager), Succeeds());
  ASSERT_THAT(ram(0x8000'0000_gpa, 1_GiB, Populate::Lazy), Succeeds());
  ASSERT_THAT(space_.map_linear(0x1000_gpa, 0x1'00f0'0000_hpa, 0x3000, kRead, "window"),
              Succeeds());

  EXPECT_EQ(space_.translate(0x1fff_gpa), 0x1'00f0'0fff_hpa);
  EXPECT_EQ(space_.handle_fault(0x1000_gpa, MappingFlags::Write), FaultOutcome::Permission);
  EXPECT_EQ(space_.handle_fault(0x4000_gpa, kRead), FaultOutcome::Unmapped);
  EXPECT_FALSE(space_.translate(0xbfff'f000_gpa).has_value());
  EXPECT_EQ(space_.handle_fault(0xbfff'f123_gpa, kAll), FaultOutcome::Populated);
  EXPECT_TRUE(space_.translate(0xbfff'f000_gpa).has_value());
  ASSERT_THAT(space_.unmap(0x4010'0000_gpa, 0x1000), Succeeds());
  EXPECT_FALSE(space_.translate(0x4010'0000_gpa).has_value());
  EXPECT_TRUE(space_.translate(0x4010'1000_gpa).has_value());

  for (const GuestPhys base : {0x1000_gpa, 0x4000'0000_gpa, 0x8000'0000_gpa}) {
    ASSERT_THAT(space_.unmap(base, 1_GiB), Succeeds());
  }
  EXPECT_EQ(frames_.bytes_free(), before) << "tables and frames are back";
}

TEST_P(AnAddressSpaceOfEveryFormat, A14_RefusesWithTheSameKindsOfError) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB, Populate::Eager), Succeeds());
  constexpr HostPhys kTarget(0x1'00f0'0000);
  const auto window = [&](GuestPhys gpa, HostPhys hpa, std::uint64_t size, MappingFlags flags) {
    return space_.map_linear(gpa, hpa, size, flags, "window");
  };

  EXPECT_THAT(window(0x1001_gpa, kTarget, 0x1000, kRead), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(window(0x1000_gpa, kTarget, 0, kRead), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(window(0x1000_gpa, kTarget, 0x1000, MappingFlags::Write),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(window(last_page(), kTarget, 0x2000, kRead), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(window(0x403f'f000_gpa, kTarget, 0x2000, kRead),
              FailsSaying(ErrorCode::AlreadyExists, "ram"));
  EXPECT_THAT(ram(0x8000'0000_gpa, 32_MiB, Populate::Eager), FailsWith(ErrorCode::NoMemory));
  EXPECT_THAT(space_.unmap(0x8000'0000_gpa, 0x1000), FailsWith(ErrorCode::NotFound));
  EXPECT_THAT(window(last_page(), kTarget, 0x1000, kRead), Succeeds());
  EXPECT_EQ(space_.regions().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(All, AnAddressSpaceOfEveryFormat, ::testing::ValuesIn(formats()),
                         [](const ::testing::TestParamInfo<Named>& row) { return row.param.name; });

}  // namespace
}  // namespace retrap
