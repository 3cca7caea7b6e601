// What a host says of a configuration before there is a VM.
#include "vmm/examine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scripted_host.h"

namespace retrap {
namespace {

using test::ScriptedHost;
using ::testing::IsEmpty;

EmuDeviceConfig ivc_with_line(std::uint32_t line) {
  return {.name = "ivc",
          .base_gpa = 0xb000'0000,
          .length = 0x1000,
          .irq_id = line,
          .emu_type = EmuDeviceType::IvcChannel,
          .cfg_list = {}};
}

TEST(AnExamination, FindsNothingInASoundConfigurationAndLeavesNothingBehind) {
  ScriptedHost host;
  const std::uint64_t free = host.frames().bytes_free();
  const ConfigFindings findings = examine(host.config(), host);
  EXPECT_THAT(findings.problems, IsEmpty());
  EXPECT_THAT(findings.notes, IsEmpty());
  EXPECT_EQ(host.frames().bytes_free(), free);
}

TEST(AnExamination, FindsWhatTheSchemaAndTheBoardForbidAtOnce) {
  ScriptedHost host;
  VmConfig config = host.config();
  config.cpu_num = 0;
  config.emu_devices.push_back(ivc_with_line(64));
  const ConfigFindings findings = examine(config, host);
  ASSERT_EQ(findings.problems.size(), 2u);
  EXPECT_EQ(findings.problems[0].key, "base.cpu_num");
  EXPECT_EQ(findings.problems[1].key, "devices.emu_devices[0]");
  EXPECT_EQ(findings.problems[1].text,
            "emulated device 'ivc' wants interrupt line 64, which is not there; the board has "
            "0-63");
}

TEST(AnExamination, FindsThatThereIsNoHardware) {
  ScriptedHost host;
  VmConfig config = host.config();
  for (const ArchId arch : kAllArchs) {
    if (host.architecture(arch) == nullptr) config.arch = arch;
  }
  const ConfigFindings findings = examine(config, host);
  ASSERT_EQ(findings.problems.size(), 1u);
  EXPECT_EQ(findings.problems[0].key, "base.arch");
}

TEST(AProblem, HasTheKeyThatLeadsItsClause) {
  const ConfigProblem keyed = problem_of("kernel.memory_regions[1]: is too big");
  EXPECT_EQ(keyed.key, "kernel.memory_regions[1]");
  EXPECT_EQ(keyed.text, "is too big");
  for (const char* clause : {"the host: is full", "kernel.bin", "base.name is long", ""}) {
    EXPECT_THAT(problem_of(clause).key, IsEmpty());
    EXPECT_EQ(problem_of(clause).text, clause);
  }
}

}  // namespace
}  // namespace retrap
