// Two traces side by side: which difference is named, and what is said of what one of them lacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/traces/sample.h"
#include "traces/compare.h"

namespace retrap::traces::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Item = std::variant<ExitRecord, AnswerRecord, InjectionRecord, InputRecord, DigestRecord>;

/// A trace of these, in this order; without an end it was cut off.
Reader trace_of(const std::vector<Item>& items, std::optional<EndRecord> end = sample_end(),
                Header header = {.detail = Detail::Full}) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), header).value();
  for (const Item& item : items) {
    std::visit([&](const auto& record) { writer.add(record); }, item);
  }
  EXPECT_THAT(end ? writer.finish(*end) : writer.flush(), retrap::test::Succeeds());
  return Reader::parse("t.rtr", bytes).value();
}

ExitRecord halt(std::uint64_t retired, std::uint64_t pc = 0x1000) {
  return {.vm = VmId{1}, .retired = retired, .pc = pc, .reason = exits::Halt{}};
}

InputRecord typed(std::uint64_t retired, const std::string& text) {
  return {retired, InputRecord::When::Stopped, VmId{1}, ConsoleInput{text}};
}

DigestRecord memory(std::uint64_t retired, std::uint64_t digest) {
  return {retired, digest, {{VmId{1}, Part::Memory, {}, digest}}};
}

Comparison compared(const Reader& left, const Reader& right, const Ignored& ignored = {}) {
  return compare(left, right, ignored).value();
}

TEST(DigestsOfTwoTraces, AreComparedWhereBothHaveOne) {
  const auto left = trace_of({memory(100, 1), memory(200, 2), memory(300, 3), memory(400, 4)});
  const auto right = trace_of({memory(200, 2), memory(400, 5)});

  const auto found = compared(left, right);

  EXPECT_EQ(found.equal_digests, 1U);
  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->retired, 400U);
  EXPECT_EQ(found.divergence->what.field, "digest of the memory of vm 1");
  EXPECT_EQ(found.divergence->what.left, "0000000000000004");
}

TEST(DigestsOfTwoTraces, AreEqualWhereOnlyTheirIntervalsDiffer) {
  const auto left = trace_of({memory(100, 1), memory(200, 2)});
  const auto right = trace_of({memory(200, 2)});

  EXPECT_FALSE(compared(left, right).divergence);
  EXPECT_EQ(summary(compared(left, right)), "0 events, 1 digest and the end are equal");
}

TEST(DigestsOfTwoTraces, ThatAreNeverAtTheSameCountAreSaidNotToBeCompared) {
  const auto found = compared(trace_of({memory(100, 1)}), trace_of({memory(150, 2)}));

  EXPECT_FALSE(found.divergence);
  EXPECT_THAT(found.notes, Contains(HasSubstr("no state is compared")));
}

TEST(DigestsOfTwoTraces, ArePairedByTheirParts) {
  const PartDigest clock{{}, Part::Clock, {}, 1};
  const PartDigest ram{VmId{1}, Part::Memory, {}, 2};
  const PartDigest other_ram{VmId{2}, Part::Memory, {}, 3};
  const PartDigest board{VmId{1}, Part::Board, {}, 4};
  const auto left = trace_of({DigestRecord{100, 0, {clock, ram, other_ram}}});
  const auto right = trace_of({DigestRecord{100, 0, {clock, ram, board}}});

  const auto found = compared(left, right);

  EXPECT_FALSE(found.divergence);
  EXPECT_THAT(found.notes, ElementsAre("only left has digests of: memory of vm 2",
                                       "only right has digests of: board of vm 1"));
}

TEST(DigestsOfTwoTraces, NameThePartThatDiffersAmongOthers) {
  const PartDigest ram{VmId{1}, Part::Memory, {}, 2};
  const PartDigest other{VmId{2}, Part::Memory, {}, 2};
  PartDigest changed = ram;
  changed.digest = 3;
  const auto left = trace_of({DigestRecord{100, 0, {ram, other}}});
  const auto right = trace_of({DigestRecord{100, 0, {changed}}});

  EXPECT_EQ(compared(left, right).divergence->what.field, "digest of the memory of vm 1");
}

