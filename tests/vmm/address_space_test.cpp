// What a guest-physical address means: regions, lazy pages, faults, copies across borders.
#include "vmm/address_space.h"

#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

#include "sim/scripted/scripted_format.h"
#include "tests/support/matchers.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;
using test::SucceedsWith;

constexpr auto kRead = MappingFlags::Read;
constexpr auto kReadWrite = MappingFlags::Read | MappingFlags::Write;
constexpr auto kAll = kReadWrite | MappingFlags::Execute;

class AnAddressSpace : public ::testing::Test {
 public:
  [[nodiscard]] Result<> ram(GuestPhys base, std::uint64_t size,
                             Populate populate = Populate::Eager, MappingFlags flags = kAll,
                             MapType type = MapType::Alloc) {
    return space_.map_ram(base, size, flags, type, populate, "ram");
  }

  [[nodiscard]] std::uint64_t digest() const {
    Digest digest;
    space_.digest(digest);
    return digest.value();
  }

  scripted::ScriptedFormat format_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(16_MiB);
  HostMemory memory_{0x1'0000'0000_hpa, bytes_};
  Frames frames_{memory_};
  AddressSpace space_ = *AddressSpace::make(format_, frames_, VmId{1});
  std::uint64_t empty_bytes_ = frames_.bytes_of(VmId{1});
};

