// Filter expressions: what they take, and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/traces/sample.h"
#include "traces/export.h"

namespace retrap::traces::test {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Writes down the order in which things come.
class Order final : public Visitor {
 public:
  void on_event(const Event& event, std::uint64_t exit) override {
    constexpr std::array<std::string_view, 3> kLetters = {"e", "a", "i"};
    seen.push_back(fmt::format("{}{}", kLetters[event.index()], exit));
  }
  void on_input(const InputRecord& input) override {
    seen.push_back(fmt::format("input{}", input.retired));
  }
  void on_digest(const DigestRecord& digest) override {
    seen.push_back(fmt::format("digest{}", digest.retired));
  }
  std::vector<std::string> seen;
};

/// Two VMs; an injection before the first exit, an input and a digest between exits.
Reader mixed() {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  writer.add(InputRecord{5, InputRecord::When::Stopped, VmId{1}, InterruptInput{VcpuId{2}, 9}});
  writer.add(InjectionRecord{VmId{1}, VcpuId{2}, 5, 9, LineChange::Pulse});
  writer.add(InputRecord{6, InputRecord::When::Stopped, VmId{1}, ConsoleInput{"a"}});
  writer.add(ExitRecord{.vm = VmId{1},
                        .retired = 10,
                        .pc = 0x1000,
                        .reason = exits::MmioRead{GuestPhys(0x9000), Width::Word}});
  writer.add(AnswerRecord{VmId{1}, {}, 7});
  writer.add(ExitRecord{
      .vm = VmId{2}, .vcpu = VcpuId{1}, .retired = 20, .pc = 0x2000, .reason = exits::Halt{}});
  writer.add(DigestRecord{25, 1, {}});
  writer.add(ExitRecord{.vm = VmId{1},
                        .retired = 30,
                        .idle_ns = 1000,
                        .pc = 0x1004,
                        .reason = exits::MmioWrite{GuestPhys(0x9010), Width::Word, 65}});
  EXPECT_THAT(writer.finish({}), Succeeds());
  return Reader::parse("t.rtr", bytes).value();
}

std::vector<std::string> taken(std::string_view text, std::uint64_t from = 0,
                               std::uint64_t to = ~std::uint64_t{0}) {
  const Reader reader = mixed();
  Filter filter = Filter::parse(text).value();
  filter.set_range(from, to);
  Order order;
  EXPECT_THAT(walk(reader, filter, order), Succeeds());
  return order.seen;
}

TEST(AFilter, OfNothingTakesEverythingInItsOrder) {
  EXPECT_THAT(taken(""), ElementsAre("input5", "i0", "input6", "e0", "a0", "e1", "digest25", "e2"));
}

TEST(AFilter, TakesARangeOfExitsWithWhatComesBehindThem) {
  EXPECT_THAT(taken("", 1, 1), ElementsAre("e1", "digest25"));
  EXPECT_THAT(taken("", 2), ElementsAre("e2"));
  EXPECT_THAT(taken("exit=1..2"), ElementsAre("e1", "digest25", "e2"));
}

TEST(AFilter, TakesKinds) {
  EXPECT_THAT(taken("kind=halt"), ElementsAre("e1"));
  EXPECT_THAT(taken("kind=mmio-read,mmio-write"), ElementsAre("e0", "e2"));
  EXPECT_THAT(taken("kind=input,digest,injection"),
              ElementsAre("input5", "i0", "input6", "digest25"));
  EXPECT_THAT(taken("kind=answer"), ElementsAre("a0"));
}

TEST(AFilter, TakesPlaces) {
  EXPECT_THAT(taken("vm=2"), ElementsAre("e1"));
  EXPECT_THAT(taken("vm=1,2"), SizeIs(7));
  EXPECT_THAT(taken("vcpu=1,2"), ElementsAre("input5", "i0", "e1"));
  EXPECT_THAT(taken("pc=0x1000..0x1fff"), ElementsAre("e0", "e2"));
  EXPECT_THAT(taken("addr=0x9000..0x900f"), ElementsAre("e0"));
  EXPECT_THAT(taken("addr=0x9000,0x9010"), ElementsAre("e0", "e2"));
  EXPECT_THAT(taken("data=65"), ElementsAre("e2"));
}

TEST(AFilter, TakesTimes) {
  EXPECT_THAT(taken("retired=20..30"), ElementsAre("e1", "digest25", "e2"));
  EXPECT_THAT(taken("insn=10"), ElementsAre("e0", "a0"));
  EXPECT_THAT(taken("time=1030"), ElementsAre("e2"));
  EXPECT_THAT(taken("time=26.."), ElementsAre("e2"));
  EXPECT_THAT(taken("time=..6"), ElementsAre("input5", "i0", "input6"));
}

TEST(AFilter, MeansAllOfItsTerms) {
  EXPECT_THAT(taken("vm=1,kind=mmio-read,mmio-write,retired=30"), ElementsAre("e2"));
  EXPECT_THAT(taken("vm=2,kind=mmio-read"), IsEmpty());
}

TEST(AFilter, RefusesWhatItDoesNotUnderstand) {
  const auto refuses = [](std::string_view text, const std::string& says) {
    EXPECT_THAT(Filter::parse(text), FailsSaying(ErrorCode::InvalidInput, says));
  };
  refuses("knid=halt", "'knid' is nothing to filter by; did you mean kind?");
  refuses("zzz=1", "use kind, vm, vcpu, exit, retired, time, pc, or a field such as addr");
  refuses("kind=mmio_read", "'mmio_read' is no kind; did you mean mmio-read?");
  refuses("kind=", "'' is no kind; use one of hypercall");
  refuses("halt", "'halt' is no term; write NAME=VALUE, as kind=halt");
  refuses("vm=1,x", "'vm=x' has no number");
  refuses("vm=", "'vm=' has no number; write vm=42 or vm=0x10..0x1f");
  refuses("vm=..", "'vm=..' has no number");
  refuses("pc=5..4", "'pc=5..4' ends before it begins; write pc=4..5");
  refuses("pc=0x10000000000000000", "has no number");
}

}  // namespace
}  // namespace retrap::traces::test
