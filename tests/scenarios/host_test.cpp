// What the host does to a guest that runs: memory, code and mappings change under it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "sim/testing.h"
#include "tests/guests/embedded.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;

constexpr GuestPhys kWatchedWord{0xc010'0800};
constexpr GuestPhys kWatchedFunction{0xc000'0100};

/// A function that returns 77.
std::string other_function(ArchId arch) {
  const auto code = [](std::initializer_list<int> bytes) {
    std::string text;
    for (const int byte : bytes) text.push_back(static_cast<char>(byte));
    return text;
  };
  switch (arch) {
    case ArchId::X86_64: return code({0xb8, 77, 0, 0, 0, 0xc3});  // mov; ret
    case ArchId::Aarch64:
      return code({0xa0, 0x09, 0x80, 0xd2, 0xc0, 0x03, 0x5f, 0xd6});  // mov; ret
    case ArchId::Riscv64: return code({0x13, 0x05, 0xd0, 0x04, 0x67, 0x80, 0x00, 0x00});  // li; ret
  }
  return {};
}

class TheHost : public ::testing::TestWithParam<ArchId> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(run_);
    run();
    ASSERT_EQ(console(), "watching\n");
  }

  void run() { report_ = run_.run(100'000); }
  void show_a_word() {
    ASSERT_TRUE(machine().write_memory(vm(), kWatchedWord, std::string("\x55\0\0\0\0\0\0\0", 8)));
    run();
  }
  void change_the_function() {
    const auto code = other_function(GetParam());
    ASSERT_TRUE(machine().write_memory(vm(), kWatchedFunction, code));
    run();
  }
  [[nodiscard]] std::string console() { return machine().console_of(vm()); }
  [[nodiscard]] Machine& machine() { return run_.machine(); }
  [[nodiscard]] Vm& vm() { return run_->vm(); }
  [[nodiscard]] const RunReport& report() const { return report_; }

 private:
  Scenario scenario_{.arch = GetParam(), .guest = "watch"};
  retrap::testing::RecordedRun<Bench> run_{[this] { return Bench::make(scenario_, {"plain"}); }};
  RunReport report_;
};

TEST_P(TheHost, WritesWhatTheGuestReads) {
  show_a_word();

  EXPECT_THAT(console(), HasSubstr("the word is now 0x55\n"));
}

TEST_P(TheHost, ReplacesCodeThatTheGuestHasRun) {
  show_a_word();

  change_the_function();

  EXPECT_THAT(console(), HasSubstr("the function now gives 0x4d\n"));
}

TEST_P(TheHost, TakesMemoryAwayThatTheGuestHasUsed) {
  show_a_word();
  change_the_function();

  ASSERT_TRUE(machine().unmap(vm(), {.gpa = kNoExecuteBase.raw(), .size = kRegionSize}));
  run();

  EXPECT_EQ(console(),
            "watching\nthe word is now 0x55\nthe function now gives 0x4d\nok the memory is gone\n");
  EXPECT_EQ(to_string(report().reason), to_string(StopReason::PoweredOff));
}

INSTANTIATE_TEST_SUITE_P(All, TheHost, ::testing::ValuesIn(available_archs()), arch_name);

/// One machine with a VM of every architecture, and then one more of each.
Result<std::unique_ptr<Machine>> machine_of_all(const std::string& guest) {
  RETRAP_TRY(auto machine, Machine::create({.memory_bytes = std::uint64_t{1} << 30}));
  std::uint32_t id = 1;
  for (int round = 0; round < 2; ++round) {
    for (const ArchId arch : available_archs()) {
      VmConfig config = machine->architecture(arch)->default_config(std::uint64_t{16} << 20);
      config.id = id++;
      const auto elf = guests::find(arch, guest)->elf;
      Images images;
      RETRAP_TRY(images.kernel, Image::parse(guest, {elf.begin(), elf.end()}, arch));
      RETRAP_TRY([[maybe_unused]] Vm * vm, machine->add_vm(std::move(config), images));
    }
  }
  return machine;
}

std::array<std::uint64_t, 2> run_together(const std::string& guest, std::string& consoles) {
  retrap::testing::RecordedRun run([&] { return machine_of_all(guest); });
  if (!run) return {};
  const RunReport report = run.run(50'000'000);
  EXPECT_EQ(to_string(report.reason), to_string(StopReason::PoweredOff)) << report.detail;
  for (std::size_t i = 0; i < run.machine().vm_num(); ++i) {
    consoles += run.machine().console_of(run.machine().vm(i));
  }
  return {run.machine().digest(), report.instructions};
}

TEST(OneMachine, RunsVmsOfEveryArchitectureTogether) {
  std::string first_consoles;
  std::string second_consoles;

  const auto first = run_together("timer", first_consoles);
  const auto second = run_together("timer", second_consoles);

  EXPECT_EQ(first, second);
  EXPECT_EQ(first_consoles, second_consoles);
  std::string want;
  for (std::size_t i = 0; i < 2 * available_archs().size(); ++i) {
    want += transcript_of({.guest = "timer"});
  }
  EXPECT_EQ(first_consoles, want);
}

}  // namespace
}  // namespace retrap::test