TEST_F(AnAddressSpace, MapsEagerRamAtOnce) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 2_MiB), Succeeds());

  EXPECT_TRUE(space_.translate(0x401f'ffff_gpa).has_value());
  EXPECT_FALSE(space_.translate(0x4020'0000_gpa).has_value());
  EXPECT_GE(frames_.bytes_of(VmId{1}), 2_MiB);
  ASSERT_EQ(space_.regions().size(), 1u);
  EXPECT_EQ(space_.translate(0x4000'0000_gpa), space_.regions()[0].host);
}

TEST_F(AnAddressSpace, MapsLazyRamPageByPage) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 1_GiB, Populate::Lazy), Succeeds());
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);

  EXPECT_EQ(space_.handle_fault(0x4123'4567_gpa, kReadWrite), FaultOutcome::Populated);

  EXPECT_TRUE(space_.translate(0x4123'4000_gpa).has_value());
  EXPECT_FALSE(space_.translate(0x4123'5000_gpa).has_value());
}

TEST_F(AnAddressSpace, MapsIdenticalRamAtItsOwnAddress) {
  ASSERT_THAT(ram(0x1'0040'0000_gpa, 1_MiB, Populate::Eager, kAll, MapType::Identical), Succeeds());

  EXPECT_EQ(space_.translate(0x1'0040'1234_gpa), 0x1'0040'1234_hpa);
  EXPECT_THAT(ram(0x4000'0000_gpa, 1_MiB, Populate::Eager, kAll, MapType::Identical),
              FailsWith(ErrorCode::NoMemory));
}

TEST_F(AnAddressSpace, MapsReservedRamThatItDoesNotOwn) {
  const FrameOwner embedder{.vm = VmId{9}, .use = FrameUse::Shared};
  ASSERT_THAT(frames_.allocate_at(0x1'0040'0000_hpa, 1_MiB, embedder), Succeeds());

  ASSERT_THAT(ram(0x1'0040'0000_gpa, 1_MiB, Populate::Eager, kAll, MapType::Reserved), Succeeds());
  ASSERT_THAT(space_.unmap(0x1'0040'0000_gpa, 1_MiB), Succeeds());

  EXPECT_EQ(frames_.bytes_of(VmId{9}), 1_MiB);
}

TEST_F(AnAddressSpace, RefusesRegionsThatShareAByte) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 2 * kPageSize), Succeeds());

  EXPECT_THAT(ram(0x4000'1000_gpa, kPageSize),
              FailsSaying(ErrorCode::AlreadyExists, "0x000040000000"));
  EXPECT_THAT(ram(0x3fff'f000_gpa, 2 * kPageSize), FailsWith(ErrorCode::AlreadyExists));
  EXPECT_THAT(ram(0x4000'2000_gpa, kPageSize), Succeeds());
  EXPECT_THAT(ram(0x3fff'f000_gpa, kPageSize), Succeeds());
}

TEST_F(AnAddressSpace, RefusesRangesThatAreNone) {
  EXPECT_THAT(ram(0x4000'0800_gpa, kPageSize), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0x4000'0000_gpa, 0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0x4000'0000_gpa, 100), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0xffff'ffff'ffff'f000_gpa, 2 * kPageSize), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0xffff'ffff'f000_gpa, 2 * kPageSize), FailsWith(ErrorCode::InvalidInput));
  EXPECT_TRUE(space_.regions().empty());
}

TEST_F(AnAddressSpace, RefusesRamThatIsADevice) {
  EXPECT_THAT(ram(0_gpa, kPageSize, Populate::Eager, kAll | MappingFlags::Device),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0_gpa, kPageSize, Populate::Eager, kAll | MappingFlags::Uncached),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(ram(0_gpa, kPageSize, Populate::Eager, MappingFlags::Write),
              FailsWith(ErrorCode::InvalidInput));
}

TEST_F(AnAddressSpace, TellsTheFourOutcomesOfAFaultApart) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Eager, kRead), Succeeds());
  ASSERT_THAT(ram(0x2000_gpa, 2 * kPageSize, Populate::Lazy), Succeeds());

  EXPECT_EQ(space_.handle_fault(0x2000_gpa, kReadWrite), FaultOutcome::Populated);
  EXPECT_EQ(space_.handle_fault(0x1000_gpa, MappingFlags::Write), FaultOutcome::Permission);
  EXPECT_EQ(space_.handle_fault(0x1fff_gpa, MappingFlags::Execute), FaultOutcome::Permission);
  EXPECT_EQ(space_.handle_fault(0x4000_gpa, kRead), FaultOutcome::Unmapped);
  while (frames_.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam})) {
  }
  EXPECT_EQ(space_.handle_fault(0x3000_gpa, kRead), FaultOutcome::NoMemory);
}

TEST_F(AnAddressSpace, IgnoresTheUserBitOfAnAccess) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Lazy), Succeeds());

  EXPECT_EQ(space_.handle_fault(0x1000_gpa, kRead | MappingFlags::User), FaultOutcome::Populated);
}

TEST_F(AnAddressSpace, CopiesAcrossRegionsOfEveryKind) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize), Succeeds());
  ASSERT_THAT(ram(0x2000_gpa, 2 * kPageSize, Populate::Lazy, kRead), Succeeds());
  ASSERT_THAT(ram(0x4000_gpa, kPageSize, Populate::Eager, kRead), Succeeds());
  std::array<std::byte, 0x3000> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7);

  ASSERT_THAT(space_.write(0x1801_gpa, out), Succeeds());
  std::array<std::byte, 0x3000> back{};
  ASSERT_THAT(space_.read(0x1801_gpa, back), Succeeds());

  EXPECT_EQ(out, back);
}

TEST_F(AnAddressSpace, ReadsZeroesWhereALazyPageWasNeverTouched) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Lazy), Succeeds());

  EXPECT_THAT(space_.load<std::uint64_t>(0x1ff8_gpa), SucceedsWith(0u));
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
}