TEST(DigestsOfTwoTraces, AreOfStatesWhateverTheRecordsBefore) {
  const PartDigest ram{VmId{1}, Part::Ram, {}, 2, 0x1000, 0x1000};
  PartDigest other_ram = ram;
  other_ram.base = 0x2000;
  PartDigest changed = ram;
  changed.digest = 3;
  const auto left =
      trace_of({DigestRecord{100, 1, {ram, other_ram}}, DigestRecord{200, 2, {changed}},
                DigestRecord{200, 2, {}}, DigestRecord{300, 3, {ram}}});
  const auto right =
      trace_of({DigestRecord{200, 2, {changed, other_ram}}, DigestRecord{300, 3, {ram}}});
  const auto another = trace_of({DigestRecord{200, 4, {changed}}, DigestRecord{300, 5, {ram}}});

  EXPECT_FALSE(compared(left, right).divergence);
  EXPECT_EQ(compared(left, right).equal_digests, 2U);
  const auto found = compared(left, another);
  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->retired, 200U);
  EXPECT_EQ(found.divergence->what.field, "digest of the RAM 0x2000..0x3000 of vm 1");
  EXPECT_EQ(found.divergence->what.right, "zeroes");
}

PartDigest piece(std::uint64_t base, std::uint64_t digest) {
  return {VmId{1}, Part::Ram, {}, digest, base << 21, 1 << 21};
}

TEST(DigestsOfTwoTraces, WithOtherRootsAreComparedByWhatChanges) {
  // Comparing whole states would take minutes.
  constexpr std::uint64_t kRecords = 20'000;
  const auto trace = [](std::uint64_t roots, std::uint64_t last) {
    std::vector<Item> items;
    DigestRecord first{1, roots, {}};
    for (std::uint64_t i = 0; i < DigestWriter::kMostParts; ++i) first.parts.push_back(piece(i, 1));
    items.emplace_back(first);
    for (std::uint64_t i = 2; i <= kRecords; ++i) {
      items.emplace_back(DigestRecord{i, roots, {piece(i % 100, i == kRecords ? last : i)}});
    }
    return trace_of(items);
  };

  const auto found = compared(trace(5, 3), trace(6, 4));

  EXPECT_EQ(found.equal_digests, kRecords - 1);
  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->what.field, "digest of the RAM 0x0..0x200000 of vm 1");
  EXPECT_THAT(found.divergence->also, IsEmpty());
}

TEST(DigestsOfTwoTraces, WhoseRootsDoNotTellTheTruthAreComparedWithThoseBehind) {
  const auto trace = [](std::uint64_t first, std::uint64_t root) {
    return trace_of({DigestRecord{1, 7, {piece(0, first)}}, DigestRecord{2, root, {}}});
  };

  const auto found = compared(trace(1, 8), trace(2, 9));

  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->retired, 2U);
}

TEST(DigestsOfTwoTraces, TakeRamThatIsNotThereForZeroesOnceThereIsOther) {
  const auto left = trace_of({DigestRecord{1, 1, {piece(0, 5), piece(1, 6)}},
                              DigestRecord{2, 2, {piece(0, 7)}}, DigestRecord{3, 3, {}}});
  const auto right = trace_of({DigestRecord{1, 4, {{VmId{1}, Part::Registers, {}, 9}}},
                               DigestRecord{2, 5, {}}, DigestRecord{3, 6, {piece(0, 7)}}});

  const auto found = compared(left, right);

  EXPECT_EQ(found.equal_digests, 2U);
  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->retired, 3U);
  EXPECT_EQ(found.divergence->what.field, "digest of the RAM 0x200000..0x400000 of vm 1");
  EXPECT_EQ(found.divergence->what.right, "zeroes");
  EXPECT_THAT(found.notes, Contains(HasSubstr("only right has digests of: registers")));
  EXPECT_THAT(found.notes, Contains(HasSubstr("only left has digests of: RAM 0x0..")));
}

