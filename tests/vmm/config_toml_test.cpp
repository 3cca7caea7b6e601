// Configuration files: both notations are read, and everything wrong is said with its place.
#include "vmm/config_toml.h"
#include "vmm/config_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/config_files.h"
#include "tests/support/matchers.h"
#include "tests/support/paths.h"
#include "vmm/base/prng.h"

namespace retrap {
namespace {

using test::FailsSaying;
using test::FailsWith;
using test::kSoundConfig;
using test::sound_config_with;
using test::Succeeds;
using ::testing::ElementsAre;

constexpr std::string_view kInlineTables = R"([base]
id = 1
name = "demo"
vm_type = 1
arch = "aarch64"
cpu_num = 2
phys_cpu_ids = [0, 1]
phys_cpu_sets = [1, 2]
[kernel]
entry_point = 0x4020_0000
kernel_path = "demo.bin"
kernel_load_addr = 0x4020_0000
dtb_load_addr = 0x4000_0000
image_location = "fs"
cmdline = "console=ttyAMA0"
[[kernel.memory_regions]]
gpa = 0x4000_0000
size = 0x0200_0000
flags = 0x7
map_type = 0
[devices]
interrupt_mode = "emulated"
emu_devices = [{name="gicd", base_gpa=0x0800_0000, length=0x1_0000, irq_id=0, emu_type=0x21}]
excluded_devices = ["/soc/gpu"]
passthrough_addresses = [{ base_gpa = 0x0a00_0000, length = 0x1000 }]
[[devices.passthrough_devices]]
name = "uart"
base_gpa = 0x0900_0000
base_hpa = 0x0900_0000
length = 0x1000
irq_id = 33
)";

void expect_the_sound_configuration(const VmConfig& config) {
  EXPECT_EQ(config.id, 1u);
  EXPECT_EQ(config.name, "demo");
  EXPECT_EQ(config.arch, ArchId::Aarch64);
  EXPECT_EQ(config.vm_type, VmType::Rtos);
  EXPECT_EQ(config.cpu_num, 2u);
  EXPECT_THAT(config.phys_cpu_ids, ElementsAre(0, 1));
  EXPECT_THAT(config.phys_cpu_sets, ElementsAre(1, 2));
  EXPECT_EQ(config.entry_point, 0x4020'0000u);
  EXPECT_EQ(config.kernel_path, "vms/demo.bin");
  EXPECT_EQ(config.dtb_load_addr, 0x4000'0000u);
  EXPECT_EQ(config.cmdline, "console=ttyAMA0");
  ASSERT_EQ(config.memory_regions.size(), 1u);
  EXPECT_EQ(config.memory_regions[0].gpa, 0x4000'0000u);
  EXPECT_EQ(config.memory_regions[0].size, 0x0200'0000u);
  EXPECT_EQ(config.memory_regions[0].flags, 7u);
  EXPECT_EQ(config.memory_regions[0].map_type, MapType::Alloc);
  ASSERT_EQ(config.emu_devices.size(), 1u);
  EXPECT_EQ(config.emu_devices[0].emu_type, EmuDeviceType::GpptDistributor);
  EXPECT_EQ(config.emu_devices[0].base_gpa, 0x0800'0000u);
  ASSERT_EQ(config.passthrough_devices.size(), 1u);
  EXPECT_EQ(config.passthrough_devices[0].irq_id, 33u);
  EXPECT_THAT(config.excluded_devices, ElementsAre("/soc/gpu"));
  ASSERT_EQ(config.passthrough_addresses.size(), 1u);
  EXPECT_EQ(config.passthrough_addresses[0].length, 0x1000u);
  EXPECT_EQ(config.interrupt_mode, InterruptMode::Emulated);
}

TEST(ConfigFile, IsReadInPositionalNotation) {
  const auto config = parse_config(kSoundConfig, "vms/demo.toml");

  ASSERT_THAT(config, Succeeds());
  expect_the_sound_configuration(*config);
}

TEST(ConfigFile, IsReadInTableNotation) {
  const auto config = parse_config(kInlineTables, "vms/demo.toml");

  ASSERT_THAT(config, Succeeds());
  expect_the_sound_configuration(*config);
}

TEST(ConfigFile, TakesItsPathsFromItsOwnFolder) {
  EXPECT_EQ(parse_config(kSoundConfig, "a/b/demo.toml")->kernel_path, "a/b/demo.bin");
  EXPECT_EQ(parse_config(kSoundConfig, "demo.toml")->kernel_path, "demo.bin");
  const std::string absolute = sound_config_with("kernel_path", "kernel_path = \"/k/demo.bin\"");
  EXPECT_EQ(parse_config(absolute, "a/demo.toml")->kernel_path, "/k/demo.bin");
}

TEST(ConfigFile, NeedsAnArchitectureFromSomewhere) {
  const std::string text = sound_config_with("arch", "");

  EXPECT_THAT(parse_config(text, "d.toml"),
              FailsSaying(ErrorCode::InvalidInput, "d.toml:1:1: [base] does not say which"));
  const auto config = parse_config(text, "d.toml", ArchId::Aarch64);
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->arch, ArchId::Aarch64);
}

TEST(ConfigFile, RefusesToBeRunOnAnotherArchitecture) {
  EXPECT_THAT(parse_config(kSoundConfig, "d.toml", ArchId::Riscv64),
              FailsSaying(ErrorCode::InvalidInput, "d.toml:5:8: arch is aarch64 here and riscv64"));
}

TEST(ConfigFile, AcceptsTheAliasesOfInterruptMode) {
  for (const std::string_view word :
       {"no_irq", "no", "none", "emu", "emulated", "pt", "passthrough"}) {
    const std::string line = "interrupt_mode = \"" + std::string(word) + "\"";
    EXPECT_THAT(parse_config(sound_config_with("interrupt_mode", line), "d.toml"), Succeeds())
        << word;
  }
}

TEST(ConfigFile, TakesTheWholeTreeOfAxvisorAndWritesItAgain) {
  std::string text(test::kSoundConfig);
  const std::string row = R"(["uart", 0x0900_0000, 0x0900_0000, 0x1000, 33])";
  text.replace(text.find(row), row.size(), R"(["/"])");
  const auto config = parse_config(text, "t.toml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  ASSERT_EQ(config->passthrough_devices.size(), 1u);
  EXPECT_TRUE(is_whole_tree(config->passthrough_devices[0]));

  const auto again = parse_config(to_toml(*config), "again.toml");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(to_toml(*again), to_toml(*config));
}

TEST(ConfigFile, AcceptsKeysOfAxvmThatAskForNothing) {
  const std::string text = sound_config_with(
      "entry_point", "boot_protocol = \"direct\"\nenable_bios = false\ndisk_path = \"\"");

  EXPECT_THAT(parse_config(text, "d.toml"), Succeeds());
}

TEST(ConfigFile, SaysEverythingThatIsWrongAtOnce) {
  std::string text = sound_config_with("cpu_num", "cpu_nun = 2");
  text.replace(text.find("\"fs\""), 4, "\"tape\"");
  text.replace(text.find("33]"), 3, "\"33\"]");
  const auto config = parse_config(text, "d.toml");

  ASSERT_THAT(config, FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(config.error().message,
            "d.toml:1:1: [base] lacks the key 'cpu_num'; add it\n"
            "d.toml:6:1: [base] has no key 'cpu_nun'; did you mean 'cpu_num'?\n"
            "d.toml:14:18: image_location is \"tape\"; use one of fs, memory\n"
            "d.toml:20:67: passthrough_devices[0].irq_id must be a number; write it as 42 or 0x2a, "
            "without quotes");
}

TEST(ConfigFile, SaysWhatIsWrongWithTheKeysItCouldRead) {
  std::string text = sound_config_with("memory_regions", "memory_regions = [[0x4000_0000, 1]]");
  text.replace(text.find("\"fs\""), 4, "\"tape\"");
  text.replace(text.find("\"emu\""), 5, "3");
  const auto config = parse_config(text, "d.toml");

  ASSERT_THAT(config, FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(config.error().message,
            "d.toml:10:15: entry_point 0x40200000 is in none of the memory_regions; move it into "
            "RAM\n"
            "d.toml:12:20: kernel_load_addr 0x40200000 is in none of the memory_regions; move it "
            "into RAM\n"
            "d.toml:14:18: image_location is \"tape\"; use one of fs, memory\n"
            "d.toml:16:19: memory_regions[0]: gpa 0x40000000 and size 0x1 must be multiples of "
            "0x1000\n"
            "d.toml:18:18: interrupt_mode must be a string; write it in quotes");
}

TEST(ConfigFile, SaysNothingAboutWhatFollowsFromAKeyItCouldNotRead) {
  const auto config = parse_config(sound_config_with("cpu_num", "cpu_num = -1"), "d.toml");

  ASSERT_THAT(config, FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(config.error().message,
            "d.toml:6:11: cpu_num is -1; give a number from 0 to 0xffffffff");
}

TEST(ConfigFile, IsNeverMoreThanALinePerProblem) {
  const auto config =
      parse_config(sound_config_with("excluded_devices", "\"bad\\nkey\" = 1"), "d.toml");

  EXPECT_THAT(config, FailsSaying(ErrorCode::InvalidInput, "[devices] has no key 'bad\\x0akey'"));
}

TEST(ConfigFile, SurvivesEveryPrefix) {
  for (const std::string_view whole : {kSoundConfig, kInlineTables}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto config = parse_config(whole.substr(0, size), "d.toml");
      EXPECT_TRUE(config || config.error().message.starts_with("d.toml:")) << size;
    }
  }
}

TEST(ConfigFile, SurvivesRandomDamage) {
  Prng random(1);
  for (int run = 0; run < 3'000; ++run) {
    std::string text(run % 2 == 0 ? kSoundConfig : kInlineTables);
    for (int i = 0; i < 3; ++i) {
      const auto at = static_cast<std::size_t>(random.below(text.size()));
      text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
    }
    (void)parse_config(text, "d.toml");
  }
}

TEST(ConfigFile, SurvivesDeepNesting) {
  const std::string text = "a = " + std::string(100'000, '[');

  EXPECT_THAT(parse_config(text, "d.toml"), FailsWith(ErrorCode::InvalidInput));
}

TEST(ConfigFile, IsReadFromAFile) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "config_toml_test";
  std::filesystem::create_directories(folder);
  const auto path = folder / "demo.toml";
  std::ofstream(path) << kSoundConfig;
  const auto config = load_config(path.string());

  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->kernel_path, (folder / "demo.bin").string());
  std::filesystem::remove_all(folder);
}

TEST(ConfigFile, IsSoundInEveryExample) {
  std::size_t examples = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::source_dir() / "examples" / "configs")) {
    EXPECT_THAT(load_config(entry.path().string()), Succeeds()) << entry.path();
    ++examples;
  }
  EXPECT_GE(examples, 6u);
}

TEST(ConfigFile, ThatIsNotThereIsNamed) {
  EXPECT_THAT(load_config("no/such/file.toml"),
              FailsSaying(ErrorCode::NotFound, "no/such/file.toml: cannot read"));
}

}  // namespace
}  // namespace retrap
