// What check_config refuses: a table of configurations that are sound but for one thing.
#include "vmm/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "vmm/config_check.h"
#include "vmm/ids.h"

namespace retrap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

VmConfig sound() {
  VmConfig config;
  config.name = "sound";
  config.arch = ArchId::Aarch64;
  config.cpu_num = 2;
  config.phys_cpu_ids = {0, 1};
  config.phys_cpu_sets = {1, 2};
  config.entry_point = 0x4020'0000;
  config.kernel_path = "kernel";
  config.memory_regions = {{.gpa = 0x4000'0000, .size = 0x200'0000},
                           {.gpa = 0x8000'0000, .size = 0x1000, .flags = 1}};
  config.emu_devices = {{.name = "uart",
                         .base_gpa = 0x0900'0000,
                         .length = 0x1000,
                         .irq_id = 33,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}}};
  config.passthrough_devices = {
      {.name = "disk", .base_gpa = 0x0a00'0000, .base_hpa = 0x0b00'0000, .length = 0x2000}};
  config.passthrough_addresses = {{.base_gpa = 0x0c00'0000, .length = 0x1000}};
  return config;
}

struct Case {
  std::string name;
  std::function<void(VmConfig&)> spoil;
  std::string key;
  std::string text;  ///< part of the message
};
void PrintTo(const Case& row, std::ostream* out) {
  *out << row.name;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> rows = {
      {"NoCpu", [](VmConfig& c) { c.cpu_num = 0, c.phys_cpu_ids = c.phys_cpu_sets = {}; },
       "base.cpu_num", "cpu_num is 0; give 1 to 64"},
      {"TooManyCpus", [](VmConfig& c) { c.cpu_num = 65, c.phys_cpu_ids = c.phys_cpu_sets = {}; },
       "base.cpu_num", "cpu_num is 65; give 1 to 64"},
      {"IdsTooLong", [](VmConfig& c) { c.phys_cpu_ids = {0, 1, 2}; }, "base.phys_cpu_ids",
       "phys_cpu_ids has 3 entries and cpu_num is 2"},
      {"IdsTooShort", [](VmConfig& c) { c.phys_cpu_ids = {0}; }, "base.phys_cpu_ids",
       "phys_cpu_ids has 1 entries and cpu_num is 2"},
      {"SetsTooLong", [](VmConfig& c) { c.phys_cpu_sets = {1, 2, 4}; }, "base.phys_cpu_sets",
       "phys_cpu_sets has 3 entries"},
      {"SameIdTwice", [](VmConfig& c) { c.phys_cpu_ids = {7, 7}; }, "base.phys_cpu_ids",
       "phys_cpu_ids has 0x7 twice"},
      {"NoCpuInASet", [](VmConfig& c) { c.phys_cpu_sets = {1, 0}; }, "base.phys_cpu_sets[1]",
       "phys_cpu_sets[1] is 0"},
      {"IdOfTheChannels", [](VmConfig& c) { c.id = 0xffff'ffff; }, "base.id",
       "id 0xffffffff is that of the inter-VM channels"},
      {"NameWithALineBreak", [](VmConfig& c) { c.name = "a\nb"; }, "base.name", "control"},
      {"NoRam", [](VmConfig& c) { c.memory_regions.clear(); }, "kernel.memory_regions",
       "memory_regions is empty"},
      {"EmptyRegion", [](VmConfig& c) { c.memory_regions[1].size = 0; }, "kernel.memory_regions[1]",
       "memory_regions[1] has length 0"},
      {"RegionBaseUnaligned", [](VmConfig& c) { c.memory_regions[1].gpa += 8; },
       "kernel.memory_regions[1]", "gpa 0x80000008 and size 0x1000 must be multiples of 0x1000"},
      {"RegionSizeUnaligned", [](VmConfig& c) { c.memory_regions[1].size += 1; },
       "kernel.memory_regions[1]", "must be multiples of 0x1000"},
      {"RegionWraps",
       [](VmConfig& c) {
         c.memory_regions[1].gpa = 0xffff'ffff'ffff'f000;
         c.memory_regions[1].size = 0x2000;
       },
       "kernel.memory_regions[1]", "memory_regions[1]: 0xfffffffffffff000 + 0x2000 wraps"},
      {"RegionsOverlap", [](VmConfig& c) { c.memory_regions[1].gpa = 0x41ff'f000; },
       "kernel.memory_regions[1]",
       "memory_regions[1] (gpa:0x000041fff000+0x1000) overlaps memory_regions[0]"},
      {"UnknownFlags", [](VmConfig& c) { c.memory_regions[1].flags = 0x41; },
       "kernel.memory_regions[1]", "flags 0x41 has unknown bits 0x40"},
      {"RamAsDevice", [](VmConfig& c) { c.memory_regions[1].flags = 0x11; },
       "kernel.memory_regions[1]", "flags 0x11 makes RAM a device"},
      {"RamUncached", [](VmConfig& c) { c.memory_regions[1].flags = 0x21; },
       "kernel.memory_regions[1]", "uncached (0x20)"},
      {"RamUnreadable", [](VmConfig& c) { c.memory_regions[1].flags = 0x6; },
       "kernel.memory_regions[1]", "flags 0x6 lacks READ (1)"},
      {"DeviceOverRam", [](VmConfig& c) { c.emu_devices[0].base_gpa = 0x4000'0000; },
       "devices.emu_devices[0]",
       "emulated device 'uart' (gpa:0x000040000000+0x1000) overlaps "
       "memory_regions[0]"},
      {"DevicesOverlap",
       [](VmConfig& c) {
         c.emu_devices.push_back(c.emu_devices[0]);
         c.emu_devices[1].name = "twin";
       },
       "devices.emu_devices[1]", "'twin' (gpa:0x000009000000+0x1000) overlaps emulated device"},
      {"EmptyDevice", [](VmConfig& c) { c.emu_devices[0].length = 0; }, "devices.emu_devices[0]",
       "emulated device 'uart' has length 0"},
      {"DeviceWraps", [](VmConfig& c) { c.emu_devices[0].base_gpa = ~std::uint64_t{0}; },
       "devices.emu_devices[0]", "wraps"},
      {"UnknownDevice",
       [](VmConfig& c) { c.emu_devices[0].emu_type = static_cast<EmuDeviceType>(0x77); },
       "devices.emu_devices[0]", "unknown emu_type 0x77"},
      {"DeviceOfAnotherArch",
       [](VmConfig& c) { c.emu_devices[0].emu_type = EmuDeviceType::X86IoApic; },
       "devices.emu_devices[0]", "'uart' has emu_type 0x23 (x86 I/O APIC), which aarch64 does not"},
      {"DeviceOfNoArch", [](VmConfig& c) { c.emu_devices[0].emu_type = EmuDeviceType::VirtioNet; },
       "devices.emu_devices[0]", "emu_type 0xe2 (virtio-net), which aarch64 does not have"},
      {"Its",
       [](VmConfig& c) {
         c.emu_devices[0].emu_type = EmuDeviceType::GpptIts;
         c.emu_devices[0].cfg_list = {0x0808'0000};
       },
       "devices.emu_devices[0]", "emu_type 0x22 (gppt its), which aarch64 does not have"},
      {"PlicWithoutContexts",
       [](VmConfig& c) {
         c.arch = ArchId::Riscv64;
         c.emu_devices[0].emu_type = EmuDeviceType::PpptGlobal;
       },
       "devices.emu_devices[0]", "has 0 cfg_list entries; give 1: [context_num]"},
      {"RedistributorWithoutStride",
       [](VmConfig& c) {
         c.emu_devices[0].emu_type = EmuDeviceType::GpptRedistributor;
         c.emu_devices[0].cfg_list = {2};
       },
       "devices.emu_devices[0]", "has 1 cfg_list entries; give 3"},
      {"EmptyWindow", [](VmConfig& c) { c.passthrough_devices[0].length = 0; },
       "devices.passthrough_devices[0]", "passthrough device 'disk' has length 0"},
      {"WindowWraps", [](VmConfig& c) { c.passthrough_devices[0].length = ~std::uint64_t{0}; },
       "devices.passthrough_devices[0]", "wraps"},
      {"HostWindowWraps",
       [](VmConfig& c) { c.passthrough_devices[0].base_hpa = 0xffff'ffff'ffff'f000; },
       "devices.passthrough_devices[0]", "base_hpa 0xfffffffffffff000 + 0x2000 wraps"},
      {"WindowOffsetsDiffer", [](VmConfig& c) { c.passthrough_devices[0].base_hpa += 4; },
       "devices.passthrough_devices[0]", "different offsets in their pages"},
      {"WindowOverRam", [](VmConfig& c) { c.passthrough_devices[0].base_gpa = 0x41ff'f000; },
       "devices.passthrough_devices[0]",
       "'disk' (gpa:0x000041fff000+0x2000) overlaps "
       "memory_regions[0]"},
      {"WindowSharesAPageWithADevice",
       [](VmConfig& c) {
         c.emu_devices[0].length = 0x100;
         c.passthrough_devices[0] = {
             .name = "disk", .base_gpa = 0x0900'0800, .base_hpa = 0x10800, .length = 0x10};
       },
       "devices.passthrough_devices[0]",
       "overlaps emulated device 'uart' "
       "(gpa:0x000009000000+0x100) in a page"},
      {"IdenticalRegionAtZero",
       [](VmConfig& c) {
         c.memory_regions[1] = {
             .gpa = 0, .size = 0x10'0000, .flags = 7, .map_type = MapType::Identical};
       },
       "kernel.memory_regions[1]",
       "memory_regions[1]: host address 0x0 is in the first 0x10000 bytes, which the monitor "
       "keeps; "
       "give another gpa, or map_type 0 (alloc)"},
      {"ReservedRegionNearZero",
       [](VmConfig& c) {
         c.memory_regions[1] = {
             .gpa = 0xf000, .size = 0x1000, .flags = 7, .map_type = MapType::Reserved};
       },
       "kernel.memory_regions[1]",
       "memory_regions[1]: host address 0xf000 is in the first 0x10000"},
      {"WindowToHostAddressZero",
       [](VmConfig& c) {
         c.passthrough_devices[0] = {
             .name = "disk", .base_gpa = 0x0a00'0000, .base_hpa = 0, .length = 0x1000};
       },
       "devices.passthrough_devices[0]",
       "passthrough device 'disk': host address 0x0 is in the first 0x10000 bytes"},
      {"AddressWindowAtZero", [](VmConfig& c) { c.passthrough_addresses[0].base_gpa = 0; },
       "devices.passthrough_addresses[0]", "passthrough_addresses[0]: host address 0x0 is in"},
      {"WindowsOverlap", [](VmConfig& c) { c.passthrough_addresses[0].base_gpa = 0x0a00'1000; },
       "devices.passthrough_addresses[0]", "overlaps passthrough device 'disk'"},
      {"EmptyAddressWindow", [](VmConfig& c) { c.passthrough_addresses[0].length = 0; },
       "devices.passthrough_addresses[0]", "passthrough_addresses[0] has length 0"},
      {"BiosWithoutAddress", [](VmConfig& c) { c.bios_path = "bios"; }, "kernel.bios_path",
       "bios_path has no bios_load_addr"},
      {"CmdlineWithNul", [](VmConfig& c) { c.cmdline = std::string("a\0b", 3); }, "kernel.cmdline",
       "holds a NUL"},
      {"EntryOutsideRam", [](VmConfig& c) { c.entry_point = 0x1000; }, "kernel.entry_point",
       "entry_point 0x1000 is in none of the memory_regions"},
      {"EntryNotExecutable", [](VmConfig& c) { c.entry_point = 0x8000'0000; }, "kernel.entry_point",
       "flags 0x1 lack EXECUTE (4)"},
      {"LoadAddressOutsideRam", [](VmConfig& c) { c.kernel_load_addr = 0; },
       "kernel.kernel_load_addr", "kernel_load_addr 0x0 is in none"},
      {"DtbOutsideRam", [](VmConfig& c) { c.dtb_load_addr = 0x9000'0000; }, "kernel.dtb_load_addr",
       "dtb_load_addr 0x90000000 is in none"},
      {"RamdiskOutsideRam", [](VmConfig& c) { c.ramdisk_load_addr = 0x3fff'ffff; },
       "kernel.ramdisk_load_addr", "ramdisk_load_addr 0x3fffffff is in none"},
  };
  return rows;
}

TEST(Config, ThatIsSoundHasNoProblems) {
  EXPECT_THAT(problems_of(sound()), IsEmpty());
}

class ABadConfig : public ::testing::TestWithParam<Case> {};

TEST_P(ABadConfig, IsRefusedWithItsKey) {
  VmConfig config = sound();
  GetParam().spoil(config);
  const auto problems = check_config(config);

  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].key, GetParam().key);
  EXPECT_THAT(problems[0].text, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(All, ABadConfig, ::testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(Config, ReportsEveryProblemAtOnce) {
  VmConfig config = sound();
  config.cpu_num = 3;
  config.memory_regions[1].size = 0;
  config.passthrough_devices[0].length = 0;

  EXPECT_THAT(problems_of(config),
              ElementsAre(HasSubstr("phys_cpu_ids"), HasSubstr("phys_cpu_sets"),
                          HasSubstr("memory_regions[1]"), HasSubstr("'disk'")));
}

TEST(Config, LetsTwoWindowsShareAPageThatGoesToOnePlace) {
  VmConfig config = sound();
  config.passthrough_devices = {
      {.name = "a", .base_gpa = 0xa000, .base_hpa = 0x1b000, .length = 16},
      {.name = "b", .base_gpa = 0xa100, .base_hpa = 0x1b100, .length = 16}};

  EXPECT_THAT(problems_of(config), IsEmpty());
}

TEST(Config, TakesConsoleAndPitOfX86AsPorts) {
  VmConfig config = sound();
  config.arch = ArchId::X86_64;
  config.memory_regions = {{.gpa = 0, .size = 0x1000'0000}};
  config.entry_point = 0x10'0000;
  config.emu_devices = {{.name = "com1",
                         .base_gpa = 0x3f8,
                         .length = 8,
                         .irq_id = 4,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}}};
  config.passthrough_devices = {};
  config.passthrough_addresses = {};
  EXPECT_THAT(problems_of(config), IsEmpty());

  config.emu_devices[0].base_gpa = 0xfffc;
  EXPECT_THAT(problems_of(config), ElementsAre(HasSubstr("ports 0xfffc + 0x8 are not below")));
}

TEST(Config, KnowsEveryDeviceNumberOfAxvm) {
  for (const std::uint64_t type : {0x0u, 0x1u, 0x2u, 0x3u, 0xau, 0x20u, 0x21u, 0x22u, 0x23u, 0x24u,
                                   0x30u, 0xe1u, 0xe2u, 0xe3u}) {
    EXPECT_NE(find_emu_device_kind(type), nullptr) << type;
  }
  EXPECT_EQ(find_emu_device_kind(0x25), nullptr);
}

}  // namespace
}  // namespace retrap