TEST(DigestsOfTwoTraces, ComeWithTheExitsBeforeThem) {
  const auto left = trace_of({halt(10), halt(90, 0x2000), memory(100, 1), halt(110)});
  const auto right = trace_of({halt(10), halt(90, 0x2000), memory(100, 2), halt(110)});

  const auto found = compared(left, right);

  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->exit, 1U);
  EXPECT_EQ(found.divergence->pc, 0x2000U);
  EXPECT_THAT(found.divergence->before, ElementsAre(HasSubstr("halt"), HasSubstr("halt")));
}

TEST(StateThatDiffersBeforeBehaviour, IsANote) {
  const auto left = trace_of({memory(100, 1), halt(110)});
  const auto right = trace_of({memory(100, 2), halt(111)});

  const auto found = compared(left, right);

  EXPECT_EQ(found.divergence->what.field, "retired");
  EXPECT_THAT(found.notes,
              Contains("the digest of the memory of vm 1 differs from instruction 100 on at the "
                       "latest"));
}

TEST(InputsOfTwoTraces, AreNamedBeforeTheEventsTheyCause) {
  const auto left = trace_of({halt(10), typed(20, "a"), halt(30)});
  const auto right = trace_of({halt(10), typed(20, "b"), halt(31)});

  const auto found = compared(left, right);

  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->what.field, "input 0");
  EXPECT_EQ(found.divergence->retired, 20U);
  EXPECT_THAT(found.divergence->what.left, HasSubstr("input console \"a\""));
}

TEST(InputsOfTwoTraces, ComeBehindEventsThatDifferBefore) {
  const auto left = trace_of({halt(10), typed(20, "a")});
  const auto right = trace_of({halt(10, 0x3000), typed(20, "b")});

  EXPECT_EQ(compared(left, right).divergence->what.field, "pc");
}

TEST(InputsOfTwoTraces, CauseWhatHappensAtTheirInstruction) {
  const auto left = trace_of({halt(20), typed(20, "a"), halt(20, 0x2000)});
  const auto right = trace_of({halt(20), typed(20, "b"), halt(20, 0x3000)});
  const auto early_left = trace_of({halt(20, 0x2000), typed(20, "a")});
  const auto early_right = trace_of({halt(20, 0x3000), typed(20, "b")});

  EXPECT_EQ(compared(left, right).divergence->what.field, "input 0");
  EXPECT_EQ(compared(early_left, early_right).divergence->what.field, "pc");
}

TEST(InputsOfTwoTraces, DifferInWhatTheyWrite) {
  const InputRecord left{10, InputRecord::When::Stopped, VmId{1}, MemoryInput{0x1000, "ab"}};
  InputRecord right = left;
  right.input = MemoryInput{0x1000, "ac"};

  const auto found = compared(trace_of({left}), trace_of({right}));

  ASSERT_TRUE(found.divergence);
  EXPECT_NE(found.divergence->what.left, found.divergence->what.right);
}

TEST(InputsOfTwoTraces, MayDifferInTheirCountsWhereThatIsIgnored) {
  const auto left = trace_of({typed(10, "a")});
  const auto right = trace_of({typed(20, "a")});

  EXPECT_TRUE(compared(left, right).divergence);
  EXPECT_FALSE(compared(left, right, {"retired"}).divergence);
}

TEST(ATraceOfAnInterruptedRun, IsComparedAsFarAsItGoes) {
  constexpr std::uint8_t kInterrupted = 6;
  EndRecord end = sample_end();
  end.retired = 25;
  end.reason = kInterrupted;
  const auto left = trace_of({halt(10), halt(20)}, end);
  const auto right = trace_of({halt(10), halt(20), typed(30, "a"), halt(40)});

  const auto found = compared(left, right);

  EXPECT_FALSE(found.divergence);
  EXPECT_THAT(found.notes, Contains("left was interrupted after instruction 25"));
}

