// Reads a trace, whoever wrote it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "traces/block.h"
#include "traces/columns.h"
#include "traces/compression.h"
#include "traces/header.h"
#include "traces/records.h"
#include "vmm/base/result.h"

namespace retrap::traces {

struct ReadOptions {
  /// Damage ends the trace where it is, as a recording that was cut off ends; without it, a damaged
  /// file is refused.
  bool up_to_damage = false;
};

/// A whole trace in memory. All blocks are checked when it is opened; what is wrong is one Error
/// (CorruptTrace) that names file, offset and what to do. A recording that was killed is not
/// wrong: what is there can be read, and missing() says what is not.
///
/// Memory: the file, its inputs and digests, and one block at a time of the rest.
class Reader {
 public:
  struct Block {
    std::uint64_t offset = 0;  ///< of its frame in the file
    Frame frame;
  };

  [[nodiscard]] static Result<Reader> open(const std::string& path, ReadOptions options = {});
  /// `name` is for messages.
  [[nodiscard]] static Result<Reader> parse(std::string name, ByteVector bytes,
                                            ReadOptions options = {});

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Of the format.
  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] const Header& header() const { return header_; }
  [[nodiscard]] const std::vector<InputRecord>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<DigestRecord>& digests() const { return digests_; }
  /// The number of the block that holds input or digest number `i`.
  [[nodiscard]] std::size_t block_of_input(std::size_t i) const { return input_blocks_[i]; }
  [[nodiscard]] std::size_t block_of_digest(std::size_t i) const { return digest_blocks_[i]; }
  /// Nothing where the recording was cut off.
  [[nodiscard]] const std::optional<EndRecord>& end() const { return end_; }
  /// What is not there and why, one line; empty for a whole trace.
  [[nodiscard]] const std::string& missing() const { return missing_; }

  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }
  [[nodiscard]] ConstBytes stored(const Block& block) const {
    return ConstBytes(bytes_).subspan(block.offset + kFrameSize, block.frame.stored);
  }
  /// The bytes of an embedded image.
  [[nodiscard]] Result<ByteVector> image(std::size_t number) const;

  [[nodiscard]] tl::unexpected<Error> no_header(std::uint64_t offset) const;
  /// Something intact that only a later program can have written: "an input of kind 17".
  [[nodiscard]] tl::unexpected<Error> unknown(std::uint64_t offset, std::string_view what) const;
  [[nodiscard]] tl::unexpected<Error> damaged(std::uint64_t offset, std::string_view what) const;

 private:
  Reader(std::string name, ByteVector bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {}
  [[nodiscard]] Result<> load(ReadOptions options);
  [[nodiscard]] Result<> load_blocks();
  [[nodiscard]] Result<> take(const Block& block);
  [[nodiscard]] Result<> take_footer(std::uint64_t at);
  [[nodiscard]] Result<> check_index() const;
  void cut_off(std::uint64_t at);

  std::string name_;
  ByteVector bytes_;
  std::uint32_t version_ = kVersion;
  Header header_;
  DigestReader digest_reader_{kVersion};
  std::vector<InputRecord> inputs_;
  std::vector<DigestRecord> digests_;
  std::vector<std::size_t> input_blocks_;
  std::vector<std::size_t> digest_blocks_;
  std::optional<EndRecord> end_;
  std::string missing_;
  std::vector<Block> blocks_;
};

/// Goes through the layer Exits of a trace.
class EventCursor {
 public:
  /// From the first event on. `reader` outlives this.
  explicit EventCursor(const Reader& reader) : reader_(&reader) {}

  /// False at the end of what is there; an Error where a block is not what it should be.
  [[nodiscard]] Result<bool> next(Event& event) {
    if (open_ && columns_.next(event)) [[likely]] {
      if (std::holds_alternative<ExitRecord>(event)) ++exits_;
      return true;
    }
    return next_in_next_block(event);
  }

  /// Exits so far: the number of the next one.
  [[nodiscard]] std::uint64_t exits() const { return exits_; }

  /// The number of the block of the last event. After the last event: how many blocks there are.
  [[nodiscard]] std::size_t block() const { return open_ ? block_ - 1 : block_; }

  /// To the begin of the last block that begins at or before exit number `exit`.
  void seek(std::uint64_t exit);

 private:
  [[nodiscard]] Result<bool> next_in_next_block(Event& event);
  [[nodiscard]] tl::unexpected<Error> problem() const;

  const Reader* reader_;  ///< never null; outlives this
  Decompressor decompressor_;
  ColumnReader columns_;
  ByteVector raw_;
  std::size_t block_ = 0;  ///< the next one
  bool open_ = false;
  std::uint64_t exits_ = 0;
};

}  // namespace retrap::traces
