// The board: what it puts where, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libfdt.h>

#include <cstring>

#include "arch/aarch64/board.h"
#include "arch/aarch64/boot.h"
#include "arch/aarch64/stage2.h"
#include "tests/arch/aarch64_fake.h"
#include "tests/support/image_files.h"
#include "tests/support/matchers.h"
#include "vmm/devices/time_of_day.h"
#include "vmm/fdt.h"

namespace retrap::aarch64::test {
namespace {

using retrap::test::FailsSaying;
using retrap::test::FailsWith;
using retrap::test::Succeeds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kRam = 0x4000'0000;
constexpr std::uint64_t kRamBytes = 32u << 20;
constexpr std::uint64_t kMiB = 1u << 20;

class Printed final : public ConsoleSink {
 public:
  void put(char byte) override { text.push_back(byte); }
  std::string text;
};

/// An arm64 Image of `file` bytes that wants `memory` bytes from text_offset on.
std::vector<std::byte> linux_image(std::uint64_t text_offset, std::uint64_t memory,
                                   std::size_t file = 4096) {
  std::vector<std::byte> bytes(file);
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    std::memcpy(bytes.data() + at, &value, size);
  };
  put(0, 0x1400'0010, 4);  // b .+64
  put(8, text_offset, 8);
  put(16, memory, 8);
  put(24, 0xa, 8);          // flags: little-endian, 4 KiB, anywhere
  put(56, 0x644d'5241, 4);  // "ARM\x64"
  return bytes;
}

/// The parts of a VM, and a board with two played CPUs on them.
class AnAarch64Board : public ::testing::Test {
 public:
  AnAarch64Board() {
    config.arch = ArchId::Aarch64;
    config.cpu_num = 2;
    config.cmdline = "console=ttyAMA0";
    config.memory_regions = {{.gpa = kRam, .size = kRamBytes}};
  }
  Result<> build() {
    auto hardware = std::make_unique<FakeHardware>(clock);
    fake = hardware.get();
    architecture = make_architecture(std::move(hardware));
    constexpr auto kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;
    RETRAP_TRY(
        space.map_ram(GuestPhys(kRam), kRamBytes, kAll, MapType::Alloc, Populate::Lazy, "ram"));
    RETRAP_TRY(board, architecture->make_board(config, {.clock = clock,
                                                        .memory = space,
                                                        .mmio = mmio,
                                                        .ports = ports,
                                                        .sysregs = sysregs,
                                                        .console = console,
                                                        .dma = dma}));
    return {};
  }
  Images kernel(std::vector<std::byte> bytes) {
    Images images;
    images.kernel = *Image::parse("kernel", std::move(bytes), ArchId::Aarch64);
    return images;
  }
  std::vector<std::byte> tree_at(std::uint64_t at) {
    std::vector<std::byte> blob(64 * 1024);
    EXPECT_THAT(space.read(GuestPhys(at), blob), Succeeds());
    EXPECT_EQ(fdt_check_header(blob.data()), 0);
    return blob;
  }
  static std::string string_at(const std::vector<std::byte>& tree, const char* path,
                               const char* name) {
    const int node = fdt_path_offset(tree.data(), path);
    const auto* text = static_cast<const char*>(fdt_getprop(tree.data(), node, name, nullptr));
    return text == nullptr ? "" : text;
  }
  static std::uint64_t number_at(const std::vector<std::byte>& tree, const char* path,
                                 const char* name, int index = 0) {
    const int node = fdt_path_offset(tree.data(), path);
    int size = 0;
    const auto* cells = static_cast<const fdt64_t*>(fdt_getprop(tree.data(), node, name, &size));
    return cells == nullptr || size < 8 * (index + 1) ? 0 : fdt64_ld(cells + index);
  }

  std::vector<std::byte> host = std::vector<std::byte>(64 * kMiB);
  HostMemory memory{HostPhys(0x1'0000'0000), host};
  Frames frames{memory};
  Stage2Format format;
  AddressSpace space = *AddressSpace::make(format, frames, VmId{1});
  GuestDma dma;
  Clock clock;
  Bus mmio{"mmio", clock};
  Bus ports{"port", clock};
  Bus sysregs{"sysreg", clock, Bus::Unit::Register};
  Printed console;
  VmConfig config;
  FakeHardware* fake = nullptr;
  std::unique_ptr<Architecture> architecture;
  std::unique_ptr<Board> board;
};

TEST_F(AnAarch64Board, HasItsDevicesInTheirPlaces) {
  ASSERT_THAT(build(), Succeeds());
  EXPECT_EQ(mmio.read(0x0800'0008, Width::Word, kBootVcpu), 0x43bu);
  EXPECT_EQ(mmio.read(0x080a'0008, Width::Double, VcpuId{1}), 0u);
  EXPECT_TRUE(mmio.write(0x0900'0000, Width::Word, 'x', kBootVcpu));
  EXPECT_EQ(console.text, "x");
  EXPECT_EQ(mmio.read(0x0901'0000, Width::Word, kBootVcpu), kEpochSeconds);
  EXPECT_EQ(mmio.first_in(0x0b00'0000, 1)->name(), "virtio-entropy");
  EXPECT_EQ(mmio.first_in(0x0b01'0000, 1)->name(), "test-finisher");
  EXPECT_TRUE(sysregs.read(number(SysReg::ICC_PMR_EL1), Width::Double, kBootVcpu).has_value());
  ASSERT_EQ(fake->setups.size(), 2u);
  EXPECT_EQ(fake->setups[1].mpidr, 0x8000'0001u);
}
TEST_F(AnAarch64Board, NamesCpusAsTheConfigurationDoes) {
  config.phys_cpu_ids = {0, 0x100};
  ASSERT_THAT(build(), Succeeds());
  EXPECT_EQ(fake->setups[1].mpidr, 0x8000'0100u);
}
TEST_F(AnAarch64Board, D4_MovesItsDevicesAsTheConfigurationSays) {
  config.emu_devices = {{.name = "uart",
                         .base_gpa = 0x1000'0000,
                         .length = 0x1000,
                         .irq_id = 40,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}},
                        {.name = "gicd",
                         .base_gpa = 0x1100'0000,
                         .length = 0x10000,
                         .irq_id = 0,
                         .emu_type = EmuDeviceType::GpptDistributor,
                         .cfg_list = {}},
                        {.name = "gicr",
                         .base_gpa = 0x1200'0000,
                         .length = 0x40000,
                         .irq_id = 0,
                         .emu_type = EmuDeviceType::GpptRedistributor,
                         .cfg_list = {}}};
  ASSERT_THAT(build(), Succeeds());
  EXPECT_TRUE(mmio.covers(0x1000'0000, 0x1000));
  EXPECT_EQ(mmio.read(0x1100'0008, Width::Word, kBootVcpu), 0x43bu);
  EXPECT_TRUE(mmio.covers(0x1203'fffc, 4));
  EXPECT_FALSE(mmio.covers(0x0800'0000, 4));
}
TEST_F(AnAarch64Board, GivesItsOtherDevicesLinesOfTheirOwn) {
  config.emu_devices = {{.name = "uart",
                         .base_gpa = 0x0900'0000,
                         .length = 0x1000,
                         .irq_id = 44,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}}};
  EXPECT_THAT(build(), FailsSaying(ErrorCode::AlreadyExists,
                                   "virtio-entropy wants interrupt line 44, which pl011 has"));
  std::vector<std::string> problems;
  architecture->check(config, problems);
  config.emu_devices.front().irq_id = 34;
  architecture->check(config, problems);
  EXPECT_THAT(problems, ::testing::ElementsAre(HasSubstr("irq 44 is the entropy device's"),
                                               HasSubstr("irq 34 is the real-time clock's")));
}
TEST_F(AnAarch64Board, WiresItsClockToSpi2) {
  ASSERT_THAT(build(), Succeeds());
  const auto is_pending = [&] {
    return (*mmio.read(0x0800'0204, Width::Word, kBootVcpu) & 1u << 2) != 0;  // GICD_ISPENDR1
  };
  EXPECT_TRUE(mmio.write(0x0901'0010, Width::Word, 1, kBootVcpu));
  EXPECT_TRUE(mmio.write(0x0901'0004, Width::Word, kEpochSeconds + 1, kBootVcpu));
  EXPECT_FALSE(is_pending());

  clock.skip_to(kNsPerSecond);
  EXPECT_TRUE(clock.fire_due());

  EXPECT_TRUE(is_pending());
}
TEST_F(AnAarch64Board, EndsThroughItsTestFinisher) {
  ASSERT_THAT(build(), Succeeds());
  ArchVcpu& vcpu = board->vcpu(kBootVcpu);
  const auto after_writing = [&](std::uint64_t value) {
    EXPECT_TRUE(mmio.write(0x0b01'0000, Width::Word, value, kBootVcpu));
    return vcpu.run();
  };
  EXPECT_EQ(after_writing(0x5555), ExitReason(exits::SystemDown{}));
  EXPECT_EQ(after_writing(0x7777), ExitReason(exits::SystemReset{}));
  EXPECT_EQ(after_writing(0x7'3333), ExitReason(exits::GuestCrash{.cause = 7, .address = 0}));
  EXPECT_EQ(vcpu.run(), ExitReason(exits::BudgetSpent{})) << "asked once";
}

TEST_F(AnAarch64Board, RefusesDevicesThatOverlap) {
  config.emu_devices = {{.name = "uart",
                         .base_gpa = 0x0800'0000,
                         .length = 0x1000,
                         .irq_id = 40,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}}};
  EXPECT_THAT(build(), FailsWith(ErrorCode::AlreadyExists));
}

TEST_F(AnAarch64Board, LoadsLinuxWhereItsHeaderSays) {
  ASSERT_THAT(build(), Succeeds());
  Images images = kernel(linux_image(0x8'0000, 3 * kMiB));
  images.ramdisk.assign(100, std::byte{0x42});

  ASSERT_THAT(board->load(images), Succeeds());

  FakeCpu& cpu = *fake->cpus[0];
  EXPECT_EQ(cpu.program_counter, kRam + 0x8'0000);
  EXPECT_EQ(cpu.state, pstate::kReset);
  EXPECT_EQ(*space.load<std::uint32_t>(GuestPhys(kRam + 0x8'0000)), 0x1400'0010u);
  const auto tree = tree_at(cpu.gpr[0]);
  EXPECT_EQ(string_at(tree, "/chosen", "bootargs"), "console=ttyAMA0");
  EXPECT_EQ(string_at(tree, "/virtio_mmio@b000000", "compatible"), "virtio,mmio");
  EXPECT_EQ(number_at(tree, "/virtio_mmio@b000000", "reg"), 0x0b00'0000u);
  EXPECT_EQ(string_at(tree, "/pl031@9010000", "compatible"), "arm,pl031");
  EXPECT_EQ(number_at(tree, "/pl031@9010000", "reg"), 0x0901'0000u);
  EXPECT_EQ(string_at(tree, "/test@b010000", "compatible"), "sifive,test1");
  EXPECT_EQ(number_at(tree, "/memory@40000000", "reg"), kRam);
  EXPECT_EQ(number_at(tree, "/memory@40000000", "reg", 1), kRamBytes);
  EXPECT_EQ(string_at(tree, "/cpus/cpu@1", "enable-method"), "psci");
  EXPECT_EQ(number_at(tree, "/intc@8000000", "reg", 3), 2 * Gicv3::kRedistributorBytes);
  const std::uint64_t initrd = number_at(tree, "/chosen", "linux,initrd-start");
  EXPECT_EQ(number_at(tree, "/chosen", "linux,initrd-end"), initrd + 100);
  EXPECT_GE(initrd, kRam + 0x8'0000 + 3 * kMiB) << "behind the bss of the kernel";
  EXPECT_EQ(*space.load<std::uint8_t>(GuestPhys(initrd)), 0x42);
  EXPECT_EQ(cpu.gpr[0] % (2 * kMiB), 0u);
}
TEST_F(AnAarch64Board, LoadsLinuxWhereTheConfigurationSays) {
  config.kernel_load_addr = kRam + 4 * kMiB;
  config.ramdisk_load_addr = kRam + 16 * kMiB;
  config.dtb_load_addr = kRam + 24 * kMiB;
  config.entry_point = kRam + 4 * kMiB + 64;
  ASSERT_THAT(build(), Succeeds());
  Images images = kernel(linux_image(0, kMiB));
  images.ramdisk.assign(8, std::byte{1});
  images.bios.assign(8, std::byte{2});
  ASSERT_THAT(board->load(images), Succeeds());
  EXPECT_EQ(fake->cpus[0]->program_counter, kRam + 4 * kMiB + 64);
  EXPECT_EQ(fake->cpus[0]->gpr[0], kRam + 24 * kMiB);
}
TEST_F(AnAarch64Board, RefusesALoadAddressThatLinuxDoesNotTake) {
  config.kernel_load_addr = kRam + 0x1000;
  ASSERT_THAT(build(), Succeeds());
  EXPECT_THAT(board->load(kernel(linux_image(0, kMiB))),
              FailsSaying(ErrorCode::InvalidInput, "2 MiB boundary"));
}
TEST_F(AnAarch64Board, RefusesWhatDoesNotFitIntoRam) {
  ASSERT_THAT(build(), Succeeds());
  EXPECT_THAT(board->load(kernel(linux_image(0, 64 * kMiB))),
              FailsSaying(ErrorCode::InvalidInput, "do not fit into RAM"));
}
TEST_F(AnAarch64Board, RefusesImagesThatOverlap) {
  config.ramdisk_load_addr = kRam + 0x1000;
  ASSERT_THAT(build(), Succeeds());
  Images images = kernel(linux_image(0, kMiB));
  images.ramdisk.assign(8, std::byte{1});
  EXPECT_THAT(board->load(images), FailsSaying(ErrorCode::Overlap, "ramdisk"));
}
TEST_F(AnAarch64Board, LoadsARawImageWhereItIsTold) {
  config.kernel_load_addr = kRam + 0x8'0000;
  ASSERT_THAT(build(), Succeeds());
  ASSERT_THAT(board->load(kernel(std::vector<std::byte>(64, std::byte{0x1f}))), Succeeds());
  EXPECT_EQ(fake->cpus[0]->program_counter, kRam + 0x8'0000);
  EXPECT_EQ(*space.load<std::uint8_t>(GuestPhys(kRam + 0x8'0000)), 0x1f);
}
TEST_F(AnAarch64Board, LoadsAnElfWhereItIsLinked) {
  ASSERT_THAT(build(), Succeeds());
  ASSERT_THAT(board->load(kernel(retrap::test::sound_elf(ArchId::Aarch64))), Succeeds());
  EXPECT_EQ(fake->cpus[0]->program_counter & 0xffff'ffff, 0x4008'0000u);
  EXPECT_NE(fake->cpus[0]->gpr[0], 0u);
}
TEST_F(AnAarch64Board, RefusesARawImageWithoutAPlace) {
  ASSERT_THAT(build(), Succeeds());
  EXPECT_THAT(board->load(kernel(std::vector<std::byte>(64, std::byte{0x1f}))),
              FailsSaying(ErrorCode::InvalidInput, "kernel_load_addr"));
}
TEST_F(AnAarch64Board, TakesADeviceTreeAsItIs) {
  ASSERT_THAT(build(), Succeeds());
  Images images = kernel(linux_image(0, kMiB));
  FdtBuilder fdt;
  images.dtb = fdt.begin("").string("model", "mine").end().finish();
  ASSERT_THAT(board->load(images), Succeeds());
  EXPECT_EQ(string_at(tree_at(fake->cpus[0]->gpr[0]), "/", "model"), "mine");
}
TEST_F(AnAarch64Board, RefusesADeviceTreeThatIsTooBigOrMisplaced) {
  config.dtb_load_addr = kRam + 16 * kMiB + 4;
  ASSERT_THAT(build(), Succeeds());
  Images images = kernel(linux_image(0, kMiB));
  EXPECT_THAT(board->load(images), FailsSaying(ErrorCode::InvalidInput, "multiple of 8"));
  images.dtb.assign(2 * kMiB + 1, std::byte{0});
  EXPECT_THAT(board->load(images), FailsSaying(ErrorCode::InvalidInput, "limit"));
}
TEST_F(AnAarch64Board, StartsWithoutImages) {
  ASSERT_THAT(build(), Succeeds());
  ASSERT_THAT(board->load(Images{}), Succeeds());
  EXPECT_EQ(fake->cpus[0]->program_counter, kRam);
}
TEST_F(AnAarch64Board, ReceivesBytesForItsConsole) {
  ASSERT_THAT(build(), Succeeds());
  EXPECT_TRUE(mmio.write(0x0900'0030, Width::Word, 0x301, kBootVcpu));
  EXPECT_TRUE(mmio.write(0x0900'0038, Width::Word, 0x10, kBootVcpu));
  EXPECT_TRUE(board->receive('a'));
  EXPECT_EQ(mmio.read(0x0900'0000, Width::Word, kBootVcpu), static_cast<std::uint64_t>('a'));
}
TEST_F(AnAarch64Board, IsAsAfterPowerOnAfterAReset) {
  ASSERT_THAT(build(), Succeeds());
  Digest fresh;
  board->digest(fresh);
  EXPECT_TRUE(sysregs.write(number(SysReg::CNTP_CVAL_EL0), Width::Double, 77, kBootVcpu));
  EXPECT_TRUE(sysregs.write(number(SysReg::MDSCR_EL1), Width::Double, 77, kBootVcpu));
  Digest used;
  board->digest(used);
  EXPECT_NE(used.value(), fresh.value());
  board->reset();
  Digest after;
  board->digest(after);
  EXPECT_EQ(after.value(), fresh.value());
  EXPECT_EQ(fake->cpus[1]->resets, 1);
  EXPECT_THAT(board->interrupts().inject(VcpuId{1}, 3), Succeeds());
  EXPECT_EQ(board->vcpu(VcpuId{1}).pc(), 0u);
}

class TheAarch64Architecture : public AnAarch64Board {
 public:
  TheAarch64Architecture() {
    architecture = make_architecture(std::make_unique<FakeHardware>(clock));
  }
  std::string problems() {
    std::vector<std::string> all;
    architecture->check(config, all);
    return fmt::format("{}", fmt::join(all, "\n"));
  }
};
TEST_F(TheAarch64Architecture, HasAStandardConfiguration) {
  const VmConfig standard = architecture->default_config(512 * kMiB);
  EXPECT_EQ(architecture->id(), ArchId::Aarch64);
  EXPECT_EQ(standard.arch, ArchId::Aarch64);
  ASSERT_EQ(standard.memory_regions.size(), 1u);
  EXPECT_EQ(standard.memory_regions[0].gpa, kRam);
  EXPECT_EQ(architecture->page_table_format().address_bits(), 48u);
  config = standard;
  EXPECT_THAT(problems(), IsEmpty());
}
TEST_F(TheAarch64Architecture, D4_RefusesLengthsThatItsDevicesDoNotHave) {
  const auto device = [](std::uint64_t base, std::uint64_t length, EmuDeviceType type) {
    return EmuDeviceConfig{.name = fmt::format("at {:#x}", base),
                           .base_gpa = base,
                           .length = length,
                           .irq_id = 0,
                           .emu_type = type,
                           .cfg_list = {}};
  };
  config.emu_devices = {device(0x0800'0000, 0x1'0000, EmuDeviceType::InterruptController),
                        device(0x080a'0000, 0x4'0000, EmuDeviceType::GpptRedistributor),
                        device(0x0900'0000, 0x1000, EmuDeviceType::Console)};
  EXPECT_EQ(problems(), "");
  for (EmuDeviceConfig& each : config.emu_devices) ++each.length;
  const std::string all = problems();
  EXPECT_THAT(all, HasSubstr("at 0x8000000 is 0x10001 long; on aarch64 it has 0x10000"));
  EXPECT_THAT(all, HasSubstr("at 0x80a0000 is 0x40001 long; on aarch64 it has 0x40000"));
  EXPECT_THAT(all, HasSubstr("at 0x9000000 is 0x1001 long; on aarch64 it has 0x1000"));
}
// The reference calls the virtual timer's registers a console.
TEST_F(AnAarch64Board, D9_NamesEachSystemRegisterAsTheManualDoes) {
  ASSERT_THAT(build(), Succeeds());
  for (const SysRegRow& row : sysreg_rows()) {
    const Device* const device = sysregs.first_in(row.first, 1);
    ASSERT_NE(device, nullptr) << row.name;
    EXPECT_EQ(device->name(), row.name);
  }
  EXPECT_EQ(sysregs.first_in(number(SysReg::CNTP_CTL_EL0), 1)->name(), "CNTP_CTL_EL0");
  EXPECT_EQ(mmio.first_in(0x0900'0000, 1)->name(), "pl011");
}
TEST_F(TheAarch64Architecture, NamesEveryProblemAtOnce) {
  config.phys_cpu_ids = {1ull << 24, 0};
  config.memory_regions.push_back({.gpa = 1ull << 48, .size = 0x1000});
  config.emu_devices = {{.name = "uart",
                         .base_gpa = 0x1000'0010,
                         .length = 0x1000,
                         .irq_id = 5,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}},
                        {.name = "pit",
                         .base_gpa = 0,
                         .length = 1,
                         .irq_id = 0,
                         .emu_type = EmuDeviceType::X86Pit,
                         .cfg_list = {}}};
  const std::string all = problems();
  EXPECT_THAT(all, HasSubstr("phys_cpu_ids"));
  EXPECT_THAT(all, HasSubstr("48 bits"));
  EXPECT_THAT(all, HasSubstr("page aligned"));
  EXPECT_THAT(all, HasSubstr("no SPI"));
  EXPECT_THAT(all, HasSubstr("pit is no device of aarch64"));
}
TEST_F(TheAarch64Architecture, KnowsItsInterruptNumbers) {
  config.emu_devices = {{.name = "gicd",
                         .base_gpa = 0x0800'0000,
                         .length = 0x1'0000,
                         .irq_id = 5,
                         .emu_type = EmuDeviceType::GpptDistributor,
                         .cfg_list = {}}};
  config.passthrough_devices = {
      {.name = "one", .base_gpa = 0x2000'0000, .base_hpa = 0x2000'0000, .length = 16, .irq_id = 1},
      {.name = "io", .base_gpa = 0x3000'0000, .base_hpa = 0x3000'0000, .length = 16, .irq_id = 256},
  };
  EXPECT_EQ(problems(),
            "devices.emu_devices[0]: gicd has irq 5; on aarch64 it has 0\n"
            "devices.passthrough_devices[1]: io has interrupt line 256; aarch64 has 0 to 255");
}

}  // namespace
}  // namespace retrap::aarch64::test
