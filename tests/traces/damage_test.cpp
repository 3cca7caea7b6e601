// Traces that were cut off, damaged, or made to do harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/matchers.h"
#include "tests/traces/mutations.h"
#include "vmm/base/digest.h"

namespace retrap::traces::test {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// One line that names the file and an offset, and says what to do.
void expect_clear(const std::string& message) {
  EXPECT_THAT(message, StartsWith("t.rtr: offset 0x"));
  EXPECT_THAT(message, HasSubstr("; "));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(ATraceThatWasCutOff, ReadsUpToItsLastWholeBlock) {
  const ByteVector whole = sample_trace();
  const auto blocks = Reader::parse("t.rtr", whole)->blocks();
  for (std::size_t size = 0; size < whole.size(); size += size < 20 ? 1 : 97) {
    const auto reader = Reader::parse(
        "t.rtr", ByteVector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    const std::uint64_t first_block_end = blocks[0].offset + kFrameSize + blocks[0].frame.stored;
    if (size < first_block_end) {
      ASSERT_FALSE(reader) << size;
      expect_clear(reader.error().message);
      EXPECT_THAT(reader.error().message, HasSubstr("cut off before it began; record again"))
          << size;
      continue;
    }
    ASSERT_THAT(reader, Succeeds()) << size;
    EXPECT_THAT(reader->missing(), StartsWith("t.rtr: offset 0x")) << size;
    const auto whole_blocks = std::count_if(blocks.begin(), blocks.end(), [&](const auto& block) {
      return block.offset + kFrameSize + block.frame.stored <= size;
    });
    EXPECT_EQ(reader->blocks().size(), static_cast<std::size_t>(whole_blocks)) << size;
    EXPECT_THAT(events_of(*reader), Succeeds());
  }
}

TEST(ATraceWithOneBitChanged, IsRefusedWithItsPlace) {
  const ByteVector whole = sample_trace();
  for (std::size_t at = 0; at < whole.size();
       at += at < 1000 || at + 1000 > whole.size() ? 1U : 61U) {
    ByteVector bytes = whole;
    bytes[at] ^= std::byte{static_cast<std::uint8_t>(1U << (at % 8))};
    const auto read = read_everything(bytes);
    ASSERT_FALSE(read) << at;
    expect_clear(read.error().message);
  }
}

TEST(ATraceWithOneBitChanged, ReadsUpToThereOnRequest) {
  ByteVector bytes = sample_trace();
  const auto blocks = Reader::parse("t.rtr", bytes)->blocks();
  bytes[blocks.back().offset - 10] ^= std::byte{4};
  const auto reader = Reader::parse("t.rtr", bytes, {.up_to_damage = true});

  ASSERT_THAT(reader, Succeeds());
  EXPECT_THAT(reader->missing(), HasSubstr("checksum"));
  EXPECT_EQ(events_of(*reader).value(), sample_events());
}

TEST(ATraceReader, RefusesWhatIsNoTrace) {
  EXPECT_THAT(read_everything(ByteVector(3, std::byte{0x7f})),
              FailsSaying(ErrorCode::CorruptTrace, "t.rtr: offset 0x0: this is no"));
  EXPECT_THAT(read_everything(ByteVector(1000, std::byte{0x7f})),
              FailsSaying(ErrorCode::CorruptTrace, "name a file that retrap record has written"));
  EXPECT_THAT(Reader::open("no-such.rtr"), FailsSaying(ErrorCode::NotFound, "check the path"));
}

TEST(ATraceReader, RefusesALaterVersionByItsNumber) {
  ByteVector bytes = sample_trace();
  bytes[8] = std::byte{kVersion + 1};
  Digest digest;
  digest.add(ConstBytes(bytes).first(12));
  ASSERT_TRUE(store_le(bytes, 12, static_cast<std::uint32_t>(digest.value())));

  EXPECT_THAT(read_everything(bytes),
              FailsSaying(ErrorCode::Unsupported, "the trace has version 3"));
}

/// A trace whose one block of this layer has this payload, with checks that are right.
ByteVector crafted(Frame frame, const ByteVector& stored) {
  ByteVector bytes;
  (void)Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  frame.stored = static_cast<std::uint32_t>(stored.size());
  if (frame.codec == Codec::Stored) frame.raw = frame.stored;
  append_bytes(bytes, encode(frame, stored));
  append_bytes(bytes, stored);
  return bytes;
}

TEST(ATraceReader, RefusesABlockThatUnpacksTooFar) {
  EXPECT_THAT(read_everything(crafted({.layer = Layer::Exits, .codec = Codec::Zstd, .raw = 1 << 20},
                                      ByteVector(50))),
              FailsSaying(ErrorCode::CorruptTrace, "no block begins here"));
}

TEST(ATraceReader, RefusesABlockThatIsNotCompressedAsItSays) {
  EXPECT_THAT(read_everything(crafted({.layer = Layer::Exits, .codec = Codec::Zstd, .raw = 100},
                                      ByteVector(50))),
              FailsSaying(ErrorCode::CorruptTrace, "zstd cannot unpack"));
}

TEST(ATraceReader, RefusesColumnsThatDoNotFillTheirBlock) {
  EXPECT_THAT(read_everything(crafted({.layer = Layer::Exits}, ByteVector(50, std::byte{9}))),
              FailsSaying(ErrorCode::CorruptTrace, "columns"));
}

/// What a reader says of a trace with this block.
void expect_later(Layer layer, const ByteVector& stored, const std::string& what) {
  EXPECT_THAT(read_everything(crafted({.layer = layer}, stored)),
              FailsSaying(ErrorCode::Unsupported, "t.rtr: offset 0x"));
  EXPECT_THAT(read_everything(crafted({.layer = layer}, stored)),
              FailsSaying(ErrorCode::Unsupported,
                          "the trace has " + what +
                              ", which this program does not know; use a newer retrap"));
}

TEST(ATraceReader, NamesWhatOnlyALaterProgramKnows) {
  ByteVector input;
  append(input, sample_inputs()[0]);
  ByteVector kind = input;
  kind[0] = std::byte{17};
  ByteVector when = input;
  when[1] = std::byte{9};
  expect_later(Layer::Inputs, kind, "an input of kind 17");
  expect_later(Layer::Inputs, when, "an input with when 9");

  ByteVector digest;
  DigestRecord record = sample_digest();
  record.parts[0].part = static_cast<Part>(77);
  DigestWriter().append(digest, record);
  expect_later(Layer::Digests, digest, "a digest of part 77");

  expect_later(static_cast<Layer>(9), ByteVector(3), "a block of layer 9");
}

/// A block of exits whose one event has this tag.
ByteVector with_tag(std::uint8_t tag) {
  ColumnWriter columns;
  columns.begin(0, 0);
  columns.add(AnswerRecord{VmId{1}, {}, 5});
  ByteVector payload;
  columns.payload(payload);
  std::replace(payload.begin(), payload.end(), std::byte{kAnswerTag}, std::byte{tag});
  return payload;
}

TEST(ATraceReader, NamesEventsThatOnlyALaterProgramKnows) {
  expect_later(Layer::Exits, with_tag(kExitKinds), fmt::format("an exit of kind {}", kExitKinds));
  expect_later(Layer::Exits, with_tag(99), "an event of kind 99");
}

/// A block of exits with one halt, and these columns in place of its own.
ByteVector with_columns(const std::map<Column, ByteVector>& other, std::uint64_t retired = 0) {
  const auto bytes_of = [](std::initializer_list<unsigned> values) {
    ByteVector bytes;
    for (const unsigned value : values) append_byte(bytes, value);
    return bytes;
  };
  std::map<Column, ByteVector> columns = other;
  columns.try_emplace(Column::Tag,
                      bytes_of({static_cast<unsigned>(ExitReason(exits::Halt{}).index())}));
  columns.try_emplace(Column::Place, bytes_of({65}));
  columns.try_emplace(Column::Retired, bytes_of({1}));
  columns.try_emplace(Column::Idle, bytes_of({1}));
  columns.try_emplace(Column::PcCode, bytes_of({2}));
  columns.try_emplace(Column::PcNew, bytes_of({2}));
  ByteVector payload;
  append_varint(payload, retired);
  append_varint(payload, retired);
  for (std::size_t i = 0; i < kColumns; ++i) {
    append_varint(payload, columns[static_cast<Column>(i)].size());
  }
  for (std::size_t i = 0; i < kColumns; ++i) append_bytes(payload, columns[static_cast<Column>(i)]);
  return payload;
}

void expect_damage(const ByteVector& payload, const std::string& what) {
  const auto read = read_everything(crafted({.layer = Layer::Exits}, payload));
  ASSERT_FALSE(read) << what;
  EXPECT_EQ(read.error().code, ErrorCode::CorruptTrace);
  EXPECT_THAT(read.error().message, HasSubstr(what));
  expect_clear(read.error().message);
}

TEST(ATraceReader, RefusesEventsThatNoWriterWrites) {
  EXPECT_THAT(
      read_everything(crafted({.layer = Layer::Exits}, with_columns({})), {.up_to_damage = true}),
      Succeeds());
  const auto number = [](std::uint64_t value) {
    ByteVector bytes;
    append_varint(bytes, value);
    return bytes;
  };
  const ByteVector slot{std::byte{0}, std::byte{0x10}};
  expect_damage(with_columns({{Column::PcCode, number(3)}}), "written in no known way");
  expect_damage(
      with_columns({{Column::PcCode, number(1)}, {Column::PcNew, {}}, {Column::PcSlot, slot}}),
      "a slot that is none");
  expect_damage(with_columns({{Column::Place, number(0)}}), "of which vCPU");
  expect_damage(with_columns({{Column::Place, number((std::uint64_t{1} << 38) + 1)}}),
                "a VM number of more than 32 bits");
  expect_damage(with_columns({{Column::Retired, number(~std::uint64_t{0})}}, 1),
                "an instruction count is beyond 64 bits");
  expect_damage(with_columns({{Column::Idle, number(~std::uint64_t{0})}}, 1),
                "a skipped time is beyond 64 bits");
}

/// The header of a trace that was cut off right behind it.
Result<Reader> with_header(const Header& header) {
  ByteVector bytes = encode_prefix();
  const ByteVector payload = encode(header);
  const auto size = static_cast<std::uint32_t>(payload.size());
  append_bytes(bytes, encode({.layer = Layer::Header, .stored = size, .raw = size}, payload));
  append_bytes(bytes, payload);
  return Reader::parse("t.rtr", std::move(bytes));
}

/// So many images of one VM.
std::vector<ImageRecord> images(std::size_t count) {
  std::vector<ImageRecord> images(count);
  for (std::size_t i = 0; i < count; ++i) images[i].role = std::to_string(i);
  return images;
}

TEST(ATraceReader, RefusesHeadersOfMoreThanAnybodyRuns) {
  EXPECT_THAT(
      with_header({.configs = std::vector<std::string>(kMostConfigs), .images = images(1024)}),
      Succeeds());
  const Header many_configs{.configs = std::vector<std::string>(kMostConfigs + 1)};
  const Header many_images{.images = images(kMostImages + 1)};
  const Header same_image{.images = std::vector<ImageRecord>(2)};
  for (const Header& header : {many_configs, many_images, same_image}) {
    EXPECT_THAT(with_header(header),
                FailsSaying(ErrorCode::CorruptTrace, "the header has a field that is none"));
    ByteVector bytes;
    EXPECT_THAT(Writer::create(std::make_unique<MemorySink>(bytes), header),
                FailsSaying(ErrorCode::InvalidInput, "a trace holds 256 configurations"));
  }
}

TEST(ATraceReader, UnpacksOnlyTheBlocksOfTheImage) {
  ByteVector bytes;
  const Header header{.images = images(2)};
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), header).value();
  (void)writer.embed(0, sample_image());
  (void)writer.embed(1, ByteVector(1000));
  ASSERT_THAT(writer.finish({}), Succeeds());
  bytes[Reader::parse("t.rtr", bytes)->blocks()[1].offset + kFrameSize] ^= std::byte{1};
  repair(bytes);
  const auto reader = Reader::parse("t.rtr", bytes);

  EXPECT_EQ(reader->image(1).value(), ByteVector(1000));
  EXPECT_THAT(reader->image(0), FailsSaying(ErrorCode::CorruptTrace, "zstd cannot unpack"));
}

TEST(ATraceReader, RefusesWhatIsNoRegularFile) {
  EXPECT_THAT(Reader::open("/dev/zero"),
              FailsSaying(ErrorCode::InvalidInput,
                          "/dev/zero: is no file; name a file that retrap record has written"));
}

TEST(ATraceReader, TakesADamagedLayerForDamage) {
  ByteVector bytes = crafted({.layer = static_cast<Layer>(9)}, ByteVector(3));
  bytes[Reader::parse("t.rtr", sample_trace())->blocks()[0].offset + 4] ^= std::byte{8};

  EXPECT_THAT(read_everything(bytes), FailsSaying(ErrorCode::CorruptTrace, "no block begins here"));
}

TEST(ATraceReader, RefusesRecordsThatAreNone) {
  for (const Layer layer : {Layer::Inputs, Layer::Digests, Layer::End}) {
    ByteVector record(7, std::byte{0xff});
    record[0] = record[1] = std::byte{0};
    EXPECT_THAT(read_everything(crafted({.layer = layer}, record)),
                FailsSaying(ErrorCode::CorruptTrace, "none"));
  }
}

TEST(ATraceReader, SurvivesWhateverIsInsideBlocksThatAreIntact) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    const auto read = read_everything(mutated_trace(seed));
    if (read) continue;
    ++refused;
    expect_clear(read.error().message);
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace retrap::traces::test
