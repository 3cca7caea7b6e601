// Traces that no recording has written: each is refused, or replays as another run. None of them
// stops the program, or keeps it for long.
#include "tests/replay/crafted.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>

#include "sim/replay_exits.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/base/prng.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using test::bytes_of;
using test::Crafted;
using test::crafted_from;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using When = traces::InputRecord::When;

constexpr std::uint64_t kMost = ~std::uint64_t{0};

class CraftedTrace : public ::testing::TestWithParam<ArchId> {
 public:
  /// retrap replay of it: in all three ways it ends with an error or a difference.
  void expect_refused(const Crafted& crafted, const std::string& what,
                      const std::string& says = "") {
    write(crafted);
    for (const std::string mode : {"", "--exits-only", "--guest-only"}) {
      SCOPED_TRACE(what + " " + mode);
      const auto replayed = replay(mode);
      EXPECT_TRUE(replayed.status == 1 || replayed.status == 3)
          << replayed.status << " " << replayed.err;
      EXPECT_THAT(replayed.err, StartsWith("retrap: "));
      EXPECT_LT(replayed.err.size(), 10'000U);
      EXPECT_THAT(replayed.err, HasSubstr(says));
    }
  }
  /// As that with the whole machine; either half of it alone may not meet what is wrong.
  void expect_another_run(const Crafted& crafted) {
    write(crafted);
    const auto whole = replay("");
    EXPECT_TRUE(whole.status == 1 || whole.status == 3) << whole.status << whole.err;
    for (const std::string mode : {"--exits-only", "--guest-only"}) {
      const int status = replay(mode).status;
      EXPECT_TRUE(status == 0 || status == 1 || status == 3) << mode << status;
    }
  }
  /// As that, but it may be identical where what is wrong does not matter.
  void expect_survived(const Crafted& crafted, const std::string& what) {
    write(crafted);
    for (const std::string mode : {"", "--exits-only", "--guest-only"}) {
      SCOPED_TRACE(what + " " + mode);
      const auto replayed = replay(mode);
      EXPECT_TRUE(replayed.status == 0 || replayed.status == 1 || replayed.status == 3)
          << replayed.status << " " << replayed.err;
    }
  }
  void write(const Crafted& crafted) {
    const auto bytes = bytes_of(crafted);
    folder_.write("t.rtr", std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  test::Finished replay(const std::string& mode) {
    std::vector<std::string> words = {"replay", "t.rtr"};
    if (!mode.empty()) words.push_back(mode);
    return test::run_program(test::retrap_program(), words, folder_.path(), 20);
  }
  [[nodiscard]] Crafted hello() const { return crafted_from(GetParam(), "hello"); }
  [[nodiscard]] static traces::InputRecord input(traces::Input what, std::uint64_t retired = 100,
                                                 When when = When::Stopped) {
    return {.retired = retired, .when = when, .vm = VmId{1}, .input = std::move(what)};
  }

  test::TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(All, CraftedTrace, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(CraftedTrace, ThatNobodyHasCraftedIsIdentical) {
  write(hello());
  for (const std::string mode : {"", "--exits-only", "--guest-only"}) {
    EXPECT_EQ(replay(mode).status, 0) << mode << replay(mode).err;
  }
}

TEST_P(CraftedTrace, WithAConfigurationThatIsRefusedSaysWhatIsWrong) {
  const std::string sound = hello().header.configs[0];
  const auto with = [&](const std::string& from, const std::string& to) {
    Crafted crafted = hello();
    std::string& text = crafted.header.configs[0];
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << text;
    text.replace(at, text.find('\n', at) - at, to);
    return crafted;
  };
  expect_refused(with("cpu_num", "cpu_num = 0"), "no CPUs", "t.rtr");
  expect_refused(with("cpu_num", "cpu_num = 65"), "too many CPUs", "t.rtr");
  expect_refused(with("cpu_num", "cpu_num = -1"), "negative", "t.rtr");
  expect_refused(with("arch", "arch = \"mips\""), "another architecture", "t.rtr");
  expect_refused(with("memory_regions", "memory_regions = [[0x1000, 0x1001]]"), "odd", "t.rtr");
  expect_refused(with("memory_regions", "memory_regions = [[0x40000000, 0x1000]]\ncpu_num = 64"),
                 "tiny", "t.rtr");
  expect_refused(with("memory_regions", "memory_regions = [[0x40000000, 0x7ffffffff0000000]]"),
                 "enormous", "t.rtr");
  expect_survived(with("memory_regions", "memory_regions = []"), "no memory");
  for (const std::string text : {"", "[", "\xff\xfe", "[base]\nid = 1\n"}) {
    Crafted crafted = hello();
    crafted.header.configs[0] = text;
    expect_refused(crafted, "no configuration", "t.rtr");
  }
}

TEST_P(CraftedTrace, WithManyCpusAndLittleMemoryEndsInTime) {
  Crafted crafted = hello();
  std::string& text = crafted.header.configs[0];
  const std::size_t at = text.find("cpu_num");
  text.replace(at, text.find('\n', at) - at, "cpu_num = 64");

  expect_survived(crafted, "64 CPUs");
}

TEST_P(CraftedTrace, WithTwoVmsOfOneIdIsRefused) {
  Crafted crafted = hello();
  crafted.header.configs.push_back(crafted.header.configs[0]);

  expect_refused(crafted, "twice", "t.rtr");
}

TEST_P(CraftedTrace, WithoutOrWithOtherImagesIsRefused) {
  Crafted none = hello();
  none.header.images.clear();
  Crafted other = hello();
  other.header.images[0].digest ^= 1;
  Crafted long_one = hello();
  long_one.header.images[0].size = kMost;
  Crafted of_another = hello();
  of_another.header.images[0].vm = VmId{7};
  Crafted strange = hello();
  strange.header.images[0].role = "tape\x1b[2J";
  Crafted not_here = hello();
  not_here.header.images[0].embedded = false;
  not_here.header.images[0].path = "/dev/zero";
  Crafted pipe = hello();
  pipe.header.images[0].embedded = false;
  pipe.header.images[0].path = "pipe";
  ASSERT_EQ(mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);

  for (const Crafted* crafted :
       {&none, &other, &long_one, &of_another, &strange, &not_here, &pipe}) {
    write(*crafted);
    for (const std::string mode : {"", "--guest-only"}) {
      const auto replayed = replay(mode);
      EXPECT_TRUE(replayed.status == 1 || replayed.status == 3)
          << replayed.status << replayed.err << crafted->header.images.size();
    }
  }
}

TEST_P(CraftedTrace, OfAHostWithStrangeMemoryIsRefused) {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{0x1000}, std::uint64_t{1} << 41,
                                   std::uint64_t{1} << 63, kMost}) {
    Crafted crafted = hello();
    crafted.header.memory_bytes = size;
    write(crafted);
    EXPECT_EQ(replay("").status, 1) << size;
    EXPECT_EQ(replay("--guest-only").status, 1) << size;
  }
  Crafted large = hello();
  large.header.memory_bytes = std::uint64_t{1} << 40;
  expect_survived(large, "1 TiB");
}

TEST_P(CraftedTrace, WithInputsThatCannotBeIsAnotherRun) {
  using namespace traces;
  const std::vector<Input> inputs = {
      InterruptInput{VcpuId{1}, 40},
      InterruptInput{VcpuId{64}, 40},
      InterruptInput{VcpuId{0xffff'ffff}, kMost},
      MapInput{.gpa = 0x1001, .hpa = 0x1'0000'0000, .size = 0x1000, .flags = 7},
      MapInput{.gpa = 0xd000'0000, .hpa = 1, .size = 0x1000, .flags = 7},
      MapInput{.gpa = 0xd000'0000, .hpa = 0x1'0000'0000, .size = 0, .flags = 7},
      MapInput{.gpa = 0xd000'0000, .hpa = 0x1'0000'0000, .size = 7, .flags = 7},
      MapInput{.gpa = kMost - 0xfff, .hpa = 0x1'0000'0000, .size = 0x2000, .flags = 7},
      MapInput{.gpa = 0xd000'0000, .hpa = kMost - 0xfff, .size = 0x2000, .flags = 7},
      UnmapInput{.gpa = 0x1001, .size = 0x1000},
      UnmapInput{.gpa = kMost - 0xfff, .size = 0x2000},
      UnmapInput{.gpa = 0xdead'0000, .size = 0x1000},
      UnmapInput{.gpa = 0, .size = 0},
      MemoryInput{.gpa = 0xffff'ffff'ffff'fff0, .bytes = std::string(64, 'x')},
      MemoryInput{.gpa = 0xdead'0000'0000, .bytes = "x"},
      ResetInput{},
      ResumeInput{},
      GrowInput{.gpa = 0x2'0000'0000, .size = std::uint64_t{1} << 60, .flags = 7},
      GrowInput{.gpa = 0x2'0000'0000, .size = kMost - 0xfff, .flags = 7},
      GrowInput{.gpa = 0x2'0000'0001, .size = 0x1000, .flags = 7},
      GrowInput{.gpa = 0x2'0000'0000, .size = 0, .flags = 7},
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Crafted crafted = hello();
    crafted.inputs = {input(inputs[i])};
    SCOPED_TRACE(i);
    expect_another_run(crafted);
  }
}

TEST_P(CraftedTrace, WithInputsAtPlacesThatCannotBeIsAnotherRun) {
  const traces::Input suspend = traces::SuspendInput{};
  Crafted of_nobody = hello();
  of_nobody.inputs = {input(suspend)};
  of_nobody.inputs[0].vm = VmId{77};
  expect_refused(of_nobody, "a VM that is not there");
  const std::vector<std::vector<traces::InputRecord>> orders = {
      {input(suspend, 0, When::Same)},
      {input(suspend, 0, When::Resting)},
      {input(suspend, 0, When::Ended)},
      {input(suspend, 500, When::Same)},
      {input(suspend, 500, When::Resting), input(suspend, 5, When::Same)},
      {input(suspend, 500), input(suspend, 100)},
      {input(suspend, 500), input(suspend, 100, When::Resting)},
      {input(suspend, 500, When::Ended), input(suspend, 100, When::Ended)},
      {input(suspend, kMost)},
      {input(suspend, kMost, When::Resting)},
      {input(suspend, kMost - 1, When::Ended)},
      {input(suspend, 100), input(traces::DestroyInput{}, 100, When::Same),
       input(traces::ConsoleInput{"x"}, 100, When::Same)},
      {input(traces::DestroyInput{}), input(traces::MemoryInput{0, "x"}, 100, When::Same)},
      {input(traces::DestroyInput{}), input(traces::InterruptInput{}, 100, When::Same)},
      {input(traces::DestroyInput{}), input(traces::ResetInput{}, 100, When::Same)},
      {input(traces::DestroyInput{}), input(traces::GrowInput{}, 100, When::Same)},
      {input(traces::DestroyInput{}), input(traces::MapInput{}, 100, When::Same)},
      {input(traces::ShutdownInput{}), input(traces::ResumeInput{}, 100, When::Ended)},
  };
  for (std::size_t i = 0; i < orders.size(); ++i) {
    Crafted crafted = hello();
    crafted.inputs = orders[i];
    SCOPED_TRACE(i);
    expect_another_run(crafted);
  }
}

TEST_P(CraftedTrace, WhoseEndCannotBeIsAnotherRun) {
  const auto ending = [&](const std::function<void(traces::EndRecord&)>& change,
                          std::string_view guest) {
    Crafted crafted = crafted_from(GetParam(), guest);
    change(crafted.end);
    write(crafted);
    const auto replayed = replay("");
    EXPECT_TRUE(replayed.status == 1 || replayed.status == 3) << replayed.status << replayed.err;
    const int alone = replay("--exits-only").status;
    EXPECT_TRUE(alone == 0 || alone == 1 || alone == 3) << alone;
  };
  for (const std::uint64_t retired : {kMost, kMost - 1, std::uint64_t{1} << 62}) {
    ending([&](traces::EndRecord& end) { end.retired = retired; }, "hello");
    for (std::uint8_t reason = 0; reason < 9; ++reason) {
      Crafted crafted = hello();
      crafted.end.reason = reason;
      crafted.end.retired = retired;
      crafted.events.clear();
      write(crafted);
      const int status = replay("").status;
      EXPECT_TRUE(status == 1 || status == 3) << status;
    }
  }
  ending([](traces::EndRecord& end) { end.idle_ns = kMost, end.reason = 6; }, "hello");
  ending([](traces::EndRecord& end) { end.idle_ns = kMost, end.reason = 6, end.retired = 0; },
         "timer");
  ending([](traces::EndRecord& end) { end.reason = 255; }, "hello");
  ending([](traces::EndRecord& end) { end.digest ^= 1; }, "hello");
}

TEST_P(CraftedTrace, ThatNeverEndsIsRefused) {
  Crafted crafted = hello();
  const guests::Guest* const spin = guests::find(GetParam(), "spin");
  crafted.image = {spin->elf.begin(), spin->elf.end()};
  Digest digest;
  digest.add(crafted.image);
  crafted.header.images[0].size = crafted.image.size();
  crafted.header.images[0].digest = digest.value();
  crafted.header.detail = traces::Detail::Inputs;
  crafted.header.digest_interval = 0;
  crafted.events.clear();
  crafted.digests.clear();
  crafted.end.reason = static_cast<std::uint8_t>(StopReason::BudgetSpent);
  crafted.end.retired = kMost;
  expect_refused(crafted, "a budget of 2^64-1", "t.rtr");
  crafted.inputs = {input(traces::SuspendInput{}, std::uint64_t{1} << 62)};
  crafted.has_end = false;
  expect_refused(crafted, "an input at 2^62", "t.rtr");
}

TEST_P(CraftedTrace, WithADigestAtEveryInstructionEndsInTime) {
  Crafted crafted = hello();
  crafted.header.digest_interval = 1;
  expect_survived(crafted, "every instruction");
  crafted.header.digest_interval = kMost;
  expect_survived(crafted, "never");
  crafted.digests.clear();
  for (std::uint64_t i = 0; i < 1000; ++i) crafted.digests.push_back({.retired = i, .parts = {}});
  crafted.header.digest_interval = 1;
  write(crafted);
  EXPECT_EQ(replay("").status, 3);
  EXPECT_EQ(replay("--guest-only").status, 3);
}

TEST_P(CraftedTrace, WithExitsThatCannotBeIsAnotherRun) {
  const auto with = [&](const std::function<void(traces::ExitRecord&)>& change,
                        bool is_refused = true) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{10}}) {
      Crafted crafted = crafted_from(GetParam(), "timer");
      std::size_t number = 0;
      for (auto& event : crafted.events) {
        auto* const exit = std::get_if<traces::ExitRecord>(&event);
        if (exit != nullptr && number++ == at) change(*exit);
      }
      if (is_refused) {
        expect_refused(crafted, "an exit");
      } else {
        expect_survived(crafted, "an exit of another kind");
      }
    }
  };
  with([](traces::ExitRecord& exit) { exit.vcpu = VcpuId{1}; });
  with([](traces::ExitRecord& exit) { exit.vcpu = VcpuId{63}; });
  with([](traces::ExitRecord& exit) { exit.vm = VmId{9}; });
  with([](traces::ExitRecord& exit) { exit.vm = VmId{0xffff'fffe}; });
  with([](traces::ExitRecord& exit) { exit.idle_ns += std::uint64_t{1} << 50; });
  with([](traces::ExitRecord& exit) { exit.idle_ns += std::uint64_t{1} << 62; });
  with([](traces::ExitRecord& exit) { exit.reason = exits::SystemReset{}; }, false);
  with([](traces::ExitRecord& exit) { exit.reason = exits::CpuUp{}; }, false);
}

TEST_P(CraftedTrace, WhoseExitsComeAfterALongTimeIsAnotherRun) {
  for (const std::uint64_t more : {std::uint64_t{1} << 40, std::uint64_t{1} << 50,
                                   std::uint64_t{1} << 62, std::uint64_t{1} << 63}) {
    for (const bool idle : {false, true}) {
      Crafted crafted = crafted_from(GetParam(), "timer");
      std::size_t number = 0;
      for (auto& event : crafted.events) {
        if (++number < 20) continue;
        if (auto* const exit = std::get_if<traces::ExitRecord>(&event)) {
          (idle ? exit->idle_ns : exit->retired) += more;
        } else if (auto* const line = std::get_if<traces::InjectionRecord>(&event)) {
          if (!idle) line->retired += more;
        }
      }
      write(crafted);
      SCOPED_TRACE(fmt::format("{:#x} more, idle: {}", more, idle));
      EXPECT_EQ(replay("").status, 3);
      EXPECT_EQ(replay("--guest-only").status, 3);
      const int alone = replay("--exits-only").status;  // no answer depends on the time
      EXPECT_TRUE(alone == 0 || alone == 1 || alone == 3) << alone;
    }
  }
}

TEST_P(CraftedTrace, WithLinesThatAreNotThereIsAnotherRun) {
  for (const LineChange change : {LineChange::Pulse, LineChange::Rise, LineChange::Fall,
                                  LineChange::DeviceRise, LineChange::DeviceFall}) {
    for (const std::uint64_t vector : {std::uint64_t{5}, std::uint64_t{100'000}, kMost}) {
      for (const std::uint32_t vcpu : {0U, 1U, 63U}) {
        Crafted crafted = hello();
        crafted.events.insert(crafted.events.begin() + 12,
                              traces::InjectionRecord{.vm = VmId{1},
                                                      .vcpu = VcpuId{vcpu},
                                                      .retired = 0,
                                                      .vector = vector,
                                                      .change = change});
        expect_survived(crafted, fmt::format("line {} {}", vector, vcpu));
      }
    }
  }
}

/// A number that is somewhere near something.
std::uint64_t strange_number(Prng& prng, std::uint64_t ram) {
  switch (prng.below(6)) {
    case 0:  return prng.below(0x10000) * 0x1000;
    case 1:  return ram + prng.below(0x4000) * 0x1000;
    case 2:  return 0x1'0000'0000 + prng.below(0x4000) * 0x1000;
    case 3:  return std::uint64_t{1} << prng.below(64);
    case 4:  return kMost - prng.below(0x3000);
    default: return prng.below(kMost);
  }
}

traces::Input strange_input(Prng& prng, std::uint64_t ram) {
  using namespace traces;
  const auto number = [&] { return strange_number(prng, ram); };
  const auto size = [&] { return prng.chance(3, 4) ? (prng.below(64) + 1) * 0x1000 : number(); };
  const auto flags = [&] { return static_cast<std::uint32_t>(prng.below(64)); };
  switch (prng.below(kInputKinds)) {
    case 0: return ConsoleInput{std::string(prng.below(40), 'x')};
    case 1:
      return InterruptInput{VcpuId{static_cast<std::uint32_t>(prng.below(3))},
                            prng.chance(1, 2) ? prng.below(256) : number()};
    case 2:  return MapInput{.gpa = number(), .hpa = number(), .size = size(), .flags = flags()};
    case 3:  return UnmapInput{.gpa = number(), .size = size()};
    case 4:  return MemoryInput{.gpa = number(), .bytes = std::string(prng.below(9000), '\xcc')};
    case 5:  return SuspendInput{};
    case 6:  return ResumeInput{};
    case 7:  return ShutdownInput{};
    case 8:  return ResetInput{};
    case 9:  return DestroyInput{};
    default: return GrowInput{.gpa = number(), .size = size(), .flags = flags()};
  }
}

TEST_P(CraftedTrace, WithInputsByChanceEndsSomehow) {
  const Crafted base = crafted_from(GetParam(), "timer");
  const Images images = test::images_of(GetParam(), "timer").value();
  const VmConfig config = parse_config(base.header.configs[0], "config").value();
  const std::uint64_t ram = config.memory_regions[0].gpa;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    Prng prng(seed);
    Crafted crafted = base;
    std::uint64_t at = 0;
    for (std::uint64_t left = prng.between(1, 6); left > 0; --left) {
      at += prng.below(2000);
      crafted.inputs.push_back(input(strange_input(prng, ram), at,
                                     static_cast<When>(prng.chance(3, 4) ? 0 : prng.below(4))));
    }
    if (prng.chance(1, 2)) crafted.events.clear(), crafted.header.detail = traces::Detail::Inputs;
    const auto trace = traces::Reader::parse("t", bytes_of(crafted)).value();
    auto machine = test::machine_with(GetParam(), "timer").value();
    Replayer replayer(*machine, trace);
    replayer.set_images(machine->vm(0).id(), images);
    (void)replayer.run(UntilInstruction{5'000'000});
    (void)replay_exits(trace, config);
  }
}

}  // namespace
}  // namespace retrap
