// The catalogue of defects: those entries that need a failing host or a whole VM to show.
#include <gmock/gmock.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::ScriptedVm;
using test::Succeeds;

/// Hardware that cannot be switched on the first few times.
class WeakArchitecture final : public Architecture {
 public:
  explicit WeakArchitecture(unsigned refusals) : refusals_(refusals) {}

  ArchId id() const override { return inner_.id(); }
  const PageTableFormat& page_table_format() const override { return inner_.page_table_format(); }
  VmConfig default_config(std::uint64_t memory_bytes) const override {
    return inner_.default_config(memory_bytes);
  }
  void check(const VmConfig& config, std::vector<std::string>& problems) const override {
    inner_.check(config, problems);
  }
  Result<std::unique_ptr<Board>> make_board(const VmConfig& config, VmParts parts) override {
    if (refusals_ != 0) {
      --refusals_;
      return fail(ErrorCode::Backend, "the hardware does not answer");
    }
    return inner_.make_board(config, parts);
  }

 private:
  unsigned refusals_;
  scripted::ScriptedArchitecture inner_;
};

class WeakHost final : public Hal {
 public:
  explicit WeakHost(unsigned refusals) : weak(refusals) {}

  Frames& frames() override { return host.frames(); }
  Clock& clock() override { return host.clock(); }
  Architecture* architecture(ArchId arch) override { return arch == weak.id() ? &weak : nullptr; }

  test::ScriptedHost host;
  WeakArchitecture weak;
};

TEST(Defects, C5_HardwareThatFailsOnceLeavesNothingBehind) {
  WeakHost hal(2);
  test::ConsoleText console;
  const VmConfig config = hal.host.config();

  for (int again = 0; again < 2; ++again) {
    EXPECT_THAT(Vm::create(config, hal, console),
                FailsSaying(ErrorCode::Backend, "the hardware does not answer"));
    EXPECT_EQ(hal.frames().bytes_free(), hal.host.memory().size());
  }

  const auto vm = Vm::create(config, hal, console);
  ASSERT_THAT(vm, Succeeds());
  EXPECT_THAT((*vm)->boot(), Succeeds());
}

TEST(Defects, A13_AVmGoesInPeaceWhateverWasMappedInIt) {
  test::ScriptedHost host;
  test::ConsoleText console;
  {
    VmConfig config = host.config();
    config.populate = Populate::Lazy;
    auto vm = *Vm::create(config, host, console);
    // Half unmapped, half populated, split, with a foreign window and a refused mapping.
    ASSERT_THAT(vm->write_to_guest_of(0x4000'0000_gpa, 1), Succeeds());
    ASSERT_THAT(vm->unmap_region(0x4000'0000_gpa, 0x1000), Succeeds());
    ASSERT_THAT(vm->unmap_region(0x4000'8000_gpa, 0x1000), Succeeds());
    ASSERT_THAT(vm->map_region(0x9000'0000_gpa, 0x1'0080'0000_hpa, 4_MiB, MappingFlags::Read),
                Succeeds());
    ASSERT_THAT(vm->unmap_region(0x9010'0000_gpa, 0x1000), Succeeds());
    ASSERT_THAT(vm->map_region(0x9000'0000_gpa, 0x1'0080'0000_hpa, 4_MiB, MappingFlags::Read),
                FailsWith(ErrorCode::AlreadyExists));
    vm->memory().clear();
    vm->memory().clear();
  }
  EXPECT_EQ(host.frames().bytes_free(), host.memory().size());
}

TEST(Defects, A13_AVmGoesInPeaceWhereItsHostIsFull) {
  test::ScriptedHost host;
  test::ConsoleText console;
  {
    VmConfig config = host.config(64_MiB);
    config.populate = Populate::Lazy;
    const auto vm = *Vm::create(config, host, console);
    std::uint64_t page = 0x4000'0000;
    while (vm->write_to_guest_of(GuestPhys(page), 1)) page += 0x1000;
    EXPECT_GT(page, 0x4000'0000u + 8_MiB);
    EXPECT_LT(host.frames().bytes_free(), 0x2000u);
  }
  EXPECT_EQ(host.frames().bytes_free(), host.memory().size());
}

TEST(Defects, A14_EveryRefusedMappingSaysWhichKindOfErrorItIs) {
  ScriptedVm guest;
  Vm& vm = *guest.vm;
  constexpr HostPhys kTarget(0x1'0080'0000);
  const auto map = [&](GuestPhys gpa, HostPhys hpa, std::uint64_t size) {
    return vm.map_region(gpa, hpa, size, MappingFlags::Read);
  };

  EXPECT_THAT(map(0x9000'0000_gpa, kTarget, 0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(map(0x9000'0001_gpa, kTarget, 0x1000), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(map(0x9000'0000_gpa, kTarget.wrapping_add(1), 0x1000),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(map(0xffff'ffff'ffff'f000_gpa, kTarget, 0x2000), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(map(0x400f'f000_gpa, kTarget, 0x2000), FailsSaying(ErrorCode::AlreadyExists, "ram0"));
  EXPECT_THAT(map(0x9000'0000_gpa, HostPhys(0x1000), 0x1000), FailsWith(ErrorCode::NoMemory));
  EXPECT_THAT(vm.unmap_region(0x9000'0000_gpa, 0x1000), FailsWith(ErrorCode::NotFound));
  EXPECT_EQ(vm.memory().regions().size(), 1u);
}

TEST(Defects, D5_ARangeThatWasNeverGivenOutOrWrapsIsAnError) {
  ScriptedVm guest;
  Vm& vm = *guest.vm;

  for (const std::uint64_t size : {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0xfff}}) {
    EXPECT_THAT(vm.unmap_region(0x4000'0000_gpa, size), FailsWith(ErrorCode::InvalidInput));
  }
  EXPECT_THAT(vm.unmap_region(0xffff'ffff'ffff'f000_gpa, 0x1000),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.unmap_region(0x4000'0000_gpa, 0x10'0000), Succeeds());
  EXPECT_THAT(vm.unmap_region(0x4000'0000_gpa, 0x10'0000), FailsWith(ErrorCode::NotFound));
  EXPECT_THAT(guest.host.frames().free(0x1'0080'0000_hpa), FailsWith(ErrorCode::NotFound));
}

}  // namespace
}  // namespace retrap
