// retrap config check and example, and the table of retrap run --stat.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/config_files.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/arch_id.h"

namespace retrap {
namespace {

using test::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

Finished config(const test::TemporaryFolder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "config");
  return test::run_program(test::retrap_program(), arguments, folder.path());
}

TEST(ConfigExample, PassesItsOwnCheckOnEveryArchitecture) {
  for (const ArchId arch : kAllArchs) {
    SCOPED_TRACE(to_string(arch));
    const test::TemporaryFolder folder;
    const Finished example = config(folder, {"example", "--arch", std::string(to_string(arch))});
    ASSERT_EQ(example.status, 0) << example.err;
    EXPECT_THAT(example.err, IsEmpty());
    folder.write("guest.toml", example.out);

    const std::string kernel = test::builtin_guest(arch, "hello");
    const Finished checked = config(folder, {"check", "guest.toml", "--kernel", kernel});
    EXPECT_EQ(checked.status, 0) << checked.err;
    EXPECT_EQ(checked.out, "guest.toml: a sound configuration of vm 1 for " +
                               std::string(to_string(arch)) + "\n");
  }
}

TEST(ConfigExample, HasEveryKeyOfTheSchema) {
  const test::TemporaryFolder folder;
  const Finished example = config(folder, {"example", "--arch", "aarch64"});
  for (const std::string_view key : {"id",
                                     "name",
                                     "vm_type",
                                     "arch",
                                     "cpu_num",
                                     "phys_cpu_ids",
                                     "phys_cpu_sets",
                                     "entry_point",
                                     "kernel_path",
                                     "kernel_load_addr",
                                     "bios_path",
                                     "bios_load_addr",
                                     "dtb_path",
                                     "dtb_load_addr",
                                     "ramdisk_path",
                                     "ramdisk_load_addr",
                                     "image_location",
                                     "cmdline",
                                     "memory_regions",
                                     "populate",
                                     "emu_devices",
                                     "passthrough_devices",
                                     "excluded_devices",
                                     "passthrough_addresses",
                                     "interrupt_mode"}) {
    EXPECT_THAT(example.out, HasSubstr(std::string(key) + " = "));
  }
}

TEST(ConfigCheck, SaysEverythingThatIsWrongAtOnce) {
  const test::TemporaryFolder folder;
  std::string text = test::sound_config_with("cpu_num", "cpu_num = 65");
  text.replace(text.find("0x0a00_0000, 0x1000"), 19, "0x0a00_0000, 0");
  folder.write("bad.toml", text);

  const Finished checked = config(folder, {"check", "bad.toml"});

  EXPECT_EQ(checked.status, 1);
  EXPECT_THAT(checked.out, IsEmpty());
  EXPECT_THAT(checked.err, HasSubstr("retrap: bad.toml:6:11: cpu_num is 65"));
  EXPECT_THAT(checked.err, HasSubstr("retrap: bad.toml:22:"));
}

TEST(ConfigCheck, KnowsWhatABoardCannotDo) {
  const test::TemporaryFolder folder;
  const Finished example = config(folder, {"example", "--arch", "riscv64"});
  std::string text = example.out;
  text.replace(text.find("0x1000_0000, 0x100, 10"), 22, "0x1000_0000, 0x100, 12");
  folder.write("guest.toml", text);

  const Finished checked = config(folder, {"check", "guest.toml"});

  EXPECT_EQ(checked.status, 1);
  EXPECT_THAT(checked.err, MatchesRegex("(.|\n)*guest.toml:[0-9]+:3: uart has irq 12(.|\n)*"));
}

TEST(ConfigCheck, KnowsWhichIdsCpusCanHave) {
  const auto checked_with = [](std::string_view arch, std::string_view ids) {
    const test::TemporaryFolder folder;
    std::string text = config(folder, {"example", "--arch", std::string(arch)}).out;
    const std::string_view plain = "phys_cpu_ids = [0, 1]";
    text.replace(text.find(plain), plain.size(), "phys_cpu_ids = " + std::string(ids));
    folder.write("guest.toml", text);
    return config(folder, {"check", "guest.toml"}).err;
  };
  EXPECT_THAT(checked_with("x86_64", "[254, 2]"), Not(HasSubstr(" id")));
  EXPECT_THAT(checked_with("x86_64", "[0, 255]"),
              HasSubstr("guest.toml:11:16: 0xff is not an APIC id; give 0x0 to 0xfe\n"));
  EXPECT_THAT(checked_with("riscv64", "[4095, 2]"), Not(HasSubstr(" id")));
  EXPECT_THAT(checked_with("riscv64", "[0, 4096]"),
              HasSubstr("guest.toml:11:16: 0x1000 is not a hart id; give 0x0 to 0xfff\n"));
  EXPECT_THAT(checked_with("aarch64", "[0x100, 0]"), Not(HasSubstr("affinity")));
  EXPECT_THAT(checked_with("aarch64", "[0, 0x8000_0000]"),
              HasSubstr("guest.toml:11:16: 0x80000000 is not an MPIDR affinity"));
}

// The programs give these VMs their memory and guests; retrap run cannot.
TEST(ConfigCheck, MissesOnlyTheKernelInFilesOfThePrograms) {
  const test::TemporaryFolder folder;
  for (const char* name : {"ivc", "passthrough", "multi_vcpu", "memory_resize"}) {
    const auto path = test::source_dir() / "examples" / (std::string(name) + ".toml");
    for (const std::string_view arch : kArchNames) {
      const Finished checked =
          config(folder, {"check", path.string(), "--arch", std::string(arch)});
      EXPECT_EQ(checked.status, 1);
      EXPECT_THAT(checked.err, MatchesRegex("retrap: [^\n]*:[0-9]+:1: .kernel. names no "
                                            "kernel_path; add it, or --kernel\n"));
    }
  }
}

TEST(ConfigCommand, SaysWhatIsMissing) {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::vector<std::string>& arguments) {
    const Finished finished = config(folder, arguments);
    EXPECT_EQ(finished.status, 2);
    EXPECT_THAT(finished.out, IsEmpty());
    return finished.err;
  };
  EXPECT_THAT(refused({}), HasSubstr("check or example?"));
  EXPECT_THAT(refused({"check"}), HasSubstr("no file"));
  EXPECT_THAT(refused({"example"}), HasSubstr("give --arch"));
  EXPECT_THAT(refused({"example", "--arch", "mips"}), HasSubstr("--arch mips"));
  EXPECT_THAT(refused({"chekc", "x"}), HasSubstr("chekc: no such subcommand; did you mean check?"));
  EXPECT_THAT(refused({"check", "a", "b"}), HasSubstr("retrap config check --help"));

  const Finished missing = config(folder, {"check", "no.toml"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("no.toml"));
}

TEST(Stat, IsATableOfExitsOnStandardError) {
  for (const ArchId arch : kAllArchs) {
    const test::TemporaryFolder folder;
    const std::string kernel = test::builtin_guest(arch, "timer");
    const Finished plain =
        test::run_program(test::retrap_program(), {"run", "--kernel", kernel}, folder.path());
    const Finished finished = test::run_program(
        test::retrap_program(), {"run", "--kernel", kernel, "--stat"}, folder.path());

    EXPECT_EQ(finished.status, 0);
    EXPECT_EQ(finished.out, plain.out) << "looking changes nothing";
    EXPECT_THAT(finished.err, HasSubstr("exit                       count    share"));
    EXPECT_THAT(finished.err, HasSubstr("\nhalt "));
    EXPECT_THAT(finished.err, HasSubstr("\nall "));
    EXPECT_THAT(finished.err, HasSubstr("100.00%"));
    EXPECT_THAT(plain.err, Not(HasSubstr("share")));
  }
}

}  // namespace
}  // namespace retrap
