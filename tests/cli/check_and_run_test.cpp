// retrap config check and retrap run say the same of every file: the same lines where it is bad,
// the same notes where it is sound.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/arch_id.h"
#include "vmm/fdt.h"

namespace retrap {
namespace {

using test::Finished;
using ::testing::StartsWith;

constexpr int kBudgetSpent = 5;

/// A loop of one instruction: a raw image that runs wherever it is loaded.
std::string endless(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return "\xeb\xfe";
    case ArchId::Aarch64: return {"\x00\x00\x00\x14", 4};
    case ArchId::Riscv64: return {"\x6f\x00\x00\x00", 4};
  }
  return {};
}

std::string device_tree() {
  const std::vector<std::byte> blob = FdtBuilder().begin("").end().finish();
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

/// A folder with guest.toml and the images that files here name.
class AGuestFolder {
 public:
  AGuestFolder(ArchId arch, const std::string& text) : arch_(arch) {
    folder_.write("guest.toml", text);
    folder_.write("kernel", endless(arch));
    folder_.write("bios", endless(arch));
    folder_.write("guest.dtb", device_tree());
  }

  [[nodiscard]] Finished check() const { return retrap({"config", "check", "guest.toml"}); }
  [[nodiscard]] Finished run() const {
    return retrap({"run", "guest.toml", "--max-instructions", "1000"});
  }

 private:
  [[nodiscard]] Finished retrap(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--arch", std::string(to_string(arch_))});
    return test::run_program(test::retrap_program(), arguments, folder_.path());
  }

  ArchId arch_;
  test::TemporaryFolder folder_;
};

std::string lines_with(std::string_view prefix, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += fmt::format("{}{}\n", prefix, line);
  return text;
}

/// A sound file with the keys of `changed` at other values, or without them where these are empty;
/// each key is on its own line. "more" are further lines of [kernel].
std::string file_with(ArchId arch, const std::map<std::string, std::string>& changed) {
  const std::map<ArchId, std::string> ram = {
      {ArchId::X86_64, "0x0"}, {ArchId::Aarch64, "0x4000_0000"}, {ArchId::Riscv64, "0x8000_0000"}};
  const std::map<ArchId, std::string> at = {{ArchId::X86_64, "0x20_0000"},
                                            {ArchId::Aarch64, "0x4020_0000"},
                                            {ArchId::Riscv64, "0x8020_0000"}};
  std::string text;
  const auto line = [&](const std::string& key, const std::string& value) {
    const auto other = changed.find(key);
    const std::string& chosen = other == changed.end() ? value : other->second;
    if (!chosen.empty()) text += fmt::format("{} = {}\n", key, chosen);
  };
  text += "[base]\n";
  line("id", "1");
  line("name", "\"guest\"");
  line("cpu_num", "1");
  text += "[kernel]\n";
  line("kernel_path", "\"kernel\"");
  line("kernel_load_addr", at.at(arch));
  line("entry_point", at.at(arch));
  line("memory_regions", fmt::format("[[{}, 0x100_0000, 0x7, 0]]", ram.at(arch)));
  if (changed.contains("more")) text += changed.at("more") + "\n";
  text += "[devices]\n";
  line("emu_devices", "[]");
  line("passthrough_devices", "[]");
  line("passthrough_addresses", "[]");
  return text;
}

struct BadFile {
  std::string name;
  ArchId arch;
  std::map<std::string, std::string> changed;
  std::vector<std::string> lines;  ///< all of standard error, without "retrap: "
};
void PrintTo(const BadFile& row, std::ostream* out) {
  *out << row.name;
}

std::vector<BadFile> bad_files() {
  using enum ArchId;
  return {
      {"IvcLineThatThePcLacks",
       X86_64,
       {{"emu_devices", R"([["ivc", 0xb000_0000, 0x1000, 2, 0xa, []]])"}},
       {"guest.toml:11:16: emulated device 'ivc' wants interrupt line 2, which is not there; the "
        "board has 0-1, 3-23"}},
      {"IvcLineThatThePlicLacks",
       Riscv64,
       {{"emu_devices", R"([["ivc", 0xb000_0000, 0x1000, 0, 0xa, [2000]]])"}},
       {"guest.toml:11:16: emulated device 'ivc' wants interrupt line 2000, which is not there; "
        "the board has 1-63"}},
      {"IvcLineThatTheGicLacks",
       Aarch64,
       {{"emu_devices", R"([["ivc", 0xb000_0000, 0x1000, 5, 0xa, []]])"}},
       {"guest.toml:11:16: emulated device 'ivc' wants interrupt line 5, which is not there; the "
        "board has 32-255"}},
      {"IvcOverTheEntropyDevice",
       Aarch64,
       {{"emu_devices", R"([["ivc", 0x0b00_0000, 0x1_0000, 0, 0xa, []]])"}},
       {"guest.toml:11:16: emulated device 'ivc' (gpa:0x00000b000000+0x10000) overlaps the board's "
        "virtio-entropy (gpa:0x00000b000000+0x200); move it"}},
      {"RamOverTheIoApic",
       X86_64,
       {{"memory_regions", R"([[0x0, 0x100_0000, 0x7, 0], [0xfec0_0000, 0x1000, 0x7, 0]])"}},
       {"guest.toml:9:46: memory_regions[1] (gpa:0x0000fec00000+0x1000) overlaps the board's "
        "ioapic (gpa:0x0000fec00000+0x1000); move it"}},
      {"RamOverTheImplicitUart",
       Riscv64,
       {{"memory_regions",
         R"([[0x8000_0000, 0x100_0000, 0x7, 0], [0x1000_0000, 0x1000, 0x7, 0]])"}},
       {"guest.toml:9:54: memory_regions[1] (gpa:0x000010000000+0x1000) overlaps the board's "
        "ns16550 (gpa:0x000010000000+0x100); move it"}},
      {"UartOverTheImplicitRedistributor",
       Aarch64,
       {{"emu_devices", R"([["uart", 0x080a_0000, 0x1000, 33, 0x2, []]])"}},
       {"guest.toml:11:15: pl011 at mmio 0x80a0000+0x1000 overlaps gicv3 redistributors; correct "
        "it there"}},
      {"UartOnTheLineOfTheEntropyDevice",
       Aarch64,
       {{"emu_devices", R"([["uart", 0x0900_0000, 0x1000, 44, 0x2, []]])"}},
       {"guest.toml:11:15: irq 44 is the entropy device's; correct it there"}},
      {"WindowBeyond48Bits",
       X86_64,
       {{"passthrough_devices", R"([["w", 0x1_0000_0000_0000, 0x1_0000_0000, 0x1000, 0]])"}},
       {"guest.toml:12:24: passthrough device w at 0x1000000000000 + 0x1000 is beyond the 48 bits "
        "of a guest-physical address; give a lower base_gpa"}},
      {"WindowOfMostAddresses",
       Aarch64,
       {{"passthrough_addresses", R"([[0x1_0000_0000, 0x7fff_fffe_0000_0000]])"}},
       {"guest.toml:13:26: passthrough window at 0x100000000 + 0x7ffffffe00000000 is beyond the 48 "
        "bits of a guest-physical address; give a lower base_gpa"}},
      {"RamBeyondTheAddressesOfThePc",
       X86_64,
       {{"memory_regions", R"([[0x0, 0x100_0000, 0x7, 0], [0x1_0000_0000_0000, 0x1000, 0x7, 0]])"}},
       {"guest.toml:9:46: memory_regions[1] (gpa:0x1000000000000+0x1000) is beyond the 48 bits of "
        "a guest-physical address; move it"}},
      {"RamBeyondTheAddressesOfRiscv",
       Riscv64,
       {{"memory_regions",
         R"([[0x8000_0000, 0x100_0000, 0x7, 0], [0x200_0000_0000, 0x1000, 0x7, 0]])"}},
       {"guest.toml:9:54: 0x20000000000 + 0x1000 is beyond the 41 bits of a guest-physical "
        "address; correct it there"}},
      {"WindowThatCutsTheDistributor",
       Aarch64,
       {{"passthrough_addresses", R"([[0x0800_8000, 0x1_0000]])"}},
       {"guest.toml:13:26: passthrough window cuts the emulated device gicv3 distributor in two; "
        "move it, or give whole devices"}},
      {"WindowInThePageOfTheUart",
       Riscv64,
       {{"passthrough_devices", R"([["w", 0x1000_0800, 0x2_0000_0800, 0x100, 0]])"}},
       {"guest.toml:12:24: passthrough device w: the emulated device ns16550 leaves nothing of it; "
        "move it, or give whole devices"}},
      {"WindowToMemoryThatNoHostHas",
       X86_64,
       {{"passthrough_devices", R"([["w", 0xb000_0000, 0x4000_0000_0000, 0x1000, 0]])"}},
       {"guest.toml:12:24: hpa:0x400000000000+0x1000 is outside the host's memory "
        "hpa:0x000100000000+0x10000000000; correct it there"}},
      {"WindowPastTheUartIntoRam",
       Aarch64,
       {{"passthrough_addresses", R"([[0x3fff_f000, 0x2000]])"}},
       {"guest.toml:13:26: passthrough_addresses[0] (gpa:0x00003ffff000+0x2000) overlaps "
        "memory_regions[0] (gpa:0x000040000000+0x1000000); move one of them"}},
      {"KernelThatIsNotThere",
       X86_64,
       {{"kernel_path", R"("vmlinux")"}},
       {"guest.toml:6:15: vmlinux: cannot read: No such file or directory; check the path"}},
      {"NoKernel",
       Aarch64,
       {{"kernel_path", R"()"}},
       {"guest.toml:5:1: [kernel] names no kernel_path; add it, or --kernel"}},
      {"ImagesThatAreNotThere",
       Riscv64,
       {{"kernel_path", R"("Image")"}, {"more", R"(ramdisk_path = "initrd.gz"
dtb_path = "board.dtb")"}},
       {"guest.toml:6:15: Image: cannot read: No such file or directory; check the path",
        "guest.toml:10:16: initrd.gz: cannot read: No such file or directory; check the path",
        "guest.toml:11:12: board.dtb: cannot read: No such file or directory; check the path"}},
      {"BiosThatIsNotThere",
       X86_64,
       {{"more", R"(bios_path = "seabios"
bios_load_addr = 0x8000)"}},
       {"guest.toml:10:13: seabios: cannot read: No such file or directory; check the path"}},
      {"KernelThatIsNoDeviceTree",
       Aarch64,
       {{"more", R"(dtb_path = "kernel")"}},
       {"guest.toml:10:12: kernel: not a device tree: 4 bytes, the header alone has 40; compile it "
        "with dtc"}},
      {"DeviceTreeForAPc",
       X86_64,
       {{"more", R"(dtb_path = "guest.dtb")"}},
       {"guest.toml:10:12: x86_64 guests take no device tree; correct it there"}},
      {"RamdiskOverTheKernel",
       Riscv64,
       {{"more", R"(ramdisk_path = "kernel"
ramdisk_load_addr = 0x8020_0000)"}},
       {"guest.toml: the ramdisk at gpa:0x000080200000+0x4 overlaps the kernel at "
        "gpa:0x000080200000+0x4; correct it there"}},
      {"KernelAtTheEndOfRam",
       X86_64,
       {{"kernel_load_addr", R"(0xff_ffff)"}, {"entry_point", R"(0xff_ffff)"}},
       {"guest.toml: the kernel at gpa:0x000000ffffff+0x2 does not fit into RAM; correct it "
        "there"}},
      {"DeviceOfAnother",
       Aarch64,
       {{"emu_devices", R"([["pit", 0x40, 4, 0, 0x24, []]])"}},
       {"guest.toml:11:16: emulated device 'pit' has emu_type 0x24 (x86 PIT), which aarch64 does "
        "not have; remove it"}},
      {"ConsoleElsewhere",
       Riscv64,
       {{"emu_devices", R"([["uart", 0x1100_0000, 0x100, 10, 0x2, []]])"}},
       {"guest.toml:11:16: uart is at 0x11000000 + 0x100; on riscv64 it is at 0x10000000 + "
        "0x1000"}},
      {"HartWithoutSuchANumber",
       Riscv64,
       {{"cpu_num", R"(2
phys_cpu_ids = [0, 0x1000])"}},
       {"guest.toml:5:16: 0x1000 is not a hart id; give 0x0 to 0xfff"}},
      {"EverythingAtOnce",
       X86_64,
       {{"cpu_num", R"(0)"},
        {"kernel_path", R"("vmlinux")"},
        {"memory_regions", R"([[0x0, 0x100_0000, 0x7, 0], [0xfec0_0000, 0x1000, 0x7, 0]])"},
        {"emu_devices",
         R"([["ivc", 0xd000_0000, 0x10_0000, 2, 0xa, []], ["com1", 0x2f8, 8, 3, 0x2, []]])"},
        {"passthrough_addresses", R"([[0x2_0000_0000_0000, 0x1000]])"}},
       {"guest.toml:4:11: cpu_num is 0; give 1 to 64",
        "guest.toml:6:15: vmlinux: cannot read: No such file or directory; check the path",
        "guest.toml:9:46: memory_regions[1] (gpa:0x0000fec00000+0x1000) overlaps the board's "
        "ioapic (gpa:0x0000fec00000+0x1000); move it",
        "guest.toml:11:16: emulated device 'ivc' wants interrupt line 2, which is not there; the "
        "board has 0-1, 3-23",
        "guest.toml:11:61: com1 has irq 3; on x86_64 it has 4",
        "guest.toml:11:61: com1 is at 0x2f8 + 0x8; on x86_64 it is at 0x3f8 + 0x8",
        "guest.toml:13:26: passthrough window at 0x2000000000000 + 0x1000 is beyond the 48 bits of "
        "a guest-physical address; give a lower base_gpa"}},
      {"AKeyThatIsMisspeltAndTheRest",
       Riscv64,
       {{"more", R"(cmd_line = "x")"},
        {"kernel_path", R"("Image")"},
        {"memory_regions",
         R"([[0x8000_0000, 0x100_0000, 0x7, 0], [0x1000_0000, 0x1000, 0x7, 0]])"}},
       {"guest.toml:6:15: Image: cannot read: No such file or directory; check the path",
        "guest.toml:9:54: memory_regions[1] (gpa:0x000010000000+0x1000) overlaps the board's "
        "ns16550 (gpa:0x000010000000+0x100); move it",
        "guest.toml:10:1: [kernel] has no key 'cmd_line'; did you mean 'cmdline'?"}},
  };
}

class ABadFile : public ::testing::TestWithParam<BadFile> {};

TEST_P(ABadFile, IsRefusedByCheckAndRunInTheSameLines) {
  const BadFile& row = GetParam();
  const AGuestFolder folder(row.arch, file_with(row.arch, row.changed));

  const Finished checked = folder.check();
  const Finished ran = folder.run();

  EXPECT_EQ(checked.err, lines_with("retrap: ", row.lines));
  EXPECT_EQ(ran.err, checked.err);
  EXPECT_EQ(checked.status, 1);
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(checked.out, "");
  EXPECT_EQ(ran.out, "");
}

constexpr auto kRowName = [](const auto& tested) { return tested.param.name; };
INSTANTIATE_TEST_SUITE_P(CheckAndRun, ABadFile, ::testing::ValuesIn(bad_files()), kRowName);

TEST(ASoundFile, IsAcceptedByCheckAndRun) {
  for (const ArchId arch : kAllArchs) {
    const AGuestFolder folder(arch, file_with(arch, {}));
    const Finished checked = folder.check();
    EXPECT_EQ(checked.status, 0) << checked.err;
    EXPECT_EQ(checked.out,
              fmt::format("guest.toml: a sound configuration of vm 1 for {}\n", to_string(arch)));
    EXPECT_EQ(folder.run().status, kBudgetSpent);
  }
}

// Files with the keys and values of those that axvisor ships for its guests (configs/vms).

struct AxvisorFile {
  std::string name;
  ArchId arch;
  std::vector<std::string> notes;
};
void PrintTo(const AxvisorFile& row, std::ostream* out) {
  *out << row.name;
}

std::vector<AxvisorFile> axvisor_files() {
  using enum ArchId;
  const auto everything = [](std::string_view place) {
    return fmt::format(
        "guest.toml:{}: note: passthrough device / is every device of the board, and the guest has "
        "them already",
        place);
  };
  const auto there = [](std::string_view place, std::string_view what, std::string_view device) {
    return fmt::format("guest.toml:{}: note: {} is the board's {}, which the guest has already",
                       place, what, device);
  };
  const auto memory = [](std::string_view place) {
    return fmt::format(
        "guest.toml:{}: note: image_location \"memory\": nothing is compiled in, the images are "
        "read from their paths",
        place);
  };
  return {
      {"arceos-riscv64-qemu-smp1", Riscv64, {}},
      {"linux-riscv64-qemu-smp1",
       Riscv64,
       {there("20:3", "passthrough window at 0x10000000 + 0x1000", "ns16550")}},
      {"linux-qemu-aarch64-smp2",
       Aarch64,
       {memory("10:18"),
        there("21:3", "passthrough device pl011@9000000 at 0x9000000 + 0x1000", "pl011"),
        there("22:3", "passthrough device pl031@9010000 at 0x9010000 + 0x1000", "pl031")}},
      {"linux-aarch64-qemu-smp1", Aarch64, {memory("10:18"), everything("17:24")}},
      {"linux-aarch64-e2000-smp2", Aarch64, {everything("19:24")}},
      {"nimbos-aarch64-qemu-smp1", Aarch64, {everything("18:24")}},
      {"nimbos-riscv64-qemu-smp1",
       Riscv64,
       {there("18:3", "passthrough device PLIC@c000000 at 0xc000000 + 0x210000", "plic"),
        there("19:3", "passthrough device UART@10000000 at 0x10000000 + 0x1000", "ns16550")}},
      {"nimbos-x86_64-qemu-smp1",
       X86_64,
       {memory("10:18"),
        there("21:3", "passthrough device IO APIC at 0xfec00000 + 0x1000", "ioapic"),
        there("22:3", "passthrough device Local APIC at 0xfee00000 + 0x1000", "lapic")}},
  };
}

class AFileOfAxvisor : public ::testing::TestWithParam<AxvisorFile> {};

TEST_P(AFileOfAxvisor, IsSoundAndRunsWithANoteForWhatTheGuestHasAlready) {
  const AxvisorFile& row = GetParam();
  const auto path = test::source_dir() / "tests" / "cli" / "axvisor" / (row.name + ".toml");
  const AGuestFolder folder(row.arch, test::contents_of(path));

  const Finished checked = folder.check();
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_EQ(checked.out, lines_with("", row.notes) +
                             fmt::format("guest.toml: a sound configuration of vm 1 for {}\n",
                                         to_string(row.arch)));
  const Finished ran = folder.run();
  EXPECT_EQ(ran.status, kBudgetSpent);
  EXPECT_THAT(ran.err, StartsWith(lines_with("retrap: ", row.notes) + "retrap: budget-spent"));
}

INSTANTIATE_TEST_SUITE_P(CheckAndRun, AFileOfAxvisor, ::testing::ValuesIn(axvisor_files()),
                         [](const auto& tested) {
                           std::string name = tested.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace retrap
