// A small trace in memory with something of everything in it.
#pragma once

#include <memory>
#include <vector>

#include "traces/reader.h"
#include "traces/writer.h"

namespace retrap::traces::test {

inline Header sample_header() {
  return {.program = "retrap 0.1.0",
          .detail = Detail::Full,
          .seed = 7,
          .memory_bytes = 1 << 20,
          .digest_interval = 1000,
          .configs = {"[base]\nid = 1\n"},
          .images = {{.vm = VmId{1},
                      .role = "kernel",
                      .path = "Image",
                      .size = 300'000,
                      .digest = 0x1234,
                      .embedded = true}},
          .notes = {{"command", "retrap record"}}};
}

/// One exit of every kind with every field set, at growing times, on two vCPUs of two VMs.
inline std::vector<Event> sample_events() {
  std::vector<Event> events;
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    FieldValues values{};
    const auto rows = fields_of(kind);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      values[i] = 0xfeed'0000'0000'0000 + kind * 100 + i;
      if (rows[i].name.find("width") != std::string_view::npos) values[i] = 4;
      if (rows[i].name == "reg") values[i] = 0xff;
      if (rows[i].name == "port") values[i] = 0x3f8;
      if (rows[i].name == "access_flags") values[i] = 2;
      if (rows[i].name.starts_with("send_to") || rows[i].name == "signed_ext") values[i] = 1;
    }
    const VmId vm{static_cast<std::uint32_t>(kind % 2)};
    const VcpuId vcpu{static_cast<std::uint32_t>(kind / 2 % 2)};
    const std::uint64_t retired = 100 + kind * kind;
    events.emplace_back(ExitRecord{.vm = vm,
                                   .vcpu = vcpu,
                                   .retired = retired,
                                   .idle_ns = kind * 1000,
                                   .pc = 0xffff'ffc0'8000'0000 + 4 * (kind % 3),
                                   .reason = exit_of(kind, values).value()});
    if (kind % 3 == 0) events.emplace_back(AnswerRecord{vm, vcpu, ~std::uint64_t{0} - kind});
    if (kind % 5 == 0) {
      const auto change = static_cast<LineChange>(kind / 5 % 5);
      events.emplace_back(InjectionRecord{vm, vcpu, retired, 33 + kind, change});
    }
  }
  return events;
}

inline std::vector<InputRecord> sample_inputs() {
  using When = InputRecord::When;
  return {{10, When::Stopped, VmId{1}, ConsoleInput{"ls\n"}},
          {20, When::Resting, VmId{1}, InterruptInput{VcpuId{1}, 33}},
          {20, When::Same, VmId{0}, MapInput{0x8000'0000, 0x1'0000'0000, 0x1000, 7}},
          {30, When::Stopped, VmId{0}, UnmapInput{0x8000'0000, 0x1000}},
          {40, When::Stopped, VmId{0}, MemoryInput{0x4000'0000, std::string("\0\1", 2)}},
          {50, When::Stopped, VmId{0}, GrowInput{0x5000'0000, 0x2000, 7}},
          {50, When::Same, VmId{0}, SuspendInput{}},
          {60, When::Ended, VmId{0}, ResumeInput{}},
          {70, When::Stopped, VmId{0}, ResetInput{}},
          {80, When::Stopped, VmId{0}, ShutdownInput{}},
          {80, When::Same, VmId{0}, DestroyInput{}}};
}

inline DigestRecord sample_digest() {
  return {1000,
          0x1234'5678,
          {{VmId{0}, Part::Registers, VcpuId{3}, 0xabcd},
           {VmId{1}, Part::Ram, {}, 1, 0x4020'0000, 0x20'0000},
           {VmId{1}, Part::MmioDevice, {}, 2, 0x0900'0000, 0x1000, "pl011"}}};
}
/// And a little later.
inline DigestRecord later_digest() {
  return {2000,
          0x8765'4321,
          {{VmId{1}, Part::Ram, {}, 3, 0x4020'0000, 0x20'0000},
           {VmId{1}, Part::Ram, {}, 4, 0x4040'0000, 0x20'0000},
           {VmId{1}, Part::MmioDevice, {}, 0, 0x0900'0000, 0x1000, "pl011", true}}};
}

inline EndRecord sample_end() {
  return {.retired = 2000, .idle_ns = 3, .reason = 0, .detail = "done", .digest = 0xd16e57};
}

inline ByteVector sample_image() {
  ByteVector bytes(300'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i >> 7);
  return bytes;
}

inline void write_events(Writer& writer, const std::vector<Event>& events) {
  for (const Event& event : events) {
    std::visit([&](const auto& record) { writer.add(record); }, event);
  }
}

inline ByteVector sample_trace() {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), sample_header()).value();
  (void)writer.embed(0, sample_image());
  for (const InputRecord& input : sample_inputs()) writer.add(input);
  write_events(writer, sample_events());
  writer.add(sample_digest());
  writer.add(later_digest());
  (void)writer.finish(sample_end());
  return bytes;
}

/// Every event of a trace that reads without an error.
inline Result<std::vector<Event>> events_of(const Reader& reader) {
  std::vector<Event> events;
  EventCursor cursor(reader);
  Event event;
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    if (!more) return events;
    events.push_back(event);
  }
}

}  // namespace retrap::traces::test