TEST(ConfigurationsOfTwoTraces, ThatDifferAreNamedByTheirFirstLineThatDoes) {
  const std::string config = "[base]\nid = 1\ncpu_num = 2\n";
  Header header{.detail = Detail::Full, .configs = {config}};
  const auto left = trace_of({}, sample_end(), header);
  header.configs[0].replace(config.find("2"), 1, "14");
  const auto right = trace_of({}, sample_end(), header);
  header.configs[0] = config + "name = \"x\"\n";
  const auto longer = trace_of({}, sample_end(), header);

  EXPECT_THAT(compared(left, right).notes,
              Contains("the configurations differ: cpu_num = 2 and cpu_num = 14"));
  EXPECT_THAT(compared(left, longer).notes, Contains(HasSubstr(" and name = \"x\"")));
}

TEST(ATraceThatWasCutOff, IsComparedAsFarAsItGoes) {
  const auto left = trace_of({halt(10), halt(20)}, std::nullopt);
  const auto right = trace_of({halt(10), halt(20), typed(30, "a"), halt(40)});

  const auto found = compared(left, right);

  EXPECT_FALSE(found.divergence);
  EXPECT_EQ(found.equal_events, 2U);
  EXPECT_THAT(found.notes, Contains("left was cut off after instruction 20"));
  EXPECT_EQ(summary(found), "2 events are equal");
}

TEST(ATraceThatWasCutOff, DiffersFromOneWithAnInputBeforeItsLastEvent) {
  const auto left = trace_of({halt(10), halt(50)}, std::nullopt);
  const auto right = trace_of({halt(10), typed(30, "a"), halt(50)});

  ASSERT_TRUE(compared(left, right).divergence);
  EXPECT_EQ(compared(left, right).divergence->what.field, "input 0");
}

TEST(ATraceWithItsEnd, DiffersFromOneThatGoesOn) {
  const auto found = compared(trace_of({halt(10)}), trace_of({halt(10), halt(20)}));

  ASSERT_TRUE(found.divergence);
  EXPECT_EQ(found.divergence->what.left, "none");
}

TEST(TheEndsOfTwoTraces, DifferInTheirReasonAndDetail) {
  EndRecord crashed = sample_end();
  crashed.reason = 2;
  EndRecord another = sample_end();
  another.detail = "a triple fault";

  const auto reason = compared(trace_of({}), trace_of({}, crashed));
  const auto detail = compared(trace_of({}), trace_of({}, another));

  ASSERT_TRUE(reason.divergence);
  EXPECT_EQ(reason.divergence->what.field, "reason of the end");
  EXPECT_EQ(reason.divergence->what.left, "powered off");
  EXPECT_EQ(reason.divergence->what.right, "crashed");
  EXPECT_EQ(detail.divergence->what.right, "a triple fault");
}

TEST(TwoTraces, OfNothingAreNotEqual) {
  const Header inputs{.detail = Detail::Inputs};
  const auto left = trace_of({}, std::nullopt, inputs);

  const auto found = compared(left, left);

  EXPECT_TRUE(found.is_empty());
  EXPECT_THAT(summary(found), HasSubstr("nothing of the two can be compared"));
}

TEST(TwoTraces, OfWhichOneHasNoEventsAreComparedInTheRest) {
  const auto left = trace_of({typed(5, "a")}, sample_end(), {.detail = Detail::Inputs});
  const auto right = trace_of({typed(5, "a"), halt(10)});

  const auto found = compared(left, right);

  EXPECT_FALSE(found.divergence);
  EXPECT_THAT(found.notes, Contains("left holds inputs only: no events are compared"));
  EXPECT_EQ(summary(found), "0 events, 1 input and the end are equal");
}

}  // namespace
}  // namespace retrap::traces::test
