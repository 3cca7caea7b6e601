// Writes a trace, block by block, to its end only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "traces/block.h"
#include "traces/columns.h"
#include "traces/compression.h"
#include "traces/header.h"
#include "traces/records.h"
#include "traces/sink.h"

namespace retrap::traces {

/// Events go in in the order in which they happen. An event is in the file when its block is:
/// after 128 KiB of them, at flush(), and at finish(). The first failure to write is kept, nothing
/// is written after it, and flush() and finish() say it.
class Writer {
 public:
  /// Writes the header at once. InvalidInput where it is too large for a block or has more than
  /// decode_header() takes.
  [[nodiscard]] static Result<Writer> create(std::unique_ptr<Sink> sink, const Header& header);

  /// The bytes of image number `image` of the header. Before the first event.
  [[nodiscard]] Result<> embed(std::uint64_t image, ConstBytes bytes);

  // The layer Exits. These neither allocate nor format; every 128 KiB they write a block.
  void add(const ExitRecord& exit) {
    columns_.add(exit);
    close_full_block();
  }
  void add(const AnswerRecord& answer) {
    columns_.add(answer);
    close_full_block();
  }
  void add(const InjectionRecord& injection) {
    columns_.add(injection);
    close_full_block();
  }

  void add(const InputRecord& input);
  /// What changed since the one before, in the order of parts: DigestState::change_to() says it.
  void add(const DigestRecord& digest);

  /// Everything so far is in the file.
  [[nodiscard]] Result<> flush();
  /// And that was all: the end, the index, the footer; the sink is closed. Exits and inputs are
  /// counted here.
  [[nodiscard]] Result<> finish(EndRecord end);

  [[nodiscard]] std::uint64_t exits() const { return exits_ + columns_.exits(); }
  [[nodiscard]] std::uint64_t inputs() const { return inputs_; }
  /// Bytes in the file: of a layer, and of all.
  [[nodiscard]] std::uint64_t bytes_of(Layer layer) const {
    return bytes_[static_cast<std::size_t>(layer)];
  }
  [[nodiscard]] std::uint64_t size() const { return offset_; }

 private:
  static constexpr std::size_t kBlockTarget = std::size_t{1} << 17;

  explicit Writer(std::unique_ptr<Sink> sink) : sink_(std::move(sink)) { columns_.begin(0, 0); }
  void close_full_block() {
    if (columns_.size() >= kBlockTarget) close_events();
  }
  void close_events();
  void write_index();
  void write(ConstBytes bytes);
  void write_block(Layer layer, std::uint64_t first, std::uint64_t retired, ConstBytes raw);
  void write_small(Layer layer, std::uint64_t first, std::uint64_t retired, ConstBytes raw);

  struct Place {
    std::uint64_t offset;
    Layer layer;
    std::uint64_t first;
    std::uint64_t retired;
  };

  std::unique_ptr<Sink> sink_;
  Compressor compressor_;
  ColumnWriter columns_;
  ByteVector raw_;
  ByteVector packed_;
  std::vector<Place> index_;
  Result<> state_;
  std::uint64_t offset_ = 0;
  std::uint64_t exits_ = 0;  ///< in blocks that are written
  std::uint64_t inputs_ = 0;
  std::uint64_t digests_ = 0;
  DigestWriter digest_writer_;
  std::array<std::uint64_t, kLayers> bytes_{};
};

}  // namespace retrap::traces
