// What is written reads back, and takes no more room than promised.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/traces/sample.h"
#include "vmm/base/prng.h"

namespace retrap::traces::test {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;

TEST(TraceFormat, ReadsBackWhatWasWritten) {
  const auto reader = Reader::parse("sample", sample_trace());

  ASSERT_THAT(reader, Succeeds());
  EXPECT_EQ(reader->header(), sample_header());
  EXPECT_EQ(reader->inputs(), sample_inputs());
  EXPECT_EQ(reader->digests(), (std::vector{sample_digest(), later_digest()}));
  EXPECT_EQ(events_of(*reader).value(), sample_events());
  EXPECT_EQ(reader->image(0).value(), sample_image());
  ASSERT_TRUE(reader->end());
  EXPECT_EQ(reader->end()->digest, sample_end().digest);
  EXPECT_EQ(reader->end()->exits, kExitKinds);
  EXPECT_EQ(reader->end()->inputs, sample_inputs().size());
  EXPECT_EQ(reader->missing(), "");
}

TEST(TraceFormat, EveryExitIsItsFields) {
  for (const Event& event : sample_events()) {
    const auto* exit = std::get_if<ExitRecord>(&event);
    if (exit == nullptr) continue;
    EXPECT_EQ(exit_of(exit->reason.index(), values_of(exit->reason)), exit->reason);
  }
}

TEST(TraceFormat, RefusesFieldsOutOfTheirRange) {
  EXPECT_FALSE(exit_of(kExitKinds, {}));
  EXPECT_FALSE(exit_of(1, {0, 3, 0, 8, 0}));     // a width of three bytes
  EXPECT_FALSE(exit_of(1, {0, 4, 256, 8, 0}));   // a register number of nine bits
  EXPECT_FALSE(exit_of(1, {0, 4, 0, 8, 2}));     // a flag that is neither
  EXPECT_FALSE(exit_of(5, {0x1'0000, 4}));       // a port of 17 bits
  EXPECT_FALSE(exit_of(8, {0, 0x1'0000'0000}));  // flags of 33 bits
}

/// A boot's worth of exits: a console that is polled and written, timers, a few faults.
std::vector<Event> boot_like(std::size_t exits) {
  Prng prng(1);
  std::vector<Event> events;
  std::uint64_t retired = 0;
  while (events.size() < exits) {
    const VmId vm{1};
    const auto at = [&](std::uint64_t pc, ExitReason reason) {
      retired += prng.between(10, 600);
      events.emplace_back(ExitRecord{vm, kBootVcpu, retired, 0, pc, reason});
    };
    at(0xffff'8000'0810'2030, exits::NestedPageFault{GuestPhys(0x0900'0018), MappingFlags::Read});
    at(0xffff'8000'0810'2030, exits::MmioRead{GuestPhys(0x0900'0018), Width::Word});
    events.emplace_back(AnswerRecord{vm, kBootVcpu, 0x90});
    at(0xffff'8000'0810'2040, exits::NestedPageFault{GuestPhys(0x0900'0000), MappingFlags::Write});
    at(0xffff'8000'0810'2040,
       exits::MmioWrite{GuestPhys(0x0900'0000), Width::Word, prng.between(32, 126)});
    if (prng.chance(1, 20)) at(0xffff'8000'0801'0000 + 4 * prng.below(500), exits::Nothing{});
  }
  return events;
}

TEST(TraceFormat, TakesAFewBytesForAnExit) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  write_events(writer, boot_like(100'000));
  ASSERT_THAT(writer.finish({}), Succeeds());

  EXPECT_LE(writer.bytes_of(Layer::Exits), 4 * writer.exits());
}

TEST(TraceFormat, ReadsBackManyBlocks) {
  const auto events = boot_like(200'000);
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  write_events(writer, events);
  ASSERT_THAT(writer.finish({}), Succeeds());
  const auto reader = Reader::parse("boot", bytes);

  ASSERT_THAT(reader, Succeeds());
  EXPECT_GT(reader->blocks().size(), 5U);
  EXPECT_TRUE(events_of(*reader).value() == events);
}

TEST(TraceFormat, HoldsABlockThatCompressesTooWell) {
  std::vector<Event> events(100'000, ExitRecord{.retired = 5, .reason = exits::Halt{}});
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  write_events(writer, events);
  ASSERT_THAT(writer.finish({}), Succeeds());
  const auto reader = Reader::parse("halts", bytes);

  ASSERT_THAT(reader, Succeeds());
  for (const Reader::Block& block : reader->blocks()) {
    EXPECT_LE(block.frame.raw, kMaxRatio * block.frame.stored + kMaxRatio);
  }
  EXPECT_TRUE(events_of(*reader).value() == events);
}

TEST(TraceFormat, SeeksToTheBlockOfAnExit) {
  const auto events = boot_like(200'000);
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  write_events(writer, events);
  ASSERT_THAT(writer.finish({}), Succeeds());
  const auto reader = Reader::parse("boot", bytes).value();
  EventCursor cursor(reader);

  cursor.seek(100'000);

  EXPECT_GT(cursor.exits(), 0U);
  EXPECT_LE(cursor.exits(), 100'000U);
  Event event;
  while (cursor.exits() <= 100'000) ASSERT_TRUE(cursor.next(event).value());
  std::uint64_t exits = 0;
  const auto want = std::find_if(events.begin(), events.end(), [&](const Event& one) {
    return std::holds_alternative<ExitRecord>(one) && exits++ == 100'000;
  });
  EXPECT_EQ(event, *want);
}

TEST(TraceFormat, RefusesAHeaderThatFitsNoBlock) {
  ByteVector bytes;
  Header header;
  header.configs = {std::string(2 << 20, '#')};

  EXPECT_THAT(Writer::create(std::make_unique<MemorySink>(bytes), header),
              FailsSaying(ErrorCode::InvalidInput, "make it shorter"));
  EXPECT_TRUE(bytes.empty());
}

/// "89 52 ...", sixteen bytes a line.
std::string hexadecimal(ConstBytes bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::string_view before = i == 0 ? "" : i % 16 == 0 ? "\n" : " ";
    text += fmt::format("{}{:02x}", before, std::to_integer<unsigned>(bytes[i]));
  }
  return text;
}

TEST(TraceFormat, IsWhatItsPageShows) {
  ByteVector bytes;
  ASSERT_THAT(Writer::create(std::make_unique<MemorySink>(bytes), {.program = "r", .seed = 7}),
              Succeeds());
  const std::string page =
      retrap::test::contents_of(retrap::test::source_dir() / "traces" / "FORMAT.md");

  EXPECT_THAT(page, ::testing::HasSubstr(hexadecimal(bytes)));
}

/// What a reader has of `count` events of which none is an exit.
void expect_blocks_of(const Event& event, std::size_t count) {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  for (std::size_t i = 0; i < count; ++i) write_events(writer, {event});
  EXPECT_GT(writer.bytes_of(Layer::Exits), 0U) << "whoever is killed loses everything";
  ASSERT_THAT(writer.finish({}), Succeeds());
  const auto reader = Reader::parse("t.rtr", bytes);
  ASSERT_THAT(reader, Succeeds());
  EXPECT_TRUE(events_of(*reader).value() == std::vector(count, event));
}

TEST(TraceWriter, ClosesBlocksThatHaveNoExit) {
  constexpr std::size_t kCount = 500'000;
  expect_blocks_of(InjectionRecord{VmId{1}, VcpuId{1}, 1000, 33, LineChange::Rise}, kCount);
  expect_blocks_of(AnswerRecord{VmId{1}, VcpuId{1}, 7}, kCount);
}

/// Fails after some bytes, as a disk that is full.
class FullSink final : public Sink {
 public:
  Result<> append(ConstBytes bytes) override {
    if (bytes.size() > room_) return fail(ErrorCode::Backend, "x.rtr: cannot write: full");
    room_ -= bytes.size();
    return {};
  }

 private:
  std::size_t room_ = 1000;
};

TEST(TraceWriter, KeepsTheFirstFailureToWrite) {
  auto writer = Writer::create(std::make_unique<FullSink>(), {}).value();
  write_events(writer, boot_like(100'000));

  EXPECT_THAT(writer.flush(), FailsSaying(ErrorCode::Backend, "cannot write"));
  EXPECT_THAT(writer.finish({}), FailsSaying(ErrorCode::Backend, "cannot write"));
}

/// Says only in the end that there was no room.
class LateSink final : public Sink {
 public:
  explicit LateSink(int& closed) : closed_(closed) {}
  Result<> append(ConstBytes /*bytes*/) override { return {}; }
  Result<> close() override {
    ++closed_;
    return fail(ErrorCode::Backend, "x.rtr: cannot write: full");
  }

 private:
  int& closed_;
};

TEST(TraceWriter, ReportsWhatClosingTheFileSays) {
  int closed = 0;
  auto writer = Writer::create(std::make_unique<LateSink>(closed), {}).value();
  EXPECT_THAT(writer.flush(), Succeeds());
  EXPECT_EQ(closed, 0);
  EXPECT_THAT(writer.finish({}), FailsSaying(ErrorCode::Backend, "cannot write: full"));
  EXPECT_EQ(closed, 1);
}

TEST(AFileSink, ClosesOnce) {
  const retrap::test::TemporaryFolder folder;
  const auto sink = make_file_sink((folder.path() / "t.rtr").string()).value();
  EXPECT_THAT(sink->append(sample_image()), Succeeds());
  EXPECT_THAT(sink->close(), Succeeds());
  EXPECT_THAT(sink->close(), Succeeds());
  EXPECT_THAT(sink->append(sample_image()), FailsSaying(ErrorCode::Backend, "cannot write"));
}

TEST(TraceWriter, SaysWhereItCannotWrite) {
  EXPECT_THAT(make_file_sink("no/such/folder/t.rtr"),
              FailsSaying(ErrorCode::Backend, "no/such/folder/t.rtr: cannot write"));
}

}  // namespace
}  // namespace retrap::traces::test