TEST_F(AnAddressSpace, WritesNothingWhereTheRangeLeavesMemory) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize), Succeeds());

  EXPECT_THAT(space_.store(0x1ffc_gpa, std::uint64_t{0x1122'3344'5566'7788}),
              FailsSaying(ErrorCode::NotFound, "0x000000002000"));
  EXPECT_THAT(space_.load<std::uint32_t>(0x1ffc_gpa), SucceedsWith(0u));
  EXPECT_THAT(space_.load<std::uint64_t>(0x1ffc_gpa), FailsWith(ErrorCode::NotFound));
}

TEST_F(AnAddressSpace, CopiesNothingAnywhere) {
  EXPECT_THAT(space_.read(0x7000_gpa, {}), Succeeds());
  EXPECT_THAT(space_.write(0x7000_gpa, {}), Succeeds());
}

TEST_F(AnAddressSpace, LeavesAHoleInARegion) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB), Succeeds());
  ASSERT_THAT(space_.store(0x4030'0000_gpa, std::uint32_t{42}), Succeeds());
  const std::uint64_t used = frames_.bytes_of(VmId{1});
  const std::uint64_t generation = space_.generation();

  ASSERT_THAT(space_.unmap(0x4010'1000_gpa, 1_MiB), Succeeds());

  EXPECT_EQ(space_.find(0x4010'1000_gpa), nullptr);
  EXPECT_NE(space_.find(0x4010'0fff_gpa), nullptr);
  EXPECT_EQ(space_.find(0x4010'0fff_gpa, 2), nullptr);
  EXPECT_THAT(space_.load<std::uint32_t>(0x4030'0000_gpa), SucceedsWith(42u));
  EXPECT_LT(frames_.bytes_of(VmId{1}), used);
  EXPECT_GT(space_.generation(), generation);
  EXPECT_EQ(space_.regions().size(), 2u);
}

TEST_F(AnAddressSpace, UnmapsSeveralRegionsAtOnce) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize), Succeeds());
  ASSERT_THAT(ram(0x4000_gpa, 2 * kPageSize, Populate::Lazy), Succeeds());
  ASSERT_THAT(space_.store(0x5000_gpa, std::uint32_t{1}), Succeeds());

  ASSERT_THAT(space_.unmap(0_gpa, 0x10000), Succeeds());

  EXPECT_TRUE(space_.regions().empty());
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
  EXPECT_THAT(space_.unmap(0_gpa, 0x10000), FailsWith(ErrorCode::NotFound));
}

TEST_F(AnAddressSpace, ChangesNothingWhereItCannotSplitABlock) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB), Succeeds());
  while (frames_.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam})) {
  }
  const std::uint64_t used = frames_.bytes_of(VmId{1});

  EXPECT_THAT(space_.unmap(0x4000'1000_gpa, kPageSize), FailsWith(ErrorCode::NoMemory));

  EXPECT_EQ(space_.regions().size(), 1u);
  EXPECT_EQ(frames_.bytes_of(VmId{1}), used);
  EXPECT_TRUE(space_.translate(0x4000'1000_gpa).has_value());
}

TEST_F(AnAddressSpace, SharesMemoryWithAnotherVm) {
  AddressSpace other = *AddressSpace::make(format_, frames_, VmId{2});
  const HostPhys page = *frames_.allocate(kPageSize, kPageSize, {VmId{1}, FrameUse::Shared});
  ASSERT_THAT(space_.map_linear(0x1000_gpa, page, kPageSize, kReadWrite, "mine"), Succeeds());
  ASSERT_THAT(other.map_linear(0x9000_gpa, page, kPageSize, kRead, "theirs"), Succeeds());

  ASSERT_THAT(space_.store(0x1010_gpa, std::uint32_t{77}), Succeeds());

  EXPECT_THAT(other.load<std::uint32_t>(0x9010_gpa), SucceedsWith(77u));
  ASSERT_THAT(frames_.free(page), Succeeds());
  EXPECT_TRUE(frames_.owner_of(page).has_value()) << "freed while mapped";
}

TEST_F(AnAddressSpace, NeverMapsWhatAnotherVmOwns) {
  AddressSpace other = *AddressSpace::make(format_, frames_, VmId{2});
  ASSERT_THAT(other.map_ram(0_gpa, kPageSize, kAll, MapType::Alloc, Populate::Eager, "secret"),
              Succeeds());

  EXPECT_THAT(space_.map_linear(0x1000_gpa, *other.translate(0_gpa), kPageSize, kRead, "window"),
              FailsSaying(ErrorCode::PermissionDenied, "vm 2"));
  EXPECT_THAT(space_.map_linear(0x1000_gpa, other.root(), kPageSize, kRead, "window"),
              FailsSaying(ErrorCode::PermissionDenied, "page table"));
  EXPECT_THAT(space_.map_linear(0x1000_gpa, 0_hpa, kPageSize, kRead, "window"),
              FailsWith(ErrorCode::NoMemory));
  EXPECT_TRUE(space_.regions().empty());
}

TEST_F(AnAddressSpace, GivesBackEveryFrameWhenItGoes) {
  {
    AddressSpace space = *AddressSpace::make(format_, frames_, VmId{3});
    ASSERT_THAT(space.map_ram(0_gpa, 4_MiB, kAll, MapType::Alloc, Populate::Eager, "a"),
                Succeeds());
    ASSERT_THAT(space.map_ram(0x100'0000_gpa, 1_MiB, kAll, MapType::Alloc, Populate::Lazy, "b"),
                Succeeds());
    ASSERT_THAT(space.store(0x100'4000_gpa, 1), Succeeds());
    ASSERT_THAT(space.map_linear(0x200'0000_gpa, 0x1'00f0'0000_hpa, 0x3000, kRead, "c"),
                Succeeds());
    const AddressSpace moved = std::move(space);
    EXPECT_GT(frames_.bytes_of(VmId{3}), 4_MiB);
  }
  EXPECT_EQ(frames_.bytes_of(VmId{3}), 0u);
}

TEST_F(AnAddressSpace, HasOneDigestHoweverItIsPopulated) {
  AddressSpace lazy = *AddressSpace::make(format_, frames_, VmId{2});
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB), Succeeds());
  ASSERT_THAT(lazy.map_ram(0x4000'0000_gpa, 4_MiB, kAll, MapType::Alloc, Populate::Lazy, "lazy"),
              Succeeds());
  for (AddressSpace* space : {&space_, &lazy}) {
    ASSERT_THAT(space->store(0x4012'3456_gpa, 0x1234), Succeeds());
    ASSERT_THAT(space->store(0x4030'0000_gpa, 0), Succeeds());
  }

  Digest other;
  lazy.digest(other);
  EXPECT_EQ(digest(), other.value());

  ASSERT_THAT(lazy.store(0x4012'3456_gpa, 0x1235), Succeeds());
  Digest changed;
  lazy.digest(changed);
  EXPECT_NE(digest(), changed.value());
}

TEST_F(AnAddressSpace, HasADigestOfEachPieceThatIsNotZero) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 4_MiB, Populate::Lazy), Succeeds());
  ASSERT_THAT(ram(0x8010'0000_gpa, 1_MiB), Succeeds());
  EXPECT_TRUE(space_.pieces(80).empty());
  ASSERT_THAT(space_.store(0x4000'0ff8_gpa, std::uint64_t{7}), Succeeds());
  ASSERT_THAT(space_.store(0x801f'fff8_gpa, std::uint64_t{7}), Succeeds());

  const auto pieces = space_.pieces(80);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].base, 0x4000'0000_gpa);
  EXPECT_EQ(pieces[1].base, 0x801f'0000_gpa);
  EXPECT_EQ(pieces[1].size, 64_KiB) << "64 and 16 of them make 80";
  EXPECT_NE(pieces[0].digest, pieces[1].digest);
  EXPECT_EQ(space_.pieces(79)[1].base, 0x801e'0000_gpa);
  EXPECT_EQ(space_.pieces(1)[1].base, 0x8000'0000_gpa) << "one for each region";

  ASSERT_THAT(space_.store(0x4000'1000_gpa, std::uint64_t{7}), Succeeds());
  EXPECT_NE(space_.pieces(80)[0].digest, pieces[0].digest);
  EXPECT_EQ(space_.pieces(80)[1].digest, pieces[1].digest);
}

TEST_F(AnAddressSpace, IsZeroAgainAfterClearing) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 2_MiB), Succeeds());
  ASSERT_THAT(ram(0x8000'0000_gpa, 2_MiB, Populate::Lazy), Succeeds());
  const std::uint64_t pristine = digest();
  ASSERT_THAT(space_.store(0x4000'1000_gpa, 1), Succeeds());
  ASSERT_THAT(space_.store(0x8000'1000_gpa, 1), Succeeds());
  const std::uint64_t generation = space_.generation();

  space_.clear();

  EXPECT_EQ(digest(), pristine);
  EXPECT_GT(space_.generation(), generation);
}

// The catalogue of defects, chapter 2.3.

TEST_F(AnAddressSpace, DefectA1_MapsHostAddressesAboveAndBelowGuestAddresses) {
  EXPECT_THAT(space_.map_linear(0x1000_gpa, 0x1'0080'0000_hpa, kPageSize, kRead, "above"),
              Succeeds());
  EXPECT_THAT(space_.map_linear(0x7f00'0000'0000_gpa, 0x1'0080'1000_hpa, kPageSize, kRead, "below"),
              Succeeds());
  EXPECT_EQ(space_.translate(0x7f00'0000'0010_gpa), 0x1'0080'1010_hpa);
}

TEST_F(AnAddressSpace, DefectA2_KeepsTheFirstFrameWhenAPageFaultsTwice) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Lazy), Succeeds());
  ASSERT_EQ(space_.handle_fault(0x1000_gpa, kRead), FaultOutcome::Populated);
  ASSERT_THAT(space_.store(0x1000_gpa, 99), Succeeds());
  const auto frame = space_.translate(0x1000_gpa);
  const std::uint64_t used = frames_.bytes_of(VmId{1});

  ASSERT_EQ(space_.handle_fault(0x1000_gpa, kRead), FaultOutcome::Populated);

  EXPECT_EQ(space_.translate(0x1000_gpa), frame);
  EXPECT_THAT(space_.load<int>(0x1000_gpa), SucceedsWith(99));
  EXPECT_EQ(frames_.bytes_of(VmId{1}), used);
}

TEST_F(AnAddressSpace, DefectA3_GivesZeroedFramesThatAnotherVmHadBefore) {
  {
    AddressSpace before = *AddressSpace::make(format_, frames_, VmId{2});
    ASSERT_THAT(before.map_ram(0_gpa, 8_MiB, kAll, MapType::Alloc, Populate::Eager, "secret"),
                Succeeds());
    const std::vector<std::byte> secret(8_MiB, std::byte{0xaa});
    ASSERT_THAT(before.write(0_gpa, secret), Succeeds());
  }
  ASSERT_THAT(ram(0x4000'0000_gpa, 8_MiB), Succeeds());
  ASSERT_THAT(ram(0x8000'0000_gpa, 4_MiB, Populate::Lazy), Succeeds());
  ASSERT_EQ(space_.handle_fault(0x8000'0000_gpa, kRead), FaultOutcome::Populated);

  std::vector<std::byte> seen(8_MiB);
  ASSERT_THAT(space_.read(0x4000'0000_gpa, seen), Succeeds());

  EXPECT_EQ(std::count(seen.begin(), seen.end(), std::byte{0}), 8_MiB);
  EXPECT_THAT(space_.load<std::uint64_t>(0x8000'0000_gpa), SucceedsWith(0u));
}

TEST_F(AnAddressSpace, DefectA4_LeavesNothingBehindWhereRamDoesNotFit) {
  EXPECT_THAT(ram(0x4000'0000_gpa, 64_MiB), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);

  while (frames_.bytes_free() > 2 * kPageSize) {
    ASSERT_THAT(frames_.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam}), Succeeds());
  }
  // Room for the RAM, and none for its tables.
  EXPECT_THAT(ram(0x4000'0000_gpa, 2 * kPageSize), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
  EXPECT_EQ(space_.handle_fault(0x4000'0000_gpa, kRead), FaultOutcome::Unmapped);
}

TEST_F(AnAddressSpace, DefectA5_UnmapsLargePagesWithoutALeak) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 8_MiB), Succeeds());

  ASSERT_THAT(space_.unmap(0x4000'0000_gpa, 8_MiB), Succeeds());

  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
  EXPECT_FALSE(space_.translate(0x4000'0000_gpa).has_value());
}

TEST_F(AnAddressSpace, DefectA6_RefusesABufferThatCrossesTheEndOfRam) {
  ASSERT_THAT(ram(0x4000'0000_gpa, kPageSize), Succeeds());
  std::array<std::byte, 8> buffer{};

  for (std::uint64_t tail = 1; tail < 8; ++tail) {
    const GuestPhys at(0x4000'1000 - tail);
    EXPECT_THAT(space_.read(at, buffer), FailsWith(ErrorCode::NotFound));
    EXPECT_THAT(space_.write(at, buffer), FailsWith(ErrorCode::NotFound));
  }
  EXPECT_THAT(space_.read(0x4000'0ff8_gpa, buffer), Succeeds());
}

TEST_F(AnAddressSpace, DefectA7_FindsOnlyRegionsThatHoldTheWholeRest) {
  ASSERT_THAT(ram(0x4000'0000_gpa, 4 * kPageSize), Succeeds());

  EXPECT_NE(space_.find(0x4000'3000_gpa, kPageSize), nullptr);
  EXPECT_EQ(space_.find(0x4000'3000_gpa, kPageSize + 1), nullptr);
  EXPECT_EQ(space_.find(0x4000'3000_gpa, ~std::uint64_t{0}), nullptr);
}

TEST_F(AnAddressSpace, DefectA8_ReadsAWordThatCrossesPagesFromBothFrames) {
  ASSERT_THAT(ram(0x1000_gpa, 2 * kPageSize, Populate::Lazy), Succeeds());
  // The second page first: the frames lie the other way round.
  ASSERT_THAT(space_.store(0x2000_gpa, std::uint32_t{0xaabb'ccdd}), Succeeds());
  ASSERT_THAT(space_.store(0x1ffc_gpa, std::uint32_t{0x1122'3344}), Succeeds());
  ASSERT_GT(*space_.translate(0x1000_gpa), *space_.translate(0x2000_gpa));

  EXPECT_THAT(space_.load<std::uint64_t>(0x1ffc_gpa), SucceedsWith(0xaabb'ccdd'1122'3344u));
}

TEST_F(AnAddressSpace, DefectA9_TellsPermissionFromNothingThere) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Lazy, kRead), Succeeds());

  EXPECT_EQ(space_.handle_fault(0x1000_gpa, MappingFlags::Write), FaultOutcome::Permission);
  EXPECT_EQ(space_.handle_fault(0x2000_gpa, MappingFlags::Write), FaultOutcome::Unmapped);
  EXPECT_FALSE(space_.translate(0x1000_gpa).has_value()) << "refused, and populated";
}

TEST_F(AnAddressSpace, DefectA10_KeepsExecuteApartFromRead) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Eager, kReadWrite), Succeeds());

  EXPECT_EQ(space_.handle_fault(0x1000_gpa, MappingFlags::Execute), FaultOutcome::Permission);
}

TEST_F(AnAddressSpace, DefectA11_NeedsNoUserBitForRam) {
  ASSERT_THAT(ram(0x1000_gpa, kPageSize, Populate::Eager, kAll), Succeeds());

  EXPECT_EQ(space_.handle_fault(0x1000_gpa, kAll | MappingFlags::User), FaultOutcome::Populated);
}

TEST_F(AnAddressSpace, DefectA12_RefusesWriteOnlyMappings) {
  EXPECT_THAT(space_.map_linear(0x1000_gpa, 0x1'0080'0000_hpa, kPageSize, MappingFlags::Write, "w"),
              FailsWith(ErrorCode::InvalidInput));
}

}  // namespace
}  // namespace retrap
