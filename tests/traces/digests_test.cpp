// Digests as a tree: what is written is what changed, and what differs has a name.
#include "traces/digests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/traces/sample.h"
#include "traces/text.h"

namespace retrap::traces::test {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr VmId kGuest{1};

PartDigest ram(std::uint64_t base, std::uint64_t digest) {
  return {kGuest, Part::Ram, {}, digest, base, 0x20'0000};
}
PartDigest uart(std::uint64_t digest) {
  return {kGuest, Part::MmioDevice, {}, digest, 0x0900'0000, 0x1000, "pl011"};
}
PartDigest registers(std::uint32_t vcpu, std::uint64_t digest) {
  return {kGuest, Part::Registers, VcpuId{vcpu}, digest};
}
std::vector<PartDigest> machine() {
  return {uart(1), ram(0x4020'0000, 2), ram(0x4000'0000, 3), registers(1, 4), registers(0, 5)};
}

TEST(ADigestRecord, HoldsWhatChangedSinceTheOneBefore) {
  DigestState state;
  EXPECT_THAT(state.change_to(1000, machine()).parts,
              ElementsAre(registers(0, 5), registers(1, 4), ram(0x4000'0000, 3),
                          ram(0x4020'0000, 2), uart(1)));

  auto parts = machine();
  parts[2] = ram(0x4000'0000, 7);
  EXPECT_THAT(state.change_to(2000, parts).parts, ElementsAre(ram(0x4000'0000, 7)));
  EXPECT_THAT(state.change_to(3000, parts).parts, IsEmpty());

  parts.erase(parts.begin());
  PartDigest gone = uart(0);
  gone.gone = true;
  EXPECT_THAT(state.change_to(4000, parts).parts, ElementsAre(gone));
}

TEST(ADigestRecord, IsTheWholeStateWithThoseBeforeIt) {
  DigestState recorded;
  DigestState read;
  auto parts = machine();
  for (std::uint64_t i = 0; i < 8; ++i) {
    parts[i % parts.size()].digest += i;
    if (i == 3) parts.erase(parts.begin());
    const DigestRecord record = recorded.change_to(i, parts);
    read.apply(record);
    EXPECT_EQ(read.parts(), recorded.parts());
    EXPECT_EQ(record.root, root_of(read.parts()));
  }
}

TEST(ADigestTree, HasAnotherRootWhateverPartIsAnother) {
  DigestState state;
  const std::uint64_t root = state.change_to(0, machine()).root;
  for (std::size_t i = 0; i < machine().size(); ++i) {
    auto parts = machine();
    parts[i].digest ^= 1;
    EXPECT_NE(state.change_to(1, parts).root, root) << name_of(parts[i]);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NE(state.change_to(2, parts).root, root);
  }
  EXPECT_EQ(state.change_to(3, machine()).root, root);
}

TEST(ADigestTree, NamesThePartsThatDiffer) {
  DigestState left;
  DigestState right;
  (void)left.change_to(0, machine());
  auto parts = machine();
  parts[0] = uart(9);
  parts[1] = ram(0x4020'0000, 8);
  parts.pop_back();
  (void)right.change_to(0, parts);

  const auto found = differences(left.parts(), right.parts(), 9);
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(name_of(found[0].part), "registers of vm 1 vcpu 0");
  EXPECT_EQ(found[0].left, 5U);
  EXPECT_EQ(found[0].right, std::nullopt);
  EXPECT_THAT(names_of(found), ElementsAre("RAM 0x40200000..0x40400000 of vm 1",
                                           "device pl011 at 0x9000000 of vm 1"));
  EXPECT_THAT(differences(left.parts(), right.parts(), 2), SizeIs(2));
  EXPECT_THAT(differences(left.parts(), left.parts(), 9), IsEmpty());
}

TEST(ADigestRecord, OfMorePartsThanABlockHoldsIsSeveral) {
  std::vector<PartDigest> parts;
  for (std::uint64_t i = 0; i < 3 * DigestWriter::kMostParts; ++i) parts.push_back(ram(i << 21, i));
  DigestState state;
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  writer.add(state.change_to(5, parts));
  ASSERT_THAT(writer.finish({}), Succeeds());
  const auto reader = Reader::parse("many", bytes);

  ASSERT_THAT(reader, Succeeds());
  DigestState read;
  for (const DigestRecord& record : reader->digests()) read.apply(record);
  EXPECT_TRUE(read.parts() == state.parts());
}

std::optional<DigestRecord> taken(DigestReader& reader, const ByteVector& bytes) {
  ByteSource source(bytes);
  return reader.take(source);
}

TEST(ADigestReader, RefusesWhatIsNoPart) {
  DigestWriter writer;
  ByteVector good;
  writer.append(good, {1, 2, {uart(3)}});
  DigestReader reader(kVersion);
  EXPECT_EQ(taken(reader, good), (DigestRecord{1, 2, {uart(3)}}));
  ByteVector again;
  writer.append(again, {2, 2, {uart(4)}});
  EXPECT_LE(again.size(), 19U) << "it was described before";
  EXPECT_EQ(taken(reader, again), (DigestRecord{2, 2, {uart(4)}}));

  DigestReader other(kVersion);
  EXPECT_FALSE(taken(other, again)) << "a part that was not described";
  for (std::size_t size = 0; size < good.size(); ++size) {
    DigestReader cut(kVersion);
    EXPECT_FALSE(taken(cut, ByteVector(good.begin(), good.begin() + std::ptrdiff_t(size))));
  }
  DigestReader fresh(kVersion);
  ByteVector unknown = good;
  unknown[12] = std::byte{kParts};
  EXPECT_FALSE(taken(fresh, unknown)) << "a kind of part that there is not";
  ByteVector named;
  PartDigest device = uart(3);
  device.name = std::string(200, 'x');
  DigestWriter().append(named, {1, 2, {device}});
  EXPECT_EQ(taken(fresh, named)->parts[0].name, std::string(kMaxPartName, 'x'));
}

TEST(ADigestReader, RefusesPartsThatAreOutOfOrder) {
  for (const auto& parts : {std::vector{uart(1), ram(0x4000'0000, 2)}, std::vector(2, uart(1))}) {
    ByteVector bytes;
    DigestWriter().append(bytes, {1, 2, parts});
    DigestReader reader(kVersion);
    EXPECT_FALSE(taken(reader, bytes));
  }
}

TEST(ADigestReader, RefusesMorePartsThanARecordHas) {
  std::vector<PartDigest> parts;
  for (std::uint64_t i = 0; i < DigestWriter::kMostParts; ++i) parts.push_back(ram(i << 21, i));
  const auto is_taken = [&] {
    ByteVector bytes;
    DigestWriter().append(bytes, {1, 2, parts});
    DigestReader reader(kVersion);
    return taken(reader, bytes).has_value();
  };
  EXPECT_TRUE(is_taken());
  parts.push_back(ram(DigestWriter::kMostParts << 21, 1));
  EXPECT_FALSE(is_taken());
}

TEST(ADigestReader, RefusesThatAPartGoesThatIsNotThere) {
  DigestWriter writer;
  DigestReader reader(kVersion);
  const auto is_taken = [&](bool gone) {
    PartDigest part = uart(gone ? 0 : 1);
    part.gone = gone;
    ByteVector bytes;
    writer.append(bytes, {1, 2, {part}});
    return taken(reader, bytes).has_value();
  };
  EXPECT_FALSE(is_taken(true));
  EXPECT_TRUE(is_taken(false));
  EXPECT_TRUE(is_taken(true));
  EXPECT_FALSE(is_taken(true));
}

TEST(ADigestReader, RefusesDigestsThatGoBack) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  writer.add(DigestRecord{5, 1, {uart(1)}});
  writer.add(DigestRecord{4, 2, {uart(2)}});
  ASSERT_THAT(writer.finish({}), Succeeds());
  EXPECT_THAT(Reader::parse("t.rtr", bytes),
              FailsSaying(ErrorCode::CorruptTrace, "a digest comes before the one it follows"));
}

TEST(ADigestOfVersion1, IsReadAsWhatChanged) {
  DigestReader reader(1);
  const auto record = [](std::uint64_t retired, std::uint64_t memory) {
    ByteVector bytes;
    append_varint(bytes, retired);
    append_varint(bytes, 2);
    for (const auto& [part, digest] : {std::pair(1, std::uint64_t{5}), std::pair(2, memory)}) {
      append_varint(bytes, 1);
      append_byte(bytes, static_cast<std::uint64_t>(part));
      append_varint(bytes, 0);
      append_le(bytes, digest);
    }
    return bytes;
  };
  const PartDigest memory{kGuest, Part::Memory, {}, 7};

  EXPECT_THAT(taken(reader, record(1000, 6))->parts, SizeIs(2));
  const auto second = taken(reader, record(2000, 7));
  EXPECT_THAT(second->parts, ElementsAre(memory));
  EXPECT_EQ(second->root, root_of(std::vector{registers(0, 5), memory}));
  ByteVector later = record(3000, 8);
  later[later.size() - 10] = std::byte{8};
  EXPECT_FALSE(taken(reader, later)) << "a part that version 1 does not have";
}

}  // namespace
}  // namespace retrap::traces::test
