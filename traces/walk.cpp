// The layers of a trace, merged.
#include "traces/walk.h"

namespace retrap::traces {
namespace {

/// Inputs and digests, each before the events of later blocks.
class Others {
 public:
  Others(const Reader& reader, const Filter& filter, Visitor& visitor)
      : reader_(reader), visitor_(visitor), wanted_(filter.takes_everything()) {}

  void before(std::size_t block, std::uint64_t exit, const Filter& filter) {
    const bool shown = wanted_ && exit >= filter.first_exit() && exit <= filter.last_exit();
    while (input_ < reader_.inputs().size() && reader_.block_of_input(input_) < block) {
      if (shown) visitor_.on_input(reader_.inputs()[input_]);
      ++input_;
    }
    while (digest_ < reader_.digests().size() && reader_.block_of_digest(digest_) < block) {
      if (shown) visitor_.on_digest(reader_.digests()[digest_]);
      ++digest_;
    }
  }

 private:
  const Reader& reader_;
  Visitor& visitor_;
  bool wanted_;
  std::size_t input_ = 0;
  std::size_t digest_ = 0;
};

}  // namespace

Result<> walk(const Reader& reader, const Filter& filter, Visitor& visitor) {
  EventCursor cursor(reader);
  cursor.seek(filter.first_exit() == 0 ? 0 : filter.first_exit() - 1);
  Others others(reader, filter, visitor);
  Event event;
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    const std::uint64_t exit = cursor.exits() == 0 ? 0 : cursor.exits() - 1;
    others.before(more ? cursor.block() : reader.blocks().size(), exit, filter);
    if (!more) return {};
    if (exit > filter.last_exit()) return {};
    if (const auto* const record = std::get_if<ExitRecord>(&event))
      visitor.on_passing(*record, exit);
    if (filter.takes(event, exit)) visitor.on_event(event, exit);
  }
}

}  // namespace retrap::traces
