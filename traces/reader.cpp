// Checks every block of a file, and goes through its events.
#include "traces/reader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "vmm/image.h"

namespace retrap::traces {
namespace {

/// More than anybody records; a limit keeps a mistaken path from filling the memory.
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 36;

}  // namespace

tl::unexpected<Error> Reader::damaged(std::uint64_t offset, std::string_view what) const {
  return fail(ErrorCode::CorruptTrace,
              "{}: offset {:#x}: {}; copy the trace again, or give --up-to-damage to use what "
              "comes before",
              name_, offset, what);
}

tl::unexpected<Error> Reader::unknown(std::uint64_t offset, std::string_view what) const {
  return fail(ErrorCode::Unsupported,
              "{}: offset {:#x}: the trace has {}, which this program does not know; use a newer "
              "retrap",
              name_, offset, what);
}

Result<Reader> Reader::open(const std::string& path, ReadOptions options) {
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  const bool may_be_file = !std::filesystem::exists(status) ||
                           std::filesystem::is_directory(status) ||
                           std::filesystem::is_regular_file(status);
  if (!may_be_file) {
    return fail(ErrorCode::InvalidInput,
                "{}: is no file; name a file that retrap record has written", path);
  }
  RETRAP_TRY(ByteVector bytes, read_file(path, kLargestFile));
  return parse(path, std::move(bytes), options);
}

Result<Reader> Reader::parse(std::string name, ByteVector bytes, ReadOptions options) {
  Reader reader(std::move(name), std::move(bytes));
  RETRAP_TRY(reader.load(options));
  return reader;
}

Result<> Reader::load(ReadOptions options) {
  const ByteVector prefix = encode_prefix();
  if (bytes_.size() < prefix.size() &&
      std::ranges::equal(bytes_, std::span(prefix).first(bytes_.size()))) {
    return no_header(bytes_.size());
  }
  const auto version = decode_prefix(bytes_);
  if (!version) {
    return fail(ErrorCode::CorruptTrace,
                "{}: offset 0x0: this is no trace of retrap, or its first {} bytes are damaged; "
                "name a file that retrap record has written",
                name_, kPrefixSize);
  }
  if (*version == 0 || *version > kVersion) {
    return fail(ErrorCode::Unsupported,
                "{}: offset 0x8: the trace has version {}, and this program reads 1 to {}; use a "
                "newer retrap",
                name_, *version, kVersion);
  }
  version_ = *version;
  digest_reader_ = DigestReader(version_);
  auto loaded = load_blocks();
  const bool has_header = !blocks_.empty();
  if (!loaded && (!options.up_to_damage || !has_header)) return loaded;
  if (!loaded) missing_ = loaded.error().message;
  if (!has_header) return no_header(kPrefixSize);
  return {};
}

tl::unexpected<Error> Reader::no_header(std::uint64_t offset) const {
  return fail(ErrorCode::CorruptTrace,
              "{}: offset {:#x}: the header is missing: the recording was cut off before it began; "
              "record again",
              name_, offset);
}

Result<> Reader::load_blocks() {
  const ConstBytes all(bytes_);
  std::uint64_t at = kPrefixSize;
  while (at < all.size()) {
    const ConstBytes rest = all.subspan(at);
    if (rest.size() < kFrameSize) {
      cut_off(at);
      return {};
    }
    const auto frame = decode_frame(rest);
    if (const auto layer = unknown_layer(rest)) {
      return unknown(at, fmt::format("a block of layer {}", *layer));
    }
    if (!frame) return damaged(at, "no block begins here");
    if (frame->stored > rest.size() - kFrameSize) {
      cut_off(at);
      return {};
    }
    if (!is_intact(*frame, rest.first(kFrameSize), rest.subspan(kFrameSize, frame->stored))) {
      return damaged(at, "the checksum of this block does not match its bytes");
    }
    if ((frame->layer == Layer::Header) != blocks_.empty()) {
      return damaged(at, "the header is not the first block, or not the only one");
    }
    if (end_ && frame->layer != Layer::Index) return damaged(at, "something follows the end");
    RETRAP_TRY(take({at, *frame}));
    blocks_.push_back({at, *frame});
    at += kFrameSize + frame->stored;
    if (frame->layer == Layer::Index) return take_footer(at);
  }
  if (!end_) cut_off(at);
  return {};
}

void Reader::cut_off(std::uint64_t at) {
  const std::uint64_t retired = blocks_.empty() ? 0 : blocks_.back().frame.retired;
  const std::uint64_t left = bytes_.size() - at;
  if (end_) {
    missing_ =
        fmt::format("{}: offset {:#x}: the index is cut off; all events are there", name_, at);
    return;
  }
  missing_ = fmt::format(
      "{}: offset {:#x}: the recording was cut off here{}; its last whole block begins at "
      "instruction {}",
      name_, at, left == 0 ? "" : fmt::format(", {} bytes of a block are left", left), retired);
}

Result<> Reader::take(const Block& block) {
  ByteSource source(stored(block));
  switch (block.frame.layer) {
    case Layer::Header: {
      auto header = decode_header(stored(block));
      if (!header) return damaged(block.offset, "the header has a field that is none");
      header_ = *std::move(header);
      return {};
    }
    case Layer::Inputs:
      while (!source.at_end()) {
        const std::string later = unknown_in_input(source);
        if (!later.empty()) return unknown(block.offset, later);
        auto input = take_input(source);
        if (!input) return damaged(block.offset, "an input is none");
        if (!inputs_.empty() && input->retired < inputs_.back().retired) {
          return damaged(block.offset, "an input comes before the one it follows");
        }
        inputs_.push_back(*std::move(input));
        input_blocks_.push_back(blocks_.size());
      }
      return {};
    case Layer::Digests:
      while (!source.at_end()) {
        auto digest = digest_reader_.take(source);
        if (const auto part = digest_reader_.unknown_part(); !digest && part) {
          return unknown(block.offset, fmt::format("a digest of part {}", *part));
        }
        if (!digest) return damaged(block.offset, "a digest is none");
        if (!digests_.empty() && digest->retired < digests_.back().retired) {
          return damaged(block.offset, "a digest comes before the one it follows");
        }
        digests_.push_back(*std::move(digest));
        digest_blocks_.push_back(blocks_.size());
      }
      return {};
    case Layer::End:
      end_ = take_end(source);
      if (!end_ || !source.at_end()) return damaged(block.offset, "the end is none");
      return {};
    case Layer::Image:
    case Layer::Exits:
    case Layer::Index: return {};
  }
  return {};
}

Result<> Reader::take_footer(std::uint64_t at) {
  const ConstBytes rest = ConstBytes(bytes_).subspan(at);
  const std::uint64_t index_at = blocks_.back().offset;
  RETRAP_TRY(check_index());
  if (rest.size() < kFooterSize) {
    missing_ =
        fmt::format("{}: offset {:#x}: the footer is cut off; all events are there", name_, at);
    return {};
  }
  const bool ours =
      std::equal(kFooterMagic.begin(), kFooterMagic.end(), rest.begin() + 8,
                 [](std::uint8_t want, std::byte got) { return std::byte{want} == got; });
  if (rest.size() != kFooterSize || !ours || load_le<std::uint64_t>(rest, 0) != index_at) {
    return damaged(at, "the footer is none, or something follows it");
  }
  return {};
}

Result<> Reader::check_index() const {
  const Block& index = blocks_.back();
  ByteSource source(stored(index));
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i + 1 < blocks_.size(); ++i) {
    const Frame& frame = blocks_[i].frame;
    offset += source.varint();
    const bool same = offset == blocks_[i].offset &&
                      source.byte() == static_cast<std::uint8_t>(frame.layer) &&
                      source.varint() == frame.first && source.varint() == frame.retired;
    if (!same) return damaged(index.offset, "the index does not list the blocks that are there");
  }
  if (!source.good() || !source.at_end()) {
    return damaged(index.offset, "the index lists blocks that are not there");
  }
  return {};
}

