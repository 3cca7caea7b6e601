// A state that differs is named by its part: a device, a piece of RAM, a vCPU.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "traces/writer.h"
#include "vmm/base/digest.h"

namespace retrap::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;
using Outcome = ReplayReport::Outcome;

class PartsOfAMachine : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, PartsOfAMachine, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

/// What a replay names that was changed before its first digest.
template <class Change>
traces::Divergence named(const traces::Reader& trace, ArchId arch, Change change) {
  auto machine = machine_with(arch, "hello").value();
  Replayer replayer(*machine, trace);
  EXPECT_EQ(replayer.run(UntilInstruction{900})->outcome, Outcome::Stopped);
  change(machine->vm(0));
  const auto report = replayer.run();
  EXPECT_EQ(report->outcome, Outcome::Diverged);
  return report->divergence.value_or(traces::Divergence{});
}

TEST_P(PartsOfAMachine, HaveTheNameOfTheDeviceThatIsAnother) {
  const traces::Reader trace = record(GetParam(), "hello");
  const auto divergence = named(trace, GetParam(), [](Vm& vm) {
    // The scratch register of the 16550; the flow control of the PL011.
    switch (vm.config().arch) {
      case ArchId::X86_64: EXPECT_TRUE(vm.ports().write(0x3ff, Width::Byte, 7, kBootVcpu)); break;
      case ArchId::Aarch64:
        EXPECT_TRUE(vm.mmio().write(0x0900'0034, Width::Word, 0x1b, kBootVcpu));
        break;
      case ArchId::Riscv64:
        EXPECT_TRUE(vm.mmio().write(0x1000'0007, Width::Byte, 7, kBootVcpu));
        break;
    }
  });
  const std::string_view device = GetParam() == ArchId::X86_64    ? "port device ns16550 at 0x3f8"
                                  : GetParam() == ArchId::Aarch64 ? "device pl011 at 0x9000000"
                                                                  : "device ns16550 at 0x10000000";
  EXPECT_EQ(divergence.what.field, fmt::format("digest of the {} of vm 1", device));
  EXPECT_EQ(divergence.vm, VmId{1});
}

TEST_P(PartsOfAMachine, HaveTheAddressOfTheRamThatIsAnother) {
  const traces::Reader trace = record(GetParam(), "hello");
  const auto divergence = named(trace, GetParam(), [](Vm& vm) {
    const Region& ram = vm.memory().regions().front();
    const GuestPhys at = ram.range.base().wrapping_add(0x0141'2345 % ram.range.size());
    EXPECT_THAT(vm.write_to_guest_of(at, std::uint8_t{1}), Succeeds());
    EXPECT_THAT(vm.write_to_guest_of(at.wrapping_add(0x8'0000), std::uint8_t{1}), Succeeds());
  });
  EXPECT_THAT(divergence.what.field,
              MatchesRegex("digest of the RAM 0x[0-9a-f]+..0x[0-9a-f]+ of vm 1"));
  EXPECT_EQ(divergence.what.left, "none") << "it was all zero";
  EXPECT_THAT(divergence.also, Contains(StartsWith("RAM 0x")));
  EXPECT_THAT(to_text(divergence, "was", "is"), HasSubstr("and the RAM 0x"));
}

TEST_P(PartsOfAMachine, TakeLittleOfATrace) {
  const traces::Reader trace = record(GetParam(), "timer");
  ASSERT_GT(trace.digests().size(), 2U);
  std::uint64_t bytes = 0;
  for (const auto& block : trace.blocks()) {
    if (block.frame.layer != traces::Layer::Digests) continue;
    EXPECT_LE(block.frame.stored, 2048U);
    bytes += block.frame.stored;
  }
  EXPECT_LE(bytes / trace.digests().size(), 512U);
  for (const auto& digest : trace.digests()) {
    EXPECT_NE(digest.root, 0U);
    if (&digest == trace.digests().data()) continue;
    for (const auto& part : digest.parts) EXPECT_NE(part.part, traces::Part::Memory);
  }
}

/// The trace as version 1 has it: of each digest all parts, devices and memory as one each.
traces::Reader of_version_1(const traces::Reader& trace, Machine& machine) {
  traces::ByteVector bytes = traces::encode_prefix();
  bytes[8] = std::byte{1};
  Digest check;
  check.add(ConstBytes(bytes).first(12));
  EXPECT_TRUE(store_le(bytes, 12, static_cast<std::uint32_t>(check.value())));
  std::size_t next = 0;
  for (const auto& block : trace.blocks()) {
    const auto stored = trace.stored(block);
    traces::ByteVector payload(stored.begin(), stored.end());
    traces::Frame frame = block.frame;
    if (frame.layer == traces::Layer::Index) continue;
    if (frame.layer == traces::Layer::Digests) {
      const std::uint64_t at = trace.digests()[next++].retired;
      (void)machine.run(at - machine.clock().retired());
      const auto parts = digest_parts(machine, 1);
      payload.clear();
      traces::append_varint(payload, at);
      traces::append_varint(payload, parts.size());
      for (const auto& part : parts) {
        traces::append_varint(payload, index(part.vm));
        traces::append_byte(payload, static_cast<std::uint8_t>(part.part));
        traces::append_varint(payload, index(part.vcpu));
        traces::append_le(payload, part.digest);
      }
      frame.stored = frame.raw = static_cast<std::uint32_t>(payload.size());
    }
    traces::append_bytes(bytes, encode(frame, payload));
    traces::append_bytes(bytes, payload);
  }
  return traces::Reader::parse("version 1", bytes).value();
}

TEST_P(PartsOfAMachine, AreThoseOfVersion1WhereTheTraceIs) {
  const traces::Reader now = record(GetParam(), "hello");
  auto first = machine_with(GetParam(), "hello").value();
  const traces::Reader trace = of_version_1(now, *first);
  ASSERT_EQ(trace.version(), 1U);
  auto machine = machine_with(GetParam(), "hello").value();
  const auto report = Replayer(*machine, trace).run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Identical) << to_text(*report->divergence, "was", "is");
  EXPECT_GE(report->digests, 2U);

  const auto divergence = named(trace, GetParam(), [](Vm& vm) {
    const GuestPhys at = vm.memory().regions().front().range.base().wrapping_add(0x9'0000);
    EXPECT_THAT(vm.write_to_guest_of(at, std::uint8_t{1}), Succeeds());
  });
  EXPECT_EQ(divergence.what.field, "digest of the memory of vm 1");
}

}  // namespace
}  // namespace retrap::test
