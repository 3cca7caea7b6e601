// The layers of a trace, merged.
#include "traces/walk.h"

namespace retrap::traces {
namespace {

/// Inputs and digests, each before the events of later blocks.
class Others {
 public:
  Others(const Reader& reader, const Filter& filter, Visitor& visitor)
      : reader_(reader), filter_(filter), visitor_(visitor) {}

  /// `place`: behind the last event of earlier blocks.
  void before(std::size_t block, const Filter::Place& place) {
    const auto& inputs = reader_.inputs();
    const auto& digests = reader_.digests();
    for (;;) {
      const std::size_t input = input_ < inputs.size() ? reader_.block_of_input(input_) : block;
      const std::size_t digest =
          digest_ < digests.size() ? reader_.block_of_digest(digest_) : block;
      if (input >= block && digest >= block) return;
      if (input < digest) {
        if (filter_.takes(inputs[input_], place)) visitor_.on_input(inputs[input_]);
        ++input_;
      } else {
        if (filter_.takes(digests[digest_], place)) visitor_.on_digest(digests[digest_]);
        ++digest_;
      }
    }
  }

  /// Those before a block that is not gone through from its begin.
  void skip_before(std::size_t block) {
    const auto& inputs = reader_.inputs();
    const auto& digests = reader_.digests();
    while (input_ < inputs.size() && reader_.block_of_input(input_) < block) ++input_;
    while (digest_ < digests.size() && reader_.block_of_digest(digest_) < block) ++digest_;
  }

 private:
  const Reader& reader_;
  const Filter& filter_;
  Visitor& visitor_;
  std::size_t input_ = 0;
  std::size_t digest_ = 0;
};

}  // namespace

Result<> walk(const Reader& reader, const Filter& filter, Visitor& visitor) {
  EventCursor cursor(reader);
  if (filter.first_exit() != 0) cursor.seek(filter.first_exit() - 1);
  Others others(reader, filter, visitor);
  others.skip_before(cursor.block());
  Filter::Place place{.exit = cursor.exits() == 0 ? 0 : cursor.exits() - 1};
  Event event;
  std::size_t block = 0;
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    if (!more || cursor.block() != block) {
      block = more ? cursor.block() : reader.blocks().size();
      others.before(block, place);
    }
    if (!more) return {};
    if (const auto* const record = std::get_if<ExitRecord>(&event)) {
      place = {cursor.exits() - 1, record->retired, record->idle_ns};
      if (place.exit > filter.last_exit()) return {};
      visitor.on_passing(*record, place.exit);
    }
    if (filter.takes(event, place)) visitor.on_event(event, place.exit);
  }
}

}  // namespace retrap::traces