Result<ByteVector> Reader::image(std::size_t number) const {
  ByteVector bytes;
  ByteVector raw;
  Decompressor decompressor;
  for (const Block& block : blocks_) {
    if (block.frame.layer != Layer::Image || block.frame.first != number) continue;
    ConstBytes payload = stored(block);
    if (block.frame.codec == Codec::Zstd) {
      if (!decompressor.decompress(payload, block.frame.raw, raw)) {
        return damaged(block.offset, "zstd cannot unpack this block");
      }
      payload = raw;
    }
    ByteSource source(payload);
    if (source.varint() != number || source.varint() != bytes.size() || !source.good()) {
      return damaged(block.offset, "a part of an image is out of its place");
    }
    append_bytes(bytes, source.bytes(source.left()));
  }
  return bytes;
}

void EventCursor::seek(std::uint64_t exit) {
  open_ = false;
  exits_ = 0;
  block_ = 0;
  const auto& blocks = reader_->blocks();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Frame& frame = blocks[i].frame;
    if (frame.layer != Layer::Exits || frame.first > exit) continue;
    block_ = i;
    exits_ = frame.first;
  }
}

tl::unexpected<Error> EventCursor::problem() const {
  const std::uint64_t offset = reader_->blocks()[block_ - 1].offset;
  const auto tag = columns_.unknown_tag();
  if (!tag) return reader_->damaged(offset, columns_.problem());
  return reader_->unknown(offset, *tag < kAnswerTag ? fmt::format("an exit of kind {}", *tag)
                                                    : fmt::format("an event of kind {}", *tag));
}

Result<bool> EventCursor::next_in_next_block(Event& event) {
  const auto& blocks = reader_->blocks();
  for (;;) {
    if (open_ && !columns_.problem().empty()) return problem();
    open_ = false;
    while (block_ < blocks.size() && blocks[block_].frame.layer != Layer::Exits) ++block_;
    if (block_ == blocks.size()) return false;
    const Reader::Block& block = blocks[block_++];
    ConstBytes payload = reader_->stored(block);
    if (block.frame.codec == Codec::Zstd) {
      if (!decompressor_.decompress(payload, block.frame.raw, raw_)) {
        return reader_->damaged(block.offset, "zstd cannot unpack this block");
      }
      payload = raw_;
    }
    if (block.frame.first != exits_) {
      return reader_->damaged(block.offset, "exits are missing before this block");
    }
    if (!columns_.begin(payload)) return reader_->damaged(block.offset, columns_.problem());
    open_ = true;
    if (columns_.next(event)) {
      if (std::holds_alternative<ExitRecord>(event)) ++exits_;
      return true;
    }
  }
}

}  // namespace retrap::traces
