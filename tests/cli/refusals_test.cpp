// Whatever is wrong with a command line, a configuration or an image: the program says so in one
// line a problem, naming file, place and remedy, and leaves nothing behind.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/config_files.h"
#include "tests/support/image_files.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace retrap {
namespace {

using test::ImageBytes;
using test::put;
using test::sound_config_with;
using ::testing::ElementsAreArray;

struct Case {
  std::string name;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> files;
  int status;
  std::vector<std::string> lines;  ///< all of standard error, without "retrap: "
};
void PrintTo(const Case& row, std::ostream* out) {
  *out << row.name;
}

constexpr int kFailure = 1;
constexpr int kUsage = 2;

Case command(std::string name, std::vector<std::string> arguments, std::vector<std::string> lines) {
  return {std::move(name), std::move(arguments), {}, kUsage, std::move(lines)};
}

std::vector<Case> command_lines() {
  const std::string any =
      "is not a number from 0 to 18446744073709551615; write it like 42 or 0x2a";
  const std::string some =
      "is not a number from 1 to 18446744073709551615; write it like 42 or 0x2a";
  const std::string size = "write a number with K, M or G, such as 512M";
  return {
      command("NoSubcommand", {}, {"no subcommand; try retrap demo or retrap --help"}),
      command("MisspeltSubcommand", {"rnu"}, {"rnu: no such subcommand; did you mean run?"}),
      command("UnknownSubcommand", {"replicate", "--arch", "x86_64"},
              {"--arch: no such option; see retrap --help"}),
      command("LaterSubcommand", {"explore"},
              {"explore: no such subcommand; did you mean export?"}),
      command("JsonWithoutVersion", {"--json"},
              {"--json: goes with --version or after a subcommand; see retrap --help"}),
      command("NoGuest", {"run"}, {"run: no guest; give CONFIG.toml or --kernel FILE"}),
      command("UnknownOption", {"run", "--kernel", "k", "--frobnicate"},
              {"--frobnicate: no such option; see retrap run --help"}),
      command("MisspeltOption", {"run", "--kernal=k"},
              {"--kernal: no such option; did you mean --kernel?"}),
      command("ValueMissing", {"run", "--kernel"}, {"--kernel: needs a value after it"}),
      command("OptionTwice", {"run", "--seed", "1", "--seed", "2"},
              {"--seed: given twice; give it once"}),
      command("TwoConfigurations", {"run", "a.toml", "b.toml"},
              {"b.toml: one argument too many; see retrap run --help"}),
      command("ArgumentOfDemo", {"demo", "hello"},
              {"hello: one argument too many; see retrap demo --help"}),
      command("NoSuchArch", {"run", "--kernel", "k", "--arch", "mips"},
              {"--arch mips: is no architecture; use x86_64, aarch64 or riscv64"}),
      command("ArchOfOthers", {"run", "--kernel", "k", "--arch", "arm64"},
              {"--arch arm64: is no architecture; did you mean aarch64?"}),
      command("MemoryIsNoNumber", {"run", "--kernel", "k", "--memory", "lots"},
              {"--memory lots: is not a size; " + size}),
      command("MemoryHasNoUnit", {"run", "--kernel", "k", "--memory", "512X"},
              {"--memory 512X: is not a size; " + size}),
      command("MemoryIsNothing", {"run", "--kernel", "k", "--memory", "0"},
              {"--memory 0: is not a multiple of 4K, one at least; " + size}),
      command("MemoryIsNoPage", {"run", "--kernel", "k", "--memory", "1K"},
              {"--memory 1K: is not a multiple of 4K, one at least; " + size}),
      command("MemoryIsTooBig", {"run", "--kernel", "k", "--memory", "99999999999G"},
              {"--memory 99999999999G: does not fit 64 bits; " + size}),
      command("NoVcpus", {"run", "--kernel", "k", "--vcpus", "0"},
              {"--vcpus 0: is not a number from 1 to 64; write it like 42 or 0x2a"}),
      command("TooManyVcpus", {"run", "--kernel", "k", "--vcpus", "65"},
              {"--vcpus 65: is not a number from 1 to 64; write it like 42 or 0x2a"}),
      command("NegativeSeed", {"run", "--kernel", "k", "--seed=-1"}, {"--seed -1: " + any}),
      command("SeedTooBig", {"run", "--kernel", "k", "--seed", "18446744073709551616"},
              {"--seed 18446744073709551616: " + any}),
      command("SeedOfDemo", {"demo", "--seed", "x"}, {"--seed x: " + any}),
      command("NoInstructions", {"run", "--kernel", "k", "--max-instructions", "0"},
              {"--max-instructions 0: " + some}),
      command("NoSlice", {"run", "--kernel", "k", "--slice", "0"}, {"--slice 0: " + some}),
      command("PopulateSomehow", {"run", "--kernel", "k", "--populate", "later"},
              {"--populate later: is neither; use eager or lazy"}),
      command("EmptyKernel", {"run", "--kernel", ""}, {"--kernel '': is no file; name one"}),
      command("MemoryWithAConfiguration", {"run", "c.toml", "--memory", "1G"},
              {"--memory does not go with CONFIG.toml; change kernel.memory_regions in that file"}),
      command("VcpusWithAConfiguration", {"run", "c.toml", "--vcpus", "2"},
              {"--vcpus does not go with CONFIG.toml; change base.cpu_num in that file"}),
      command("EverythingAtOnce",
              {"run", "--arch", "x", "--memory", "1", "--vcpus", "0", "--populate", "x"},
              {"--arch x: is no architecture; use x86_64, aarch64 or riscv64",
               "--memory 1: is not a multiple of 4K, one at least; " + size,
               "--populate x: is neither; use eager or lazy",
               "--vcpus 0: is not a number from 1 to 64; write it like 42 or 0x2a",
               "run: no guest; give CONFIG.toml or --kernel FILE"}),
      command("LineBreakInAnOption", {"run", "--kernel", "k", "--arch", "a\nb"},
              {"--arch a\\x0ab: is no architecture; use x86_64, aarch64 or riscv64"}),
  };
}

/// `retrap run c.toml`, with the sound configuration but for one line.
Case config(std::string name, std::string_view key, std::string_view line,
            std::vector<std::string> lines) {
  return {std::move(name),
          {"run", "c.toml"},
          {{"c.toml", sound_config_with(key, line)}, {"demo.bin", "raw"}},
          kFailure,
          std::move(lines)};
}

Case config_text(std::string name, std::string text, std::vector<std::string> lines) {
  return {std::move(name),
          {"run", "c.toml"},
          {{"c.toml", std::move(text)}},
          kFailure,
          std::move(lines)};
}

std::vector<Case> configurations() {
  return {
      {"ConfigurationNotThere",
       {"run", "c.toml"},
       {},
       kFailure,
       {"c.toml: cannot read: No such file or directory; check the path"}},
      {"ConfigurationIsAFolder", {"run", "."}, {}, kFailure, {".: is a directory; name a file"}},
      config_text("EmptyConfiguration", "",
                  {"c.toml:1:1: the section [base] is missing; add it",
                   "c.toml:1:1: the section [devices] is missing; add it",
                   "c.toml:1:1: the section [kernel] is missing; add it"}),
      {"ConfigurationForAnother",
       {"run", "c.toml", "--arch", "riscv64"},
       {{"c.toml", sound_config_with("none", "")}, {"demo.bin", "raw"}},
       kFailure,
       {"c.toml:5:8: arch is aarch64 here and riscv64 on the command line; drop one of them"}},
      config("NoArch", "arch", "",
             {"c.toml:1:1: [base] does not say which architecture; add arch = \"x86_64\", "
              "\"aarch64\" or \"riscv64\", or say it on the command line"}),
      config("UnknownKey", "cmdline", "cmd_line = \"x\"",
             {"c.toml:15:1: [kernel] has no key 'cmd_line'; did you mean 'cmdline'?"}),
      config("UnknownSection", "[devices]", "[device]",
             {"c.toml:1:1: the section [devices] is missing; add it",
              "c.toml:17:2: the file has no key 'device'; did you mean 'devices'?"}),
      config("NumberAsText", "id", "id = \"1\"",
             {"c.toml:2:6: id must be a number; write it as 42 or 0x2a, without quotes"}),
      config("NegativeNumber", "kernel_load_addr", "kernel_load_addr = -1",
             {"c.toml:12:20: kernel_load_addr is -1; give a number from 0 to "
              "0x7fffffffffffffff"}),
      config("TextAsNumber", "name", "name = 1",
             {"c.toml:3:8: name must be a string; write it in quotes"}),
      config("NoCpus", "cpu_num", "cpu_num = 0",
             {"c.toml:6:11: cpu_num is 0; give 1 to 64",
              "c.toml:7:16: phys_cpu_ids has 2 entries and cpu_num is 0; give one entry a vCPU, "
              "or leave the key out",
              "c.toml:8:17: phys_cpu_sets has 2 entries and cpu_num is 0; give one entry a vCPU, "
              "or leave the key out"}),
      config("SameIdTwice", "phys_cpu_ids", "phys_cpu_ids = [1, 1]",
             {"c.toml:7:16: phys_cpu_ids has 0x1 twice; give each vCPU an id of its own"}),
      config("VmTypeTooBig", "vm_type", "vm_type = 3",
             {"c.toml:4:11: vm_type is 3; give a number from 0 to 0x2"}),
      config("MapTypeTooBig", "memory_regions", "memory_regions = [[0, 0x1000, 7, 3]]",
             {"c.toml:16:34: memory_regions[0].map_type is 3; give a number from 0 to 0x2"}),
      config("RegionTooLong", "memory_regions", "memory_regions = [[0, 0x1000, 7, 0, 1]]",
             {"c.toml:16:19: memory_regions[0] has 5 values; the fields are [gpa, size, flags, "
              "map_type]"}),
      config("RegionTooShort", "memory_regions", "memory_regions = [[0]]",
             {"c.toml:16:19: memory_regions[0] lacks its size; the fields are [gpa, size, flags, "
              "map_type]"}),
      config("RegionWithAMisspeltField", "memory_regions",
             "memory_regions = [{gpa = 0, size = 0x1000, flag = 7}]",
             {"c.toml:16:44: memory_regions[0] has no key 'flag'; did you mean 'flags'?"}),
      config("RegionsOverlap", "memory_regions",
             "memory_regions = [[0x4000_0000, 0x200_0000], [0x41ff_f000, 0x1000]]",
             {"c.toml:16:46: memory_regions[1] (gpa:0x000041fff000+0x1000) overlaps "
              "memory_regions[0] (gpa:0x000040000000+0x2000000); move one of them"}),
      config(
          "RegionUnaligned", "memory_regions", "memory_regions = [[0x4000_0000, 0x200_0800]]",
          {"c.toml:16:19: memory_regions[0]: gpa 0x40000000 and size 0x2000800 must be multiples "
           "of 0x1000; correct it there"}),
      config("RegionIsADevice", "memory_regions",
             "memory_regions = [[0x4000_0000, 0x200_0000, 0x17]]",
             {"c.toml:16:19: memory_regions[0]: flags 0x17 makes RAM a device (0x10) or uncached "
              "(0x20); clear these bits or use passthrough_devices"}),
      config("EntryOutsideRam", "entry_point", "entry_point = 0x1000",
             {"c.toml:10:15: entry_point 0x1000 is in none of the memory_regions; move it into "
              "RAM"}),
      config("BiosWithoutAddress", "cmdline", "bios_path = \"demo.bin\"",
             {"c.toml:15:13: bios_path has no bios_load_addr; add bios_load_addr = 0x..."}),
      config("ImagesOnTape", "image_location", "image_location = \"tape\"",
             {"c.toml:14:18: image_location is \"tape\"; use one of fs, memory"}),
      config("UnknownDevice", "emu_devices", "emu_devices = [[\"x\", 0, 4096, 0, 0x99]]",
             {"c.toml:19:16: emulated device 'x' has the unknown emu_type 0x99; see the table in "
              "docs/configuration.md"}),
      config("RedistributorWithoutStride", "emu_devices",
             "emu_devices = [[\"r\", 0, 4096, 0, 0x20, [1]]]",
             {"c.toml:19:16: emulated device 'r' (gppt redistributor) has 1 cfg_list entries; give "
              "3: [cpu_num, stride, first_pcpu]"}),
      config(
          "DeviceOfAnotherArch", "emu_devices", "emu_devices = [[\"p\", 0, 4096, 0, 0x30, [2]]]",
          {"c.toml:19:16: emulated device 'p' has emu_type 0x30 (pppt global), which aarch64 does "
           "not have; remove it"}),
      config("WindowOverRam", "passthrough_devices",
             "passthrough_devices = [[\"u\", 0x4000_0000, 0x4000_0000, 0x1000, 1]]",
             {"c.toml:20:24: passthrough device 'u' (gpa:0x000040000000+0x1000) overlaps "
              "memory_regions[0] (gpa:0x000040000000+0x2000000); move one of them"}),
      config("WindowOfNothing", "passthrough_devices", "passthrough_devices = [[\"u\"]]",
             {"c.toml:20:24: passthrough device 'u' has length 0; give its size in bytes"}),
      config("WindowByPath", "passthrough_devices", "passthrough_devices = [[\"/soc/uart\"]]",
             {"c.toml:20:24: passthrough_devices[0] '/soc/uart' is a path in the host's device "
              "tree, which a simulated host has not; give [name, base_gpa, base_hpa, length, "
              "irq_id]"}),
      config("ModeUnknown", "interrupt_mode", "interrupt_mode = \"polled\"",
             {"c.toml:18:18: interrupt_mode is \"polled\"; use one of no_irq, no, none, emu, "
              "emulated, passthrough, pt"}),
      config("KeyOfAxvmOnly", "cmdline", "boot_protocol = \"uefi\"",
             {"c.toml:15:17: boot_protocol is a key of axvm that retrap does not act on; remove "
              "it"}),
      config_text("KernelNotThere", sound_config_with("none", ""),
                  {"c.toml:11:15: demo.bin: cannot read: No such file or directory; check the "
                   "path"}),
  };
}

std::string text_of(const ImageBytes& bytes) {
  std::string text(bytes.size(), '\0');
  std::ranges::transform(bytes, text.begin(),
                         [](std::byte byte) { return static_cast<char>(byte); });
  return text;
}

/// `retrap run --arch x86_64 --kernel k`.
Case image(std::string name, std::string bytes, std::vector<std::string> lines) {
  return {std::move(name),
          {"run", "--arch", "x86_64", "--kernel", "k"},
          {{"k", std::move(bytes)}},
          kFailure,
          std::move(lines)};
}

template <class T>
std::string spoilt(ImageBytes bytes, std::uint64_t offset, T value) {
  put<T>(bytes, offset, value);
  return text_of(bytes);
}

std::vector<Case> images() {
  const ImageBytes elf = test::sound_elf(ArchId::X86_64);
  const ImageBytes bzimage = test::sound_bzimage();
  return {
      {"KernelMissing",
       {"run", "--arch", "x86_64", "--kernel", "k"},
       {},
       kFailure,
       {"k: cannot read: No such file or directory; check the path"}},
      {"AllImagesMissing",
       {"run", "--arch", "x86_64", "--kernel", "k", "--initrd", "i"},
       {},
       kFailure,
       {"k: cannot read: No such file or directory; check the path",
        "i: cannot read: No such file or directory; check the path"}},
      {"KernelOfNoKnownArch",
       {"run", "--kernel", "k"},
       {{"k", "hello"}},
       kFailure,
       {"k: does not say which architecture it is for; give --arch"}},
      {"ReportIntoNowhere",
       {"run", "--arch", "x86_64", "--kernel", "k", "--json", "no/report.json"},
       {{"k", text_of(elf)}},
       kFailure,
       {"no/report.json: cannot write: No such file or directory; name another file"}},
      {"ReportIntoAFolder",
       {"run", "--arch", "x86_64", "--kernel", "k", "--json", "."},
       {{"k", text_of(elf)}},
       kFailure,
       {".: cannot write: Is a directory; name another file"}},
      {"EmptyInitrd",
       {"run", "--arch", "x86_64", "--kernel", "k", "--initrd", "i"},
       {{"k", text_of(elf)}, {"i", ""}},
       kFailure,
       {"i: is empty; name another file"}},
      {"DamagedDeviceTree",
       {"run", "c.toml"},
       {{"c.toml", sound_config_with("cmdline", "dtb_path = \"d\"")},
        {"demo.bin", "raw"},
        {"d", std::string(64, 'x')}},
       kFailure,
       {"c.toml:15:12: d: not a device tree: libfdt says FDT_ERR_BADMAGIC; compile it with dtc"}},
      image("EmptyKernel", "", {"k: is empty; name another file"}),
      image("KernelPacked", "\x1f\x8b\x08", {"k: is compressed with gzip; gunzip it first"}),
      image("KernelForAnother", text_of(test::sound_image(ArchId::Aarch64)),
            {"k: is a kernel for aarch64 (arm64 Image), the guest is x86_64; use a kernel for "
             "x86_64"}),
      image("ElfForAnother", text_of(test::sound_elf(ArchId::Riscv64)),
            {"k: ELF e_machine: is for riscv64, the guest is x86_64; use a file for x86_64"}),
      image("ElfCutShort", text_of(elf).substr(0, 0x280),
            {"k: ELF program header 0: p_offset 0x200 + p_filesz 0x100 is past the end of the file "
             "(0x280 bytes); the file is cut short"}),
      image("ElfWithoutSegments", spoilt<std::uint16_t>(elf, 56, 0),
            {"k: ELF program headers: nothing to load; link it as an executable"}),
      image("ElfWithALinker", spoilt<std::uint32_t>(elf, test::program_header(0), 3),
            {"k: ELF program header 0: asks for a dynamic linker; link it with -static"}),
      image("ElfEntryNowhere", spoilt<std::uint64_t>(elf, 24, 0),
            {"k: ELF e_entry: 0x0 is in no executable segment; set the entry point when linking"}),
      image("BzImageTooOld", spoilt<std::uint16_t>(bzimage, 0x206, 0x0204),
            {"k: bzImage version: boot protocol 2.4 is older than 2.12; use Linux 3.8 or newer"}),
      image("BzImageOf32Bits", spoilt<std::uint16_t>(bzimage, 0x236, 0),
            {"k: bzImage xloadflags: no 64-bit entry point; use a 64-bit kernel"}),
      image("BzImageCutShort", text_of(bzimage).substr(0, 0x1000),
            {"k: bzImage syssize: the kernel has 0x1000 bytes, the file 0x800 after its setup; the "
             "file is cut short"}),
  };
}

class ABadStart : public ::testing::TestWithParam<Case> {};

TEST_P(ABadStart, IsRefusedInALineForEachProblem) {
  const Case& row = GetParam();
  const test::TemporaryFolder folder;
  std::vector<std::string> names;
  for (const auto& [name, bytes] : row.files) {
    folder.write(name, bytes);
    names.push_back(name);
  }
  std::string expected;
  for (const std::string& line : row.lines) expected += "retrap: " + line + "\n";

  auto arguments = row.arguments;
  const bool is_run = !arguments.empty() && arguments[0] == "run";
  const bool reports = std::ranges::find(arguments, "--json") != arguments.end();
  if (is_run && !reports && row.status == kFailure) {
    arguments.insert(arguments.end(), {"--json", "report.json"});
  }
  const auto finished = test::run_program(test::retrap_program(), arguments, folder.path());

  EXPECT_EQ(finished.status, row.status);
  EXPECT_EQ(finished.err, expected);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(folder.names(), ElementsAreArray(names));
}

constexpr auto kNameOf = [](const auto& tested) { return tested.param.name; };

INSTANTIATE_TEST_SUITE_P(CommandLine, ABadStart, ::testing::ValuesIn(command_lines()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Configuration, ABadStart, ::testing::ValuesIn(configurations()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Image, ABadStart, ::testing::ValuesIn(images()), kNameOf);

}  // namespace
}  // namespace retrap
