// Blocks, the index, and what compresses too well.
#include "traces/writer.h"

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap::traces {
namespace {

/// zstd passes over a frame that begins with this (RFC 8878, 3.1.2).
constexpr std::uint32_t kSkippable = 0x184d'2a50;

/// No block may unpack to more than kMaxRatio times its size: one that would is made longer.
void fill_up(ByteVector& packed, std::size_t raw) {
  const std::size_t least = raw / kMaxRatio;
  if (packed.size() >= least) return;
  constexpr std::size_t kHead = 8;
  const std::size_t filling = std::max(least - packed.size(), kHead) - kHead;
  append_le(packed, kSkippable);
  append_le(packed, static_cast<std::uint32_t>(filling));
  packed.resize(packed.size() + filling);
}

}  // namespace

Result<Writer> Writer::create(std::unique_ptr<Sink> sink, const Header& header) {
  const ByteVector payload = encode(header);
  if (payload.size() > kMaxRaw) {
    return fail(ErrorCode::InvalidInput,
                "the configuration takes {} bytes, and a trace holds {}; make it shorter",
                payload.size(), kMaxRaw);
  }
  if (!decode_header(payload)) {
    return fail(ErrorCode::InvalidInput,
                "a trace holds {} configurations, {} images and one image of each role of a VM; "
                "name fewer",
                kMostConfigs, kMostImages);
  }
  Writer writer(std::move(sink));
  writer.write(encode_prefix());
  writer.write_small(Layer::Header, 0, 0, payload);
  RETRAP_TRY(writer.state_);
  return writer;
}

Result<> Writer::embed(std::uint64_t image, ConstBytes bytes) {
  constexpr std::size_t kPart = std::size_t{1} << 18;
  std::uint64_t at = 0;
  do {
    const std::size_t size = std::min<std::size_t>(kPart, bytes.size());
    raw_.clear();
    append_varint(raw_, image);
    append_varint(raw_, at);
    append_bytes(raw_, bytes.first(size));
    write_block(Layer::Image, image, 0, raw_);
    bytes = bytes.subspan(size);
    at += size;
  } while (!bytes.empty());
  return state_;
}

void Writer::write(ConstBytes bytes) {
  if (!state_) return;
  state_ = sink_->append(bytes);
  offset_ += bytes.size();
}

void Writer::write_small(Layer layer, std::uint64_t first, std::uint64_t retired, ConstBytes raw) {
  RETRAP_CHECK(raw.size() <= kMaxRaw, "a block of {} bytes", raw.size());
  const Frame frame{.layer = layer,
                    .codec = Codec::Stored,
                    .stored = static_cast<std::uint32_t>(raw.size()),
                    .raw = static_cast<std::uint32_t>(raw.size()),
                    .first = first,
                    .retired = retired};
  const auto head = encode(frame, raw);
  ByteVector block(head.begin(), head.end());
  append_bytes(block, raw);
  index_.push_back({offset_, layer, first, retired});
  bytes_[static_cast<std::size_t>(layer)] += block.size();
  write(block);
}

void Writer::write_block(Layer layer, std::uint64_t first, std::uint64_t retired, ConstBytes raw) {
  RETRAP_CHECK(raw.size() <= kMaxRaw, "a block of {} bytes", raw.size());
  compressor_.compress(raw, packed_);
  fill_up(packed_, raw.size());
  if (packed_.size() >= raw.size()) return write_small(layer, first, retired, raw);
  const Frame frame{.layer = layer,
                    .codec = Codec::Zstd,
                    .stored = static_cast<std::uint32_t>(packed_.size()),
                    .raw = static_cast<std::uint32_t>(raw.size()),
                    .first = first,
                    .retired = retired};
  const auto head = encode(frame, packed_);
  // One write for both: whoever is killed leaves a whole block or none.
  packed_.insert(packed_.begin(), head.begin(), head.end());
  index_.push_back({offset_, layer, first, retired});
  bytes_[static_cast<std::size_t>(layer)] += packed_.size();
  write(packed_);
}

void Writer::close_events() {
  if (columns_.events() != 0) {
    columns_.payload(raw_);
    write_block(Layer::Exits, exits_, columns_.first_retired(), raw_);
    exits_ += columns_.exits();
  }
  columns_.begin(columns_.last_retired(), columns_.last_idle_ns());
}

void Writer::add(const InputRecord& input) {
  // What came before it is in the file before it.
  (void)flush();
  raw_.clear();
  append(raw_, input);
  write_small(Layer::Inputs, inputs_, input.retired, raw_);
  ++inputs_;
}

void Writer::add(const DigestRecord& digest) {
  (void)flush();
  const std::span<const PartDigest> parts(digest.parts);
  std::size_t done = 0;
  do {
    const auto some = parts.subspan(done, std::min(parts.size() - done, DigestWriter::kMostParts));
    raw_.clear();
    digest_writer_.append(raw_, {digest.retired, digest.root, {some.begin(), some.end()}});
    write_small(Layer::Digests, digests_, digest.retired, raw_);
    ++digests_;
    done += some.size();
  } while (done < parts.size());
}

Result<> Writer::flush() {
  close_events();
  return state_;
}

Result<> Writer::finish(EndRecord end) {
  (void)flush();
  end.exits = exits_;
  end.inputs = inputs_;
  raw_.clear();
  append(raw_, end);
  write_small(Layer::End, 0, end.retired, raw_);
  write_index();
  const auto closed = sink_->close();
  if (state_) state_ = closed;
  return state_;
}

void Writer::write_index() {
  const std::uint64_t index_at = offset_;
  ByteVector payload;
  std::uint64_t last = 0;
  for (const Place& place : index_) {
    append_varint(payload, place.offset - last);
    append_byte(payload, static_cast<std::uint8_t>(place.layer));
    append_varint(payload, place.first);
    append_varint(payload, place.retired);
    last = place.offset;
    // A trace of so many blocks does without: readers find them by going from one to the next.
    if (payload.size() > kMaxRaw - 32) return;
  }
  write_small(Layer::Index, 0, 0, payload);
  ByteVector footer;
  append_le(footer, index_at);
  for (const std::uint8_t byte : kFooterMagic) append_byte(footer, byte);
  write(footer);
}

}  // namespace retrap::traces
