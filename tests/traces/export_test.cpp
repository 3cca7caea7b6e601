// What exporters make of events that do not come one after the other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/traces/sample.h"
#include "traces/export.h"

namespace retrap::traces::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using Item = std::variant<ExitRecord, AnswerRecord, InjectionRecord, InputRecord, DigestRecord>;

constexpr VmId kVm{1};
constexpr VmId kOther{2};

template <class Exporter>
std::string exported(const std::vector<Item>& items, std::string_view filter = "") {
  ByteVector bytes;
  auto writer = Writer::create(std::make_unique<MemorySink>(bytes), {}).value();
  for (const Item& item : items) {
    std::visit([&](const auto& record) { writer.add(record); }, item);
  }
  EXPECT_THAT(writer.finish({}), retrap::test::Succeeds());
  const auto reader = Reader::parse("t.rtr", bytes).value();
  Exporter exporter;
  EXPECT_THAT(walk(reader, Filter::parse(filter).value(), exporter), retrap::test::Succeeds());
  exporter.finish();
  return exporter.take();
}

ExitRecord read(std::uint64_t retired, VmId vm = kVm, VcpuId vcpu = {}) {
  return {.vm = vm,
          .vcpu = vcpu,
          .retired = retired,
          .pc = 0x1000,
          .reason = exits::MmioRead{GuestPhys(0x9000), Width::Word}};
}

ExitRecord halt_of(std::uint64_t retired, VmId vm = kVm, VcpuId vcpu = {}) {
  return {.vm = vm, .vcpu = vcpu, .retired = retired, .pc = 0x1004, .reason = exits::Halt{}};
}

InjectionRecord pulse(std::uint64_t retired, VmId vm, VcpuId vcpu = {}, std::uint64_t vector = 33) {
  return {vm, vcpu, retired, vector, LineChange::Pulse};
}

constexpr std::string_view kColumns = "exit,retired,time_ns,vm,vcpu,pc,kind,details,answer\n";

TEST(CsvOfATrace, HasTheAnswerInTheRowOfItsExit) {
  EXPECT_EQ(exported<CsvExport>({read(10), AnswerRecord{kVm, {}, 5}, halt_of(20)}),
            std::string(kColumns) +
                "0,10,10,1,0,0x1000,mmio-read,addr=0x9000 width=0x4 reg=0xff reg_width=0x8 "
                "signed_ext=0x0,0x5\n1,20,20,1,0,0x1004,halt,,\n");
}

TEST(CsvOfATrace, HasARowForAnAnswerThatComesLater) {
  const std::string csv = exported<CsvExport>({read(10), pulse(10, kVm), AnswerRecord{kVm, {}, 5}});
  const std::string of_another =
      exported<CsvExport>({read(10), halt_of(20, kVm, VcpuId{1}), AnswerRecord{kVm, {}, 6}});

  EXPECT_THAT(csv, EndsWith("0,10,,1,0,,injection,vector=0x21 change=pulse,\n"
                            "0,,,1,0,,answer,,0x5\n"));
  EXPECT_THAT(of_another, EndsWith("1,20,20,1,1,0x1004,halt,,\n0,,,1,0,,answer,,0x6\n"));
}

TEST(CsvOfATrace, HasARowForAnAnswerWithoutItsExit) {
  EXPECT_EQ(exported<CsvExport>({read(10), AnswerRecord{kVm, {}, 5}}, "kind=answer"),
            std::string(kColumns) + "0,,,1,0,,answer,,0x5\n");
}

TEST(CsvOfATrace, HasInputsAndDigestsWithQuotesWhereTheyNeedThem) {
  const InputRecord typed{7, InputRecord::When::Stopped, kVm, ConsoleInput{"a,\"b\"\n"}};
  const std::string csv =
      exported<CsvExport>({typed, DigestRecord{9, 0, {{kVm, Part::Memory, {}, 0xabc}}}});

  EXPECT_EQ(csv, std::string(kColumns) +
                     ",7,,1,,,input,\"console \"\"a,\\\"\"b\\\"\"\\u000a\"\"\",\n"
                     ",9,,,,,digest,memory of vm 1=0000000000000abc,\n");
}

