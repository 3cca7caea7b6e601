// Traces that no recording has written.
#pragma once

#include <string>
#include <vector>

#include "sim/replay.h"
#include "tests/replay/guest_machine.h"
#include "traces/writer.h"

namespace retrap::test {

/// What a trace says, for tests to change: a recording of a built-in guest at first.
struct Crafted {
  traces::Header header;
  std::vector<traces::InputRecord> inputs;  ///< in front of all events
  std::vector<traces::Event> events;
  std::vector<traces::DigestRecord> digests;  ///< behind them
  traces::EndRecord end;
  bool has_end = true;
  traces::ByteVector image;
};

inline Crafted crafted_from(ArchId arch, std::string_view name) {
  const traces::Reader trace = record(arch, name);
  const guests::Guest* const guest = guests::find(arch, name);
  Crafted crafted{.header = trace.header(),
                  .inputs = {},
                  .events = {},
                  .digests = trace.digests(),
                  .end = *trace.end(),
                  .image = {guest->elf.begin(), guest->elf.end()}};
  traces::EventCursor cursor(trace);
  for (traces::Event event; cursor.next(event).value();) crafted.events.push_back(event);
  Digest digest;
  digest.add(crafted.image);
  crafted.header.images = {{.vm = VmId{1},
                            .role = "kernel",
                            .path = "kernel",
                            .size = crafted.image.size(),
                            .digest = digest.value(),
                            .embedded = true}};
  return crafted;
}

inline traces::ByteVector bytes_of(const Crafted& crafted) {
  traces::ByteVector bytes;
  auto writer =
      traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), crafted.header).value();
  if (!crafted.header.images.empty()) {
    EXPECT_THAT(writer.embed(0, crafted.image), Succeeds());
  }
  for (const auto& input : crafted.inputs) writer.add(input);
  for (const auto& event : crafted.events) {
    std::visit([&](const auto& record) { writer.add(record); }, event);
  }
  for (const auto& digest : crafted.digests) writer.add(digest);
  EXPECT_THAT(crafted.has_end ? writer.finish(crafted.end) : writer.flush(), Succeeds());
  return bytes;
}

}  // namespace retrap::test
