// What the host does to a guest that runs: memory, code and mappings change under it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/guests/embedded.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;

constexpr GuestPhys kWatchedWord{0xc010'0800};
constexpr GuestPhys kWatchedFunction{0xc000'0100};

/// A function that returns 77.
std::vector<std::uint8_t> other_function(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return {0xb8, 77, 0, 0, 0, 0xc3};                         // mov; ret
    case ArchId::Aarch64: return {0xa0, 0x09, 0x80, 0xd2, 0xc0, 0x03, 0x5f, 0xd6};  // mov; ret
    case ArchId::Riscv64: return {0x13, 0x05, 0xd0, 0x04, 0x67, 0x80, 0x00, 0x00};  // li; ret
  }
  return {};
}

class TheHost : public ::testing::TestWithParam<ArchId> {
 protected:
  void SetUp() override {
    auto bench = Bench::make(scenario_, {"plain"});
    ASSERT_TRUE(bench) << bench.error().message;
    bench_ = std::move(*bench);
    run();
    ASSERT_EQ(console(), "watching\n");
  }

  void run() { report_ = bench_->machine().run(100'000); }
  void show_a_word() {
    ASSERT_TRUE(bench_->vm().write_to_guest_of(kWatchedWord, std::uint64_t{0x55}));
    run();
  }
  void change_the_function() {
    const auto code = other_function(GetParam());
    ASSERT_TRUE(bench_->vm().memory().write(kWatchedFunction, std::as_bytes(std::span(code))));
    run();
  }
  [[nodiscard]] std::string console() { return bench_->machine().console_of(bench_->vm()); }
  [[nodiscard]] Vm& vm() { return bench_->vm(); }
  [[nodiscard]] const RunReport& report() const { return report_; }

 private:
  Scenario scenario_{.arch = GetParam(), .guest = "watch"};
  std::unique_ptr<Bench> bench_;
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

  ASSERT_TRUE(vm().unmap_region(kNoExecuteBase, kRegionSize));
  run();

  EXPECT_EQ(console(),
            "watching\nthe word is now 0x55\nthe function now gives 0x4d\nok the memory is gone\n");
  EXPECT_EQ(to_string(report().reason), to_string(StopReason::PoweredOff));
}

INSTANTIATE_TEST_SUITE_P(All, TheHost, ::testing::ValuesIn(available_archs()), arch_name);

/// One machine with a VM of every architecture, and then one more of each.
std::array<std::uint64_t, 2> run_together(const std::string& guest, std::string& consoles) {
  auto machine = Machine::create({.memory_bytes = std::uint64_t{1} << 30}).value();
  std::uint32_t id = 1;
  for (int round = 0; round < 2; ++round) {
    for (const ArchId arch : available_archs()) {
      VmConfig config = machine->architecture(arch)->default_config(std::uint64_t{16} << 20);
      config.id = id++;
      const auto elf = guests::find(arch, guest)->elf;
      Images images;
      images.kernel = Image::parse(guest, {elf.begin(), elf.end()}, arch).value();
      const auto vm = machine->add_vm(std::move(config), images);
      EXPECT_TRUE(vm) << vm.error().message;
    }
  }
  const RunReport report = machine->run(50'000'000);
  EXPECT_EQ(to_string(report.reason), to_string(StopReason::PoweredOff)) << report.detail;
  for (std::size_t i = 0; i < machine->vm_num(); ++i) {
    consoles += machine->console_of(machine->vm(i));
  }
  return {machine->digest(), report.instructions};
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