TEST(PerfettoOfATrace, DrawsAnArrowFromTheExitThatCausedAnInjection) {
  const std::string json = exported<PerfettoExport>(
      {halt_of(5, kVm, VcpuId{1}), read(10), pulse(10, kVm, VcpuId{1}), read(40, kVm, VcpuId{1})});

  EXPECT_THAT(json, AllOf(HasSubstr(R"({"ph":"s","name":"interrupt","cat":"irq","id":1,"pid":1,)"
                                    R"("tid":0,"ts":0.010})"),
                          HasSubstr(R"({"ph":"f","bp":"e","name":"interrupt","cat":"irq","id":1,)"
                                    R"("pid":1,"tid":1,"ts":0.040})")));
  EXPECT_LT(json.find(R"("tid":1,"ts":0.040,"dur")"), json.find(R"("ph":"f")"))
      << "the end comes behind its slice";
  EXPECT_THAT(json, HasSubstr(R"("name":"halted","pid":1,"tid":1,"ts":0.006,"dur":0.033})"))
      << "and no other slice touches it";
}

TEST(PerfettoOfATrace, KeepsEveryArrowUntilTheNextExitOfItsTarget) {
  const std::string json =
      exported<PerfettoExport>({read(10), pulse(10, kVm, VcpuId{1}, 33), read(20),
                                pulse(20, kVm, VcpuId{1}, 34), read(40, kVm, VcpuId{1})});

  EXPECT_THAT(json, AllOf(HasSubstr(R"("id":1,"pid":1,"tid":0,"ts":0.010})"),
                          HasSubstr(R"("id":2,"pid":1,"tid":0,"ts":0.020})"),
                          HasSubstr(R"("id":1,"pid":1,"tid":1,"ts":0.040})"),
                          HasSubstr(R"("id":2,"pid":1,"tid":1,"ts":0.040})")));
}

TEST(PerfettoOfATrace, MarksInjectionsThatNoExitCaused) {
  const std::string at_once = exported<PerfettoExport>({pulse(3, kVm), read(10)});
  const std::string of_a_timer = exported<PerfettoExport>({read(5), pulse(8, kVm), read(10)});
  const std::string in_a_halt = exported<PerfettoExport>({halt_of(5), pulse(5, kVm), read(10)});
  const std::string filtered =
      exported<PerfettoExport>({halt_of(2), read(5), pulse(5, kVm)}, "kind=injection");

  for (const std::string& json : {at_once, of_a_timer, in_a_halt, filtered}) {
    EXPECT_THAT(json, HasSubstr(R"({"ph":"i","s":"t","name":"interrupt 33","pid":1,"tid":0,)"));
    EXPECT_THAT(json, Not(HasSubstr(R"("ph":"s")")));
    EXPECT_THAT(json, Not(HasSubstr(R"("ph":"f")")));
  }
}

TEST(PerfettoOfATrace, NamesArrowsBetweenVmsOfAChannel) {
  const ExitRecord notify{.vm = kVm, .retired = 10, .reason = exits::Hypercall{7, {}}};
  const ExitRecord other_call{.vm = kVm, .retired = 10, .reason = exits::Hypercall{8, {}}};

  const std::string json = exported<PerfettoExport>({notify, pulse(10, kOther), read(20, kOther)});

  EXPECT_THAT(json,
              AllOf(HasSubstr(R"({"ph":"s","name":"ivc","cat":"ivc","id":1,"pid":1,)"),
                    HasSubstr(R"({"ph":"f","bp":"e","name":"ivc","cat":"ivc","id":1,"pid":2,)")));
  const InjectionRecord rise{kOther, {}, 10, 60, LineChange::DeviceRise};
  const InjectionRecord fall{kOther, {}, 10, 60, LineChange::DeviceFall};
  const std::string line = exported<PerfettoExport>({notify, rise, fall, read(20, kOther)});
  EXPECT_THAT(line, AllOf(HasSubstr(R"({"ph":"s","name":"ivc","cat":"ivc","id":1,"pid":1,)"),
                          Not(HasSubstr(R"("id":2)")), HasSubstr("line 60 device-fall")));
  EXPECT_THAT(exported<PerfettoExport>({other_call, pulse(10, kOther), read(20, kOther)}),
              HasSubstr(R"({"ph":"s","name":"interrupt")"));
  EXPECT_THAT(exported<PerfettoExport>({notify, pulse(10, kVm), read(20)}),
              HasSubstr(R"({"ph":"s","name":"interrupt")"));
}

TEST(PerfettoOfATrace, ShowsAHaltThatLastsToTheEnd) {
  EXPECT_THAT(exported<PerfettoExport>({halt_of(10, kVm, VcpuId{1}), read(50)}),
              HasSubstr(R"("name":"halted","pid":1,"tid":1,"ts":0.011,"dur":0.039})"));
}

}  // namespace
}  // namespace retrap::traces::test
