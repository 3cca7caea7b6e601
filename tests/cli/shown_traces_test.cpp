// retrap stat, dump, export and report as a script sees them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/cli/trace_folder.h"
#include "traces/reader.h"

namespace retrap {
namespace {

using nlohmann::ordered_json;
using test::builtin_guest;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ShownTraces : public test::TraceFolder {};

INSTANTIATE_TEST_SUITE_P(All, ShownTraces, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(ShownTraces, AreCounted) {
  EXPECT_EQ(record("t.rtr", "timer").status, 0);
  const auto text = retrap({"stat", "t.rtr"});
  const auto json = ordered_json::parse(retrap({"stat", "t.rtr", "--json", "--top", "3"}).out);

  EXPECT_THAT(text.out, AllOf(HasSubstr("halt"), HasSubstr("kind"), HasSubstr("pc")));
  EXPECT_EQ(json["by_pc"].size(), 3U);
  std::uint64_t sum = 0;
  for (const auto& row : json["by_kind"]) sum += row["exits"].get<std::uint64_t>();
  EXPECT_EQ(sum, json["exits"].get<std::uint64_t>());
}

TEST_P(ShownTraces, AreCountedByDevice) {
  EXPECT_EQ(record("t.rtr", "smp", {"--vcpus", "3"}).status, 0);
  const auto text = retrap({"stat", "t.rtr"});
  const auto json = ordered_json::parse(retrap({"stat", "t.rtr", "--json"}).out);

  const std::string uart = GetParam() == ArchId::X86_64    ? "ns16550 0x3f8"
                           : GetParam() == ArchId::Aarch64 ? "pl011 0x9000000"
                                                           : "ns16550 0x10000000";
  EXPECT_THAT(text.out, AllOf(HasSubstr("  device\n"), HasSubstr("  " + uart + "\n")));
  std::uint64_t exits = 0;
  for (const auto& row : json["by_device"]) {
    if (row["name"] == uart) exits = row["exits"].get<std::uint64_t>();
  }
  EXPECT_GT(exits, 10U) << json["by_device"];
}

TEST_P(ShownTraces, AreCountedWithAFilterAsWithoutOne) {
  EXPECT_EQ(record("t.rtr", "timer").status, 0);
  const auto all = ordered_json::parse(retrap({"stat", "t.rtr", "--json"}).out);
  const auto halts =
      ordered_json::parse(retrap({"stat", "t.rtr", "--json", "--filter", "kind=halt"}).out);

  ASSERT_EQ(halts["by_kind"].size(), 1U);
  EXPECT_THAT(all["by_kind"], ::testing::Contains(halts["by_kind"][0]));
  EXPECT_GT(halts["by_kind"][0]["idle_ns"], 0);
  EXPECT_EQ(halts["instructions"], halts["by_kind"][0]["instructions"]);
}

TEST_P(ShownTraces, AreFiltered) {
  EXPECT_EQ(record("t.rtr", "timer").status, 0);
  const auto halts = retrap({"dump", "t.rtr", "--json", "--filter", "kind=halt,vcpu=0"});
  const auto some = retrap({"dump", "t.rtr", "--json", "--from", "5", "--to", "9"});

  for (const std::string& line : {halts.out.substr(0, halts.out.find('\n'))}) {
    EXPECT_EQ(ordered_json::parse(line)["kind"], "halt");
  }
  EXPECT_EQ(ordered_json::parse(some.out.substr(0, some.out.find('\n')))["exit"], 5);
}

TEST_P(ShownTraces, AreExported) {
  EXPECT_EQ(record("t.rtr", "smp", {"--vcpus", "2"}).status, 0);
  EXPECT_EQ(retrap({"export", "t.rtr", "--format", "perfetto", "-o", "t.json"}).status, 0);
  EXPECT_EQ(retrap({"export", "t.rtr", "--format", "csv", "-o", "t.csv"}).status, 0);

  const auto perfetto = ordered_json::parse(test::contents_of(path("t.json")));
  const std::string csv = test::contents_of(path("t.csv"));
  const auto& events = perfetto["traceEvents"];
  const auto slices = std::count_if(events.begin(), events.end(),
                                    [](const auto& event) { return event["ph"] == "X"; });
  const auto exits =
      ordered_json::parse(retrap({"stat", "t.rtr", "--json"}).out)["exits"].get<std::int64_t>();
  EXPECT_GE(slices, exits);
  EXPECT_THAT(csv, StartsWith("exit,retired,time_ns,vm,vcpu,pc,kind,details,answer\n0,"));
  EXPECT_GE(std::count(csv.begin(), csv.end(), '\n'), exits + 1);
}

/// Nanoseconds of a time in a Perfetto trace.
std::int64_t ns_of(const ordered_json& time) {
  return std::llround(time.get<double>() * 1000);
}

/// The slices that begin at one time of one track, by how long they are.
using Slices = std::map<std::tuple<int, int, std::int64_t>, std::int64_t>;

TEST_P(ShownTraces, HaveArrowsInPerfettoFromSliceToSlice) {
  EXPECT_EQ(record("t.rtr", "ipis", {"--vcpus", "2"}).status, 0);
  const auto json = ordered_json::parse(retrap({"export", "t.rtr", "--format", "perfetto"}).out);

  Slices slices;
  std::size_t arrows = 0;
  for (const auto& event : json["traceEvents"]) {
    if (event["ph"] != "X" && event["ph"] != "s" && event["ph"] != "f") continue;
    const auto at =
        std::tuple(event["pid"].get<int>(), event["tid"].get<int>(), ns_of(event["ts"]));
    if (event["ph"] == "X") {
      slices[at] = ns_of(event["dur"]);
    } else {
      EXPECT_EQ(slices.count(at), 1U) << event << " is where no slice before it begins";
      ++arrows;
    }
  }
  // Only the GIC says when a message between vCPUs becomes pending.
  const std::size_t least = GetParam() == ArchId::Aarch64 ? 100 : 0;
  EXPECT_GE(arrows, least);
  EXPECT_EQ(arrows % 2, 0U);
}

TEST_P(ShownTraces, HaveEveryEventInCsv) {
  EXPECT_EQ(record("t.rtr", "ipis", {"--vcpus", "2"}).status, 0);
  const auto stat = ordered_json::parse(retrap({"stat", "t.rtr", "--json"}).out);
  std::istringstream csv(retrap({"export", "t.rtr", "--format", "csv"}).out);

  std::map<std::string, std::uint64_t> counts;
  for (std::string line; std::getline(csv, line);) {
    std::vector<std::string> fields;
    std::istringstream rest(line + ",");
    for (std::string field; std::getline(rest, field, ',');) fields.push_back(field);
    ASSERT_EQ(fields.size(), 9U) << line;
    if (fields[0] == "exit") continue;
    const bool is_exit = fields[6] != "answer" && fields[6] != "injection";
    ++counts[is_exit ? "exit" : fields[6]];
    if (is_exit && !fields[8].empty()) ++counts["answer"];
  }
  EXPECT_EQ(counts["exit"], stat["exits"].get<std::uint64_t>());
  EXPECT_EQ(counts["answer"], stat["answers"].get<std::uint64_t>());
  EXPECT_EQ(counts["injection"], stat["injections"].get<std::uint64_t>());
}

/// The sum of what lcov is told of lines ("DA:LINE,COUNT"), and how many there are.
std::pair<std::uint64_t, std::size_t> lines_in(const std::string& lcov) {
  std::pair<std::uint64_t, std::size_t> sum;
  std::istringstream text(lcov);
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("DA:")) continue;
    sum.first += std::stoull(line.substr(line.find(',') + 1));
    sum.second += 1;
  }
  return sum;
}

TEST_P(ShownTraces, TellLcovTheLinesOfExits) {
  const std::string hello = builtin_guest(GetParam(), "hello") + ".debug";
  EXPECT_EQ(record("t.rtr", "hello").status, 0);
  const auto exits = ordered_json::parse(retrap({"stat", "t.rtr", "--json"}).out)["exits"];

  const auto told = retrap({"export", "t.rtr", "--format", "lcov", "--elf", hello});

  EXPECT_EQ(told.status, 0);
  EXPECT_EQ(told.err, "");
  EXPECT_THAT(told.out, StartsWith("TN:\nSF:tests/guests/"));
  EXPECT_THAT(told.out, HasSubstr("SF:tests/guests/programs/hello.c\n"));
  EXPECT_THAT(told.out, EndsWith("end_of_record\n"));
  const auto [count, lines] = lines_in(told.out);
  EXPECT_EQ(count, exits.get<std::uint64_t>());
  EXPECT_GT(lines, 50u) << "lines without exits are told, too";
}

TEST_P(ShownTraces, SayWhichExitsAreOfAnotherProgram) {
  const ArchId other = GetParam() == ArchId::X86_64 ? ArchId::Riscv64 : ArchId::X86_64;
  EXPECT_EQ(record("t.rtr", "hello").status, 0);

  const auto told = retrap(
      {"export", "t.rtr", "--format", "lcov", "--elf", builtin_guest(other, "hello") + ".debug"});

  EXPECT_EQ(told.status, 0);
  EXPECT_THAT(told.err, ContainsRegex("knows no line for [0-9]+ of [0-9]+ exits"));
  EXPECT_EQ(lines_in(told.out).first, 0u);
}

TEST_P(ShownTraces, BecomeOnePage) {
  EXPECT_EQ(record("a.rtr", "smp", {"--vcpus", "2"}).status, 0);
  EXPECT_EQ(record("b.rtr", "smp", {"--vcpus", "2", "--seed", "2"}).status, 0);
  EXPECT_EQ(retrap({"report", "a.rtr", "--diff", "b.rtr", "-o", "a.html"}).status, 0);

  const std::string page = test::contents_of(path("a.html"));
  EXPECT_THAT(page, AllOf(StartsWith("<!doctype html>"), HasSubstr("id=\"divergence\""),
                          HasSubstr("first difference at exit"), EndsWith("</html>\n")));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("http://")), Not(HasSubstr("https://"))));
}

}  // namespace
}  // namespace retrap
