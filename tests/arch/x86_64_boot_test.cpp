// Firmware tables, the zero page, and where images go.
#include "arch/x86_64/boot.h"

#include <gtest/gtest.h>

#include <numeric>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/boot_params.h"
#include "tests/arch/x86_64_fake_cpu.h"
#include "tests/support/matchers.h"

namespace retrap::x86_64 {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;

using Blob = std::vector<std::byte>;

template <class T>
T at(std::span<const std::byte> bytes, std::uint64_t offset) {
  return load_le<T>(bytes, offset).value_or(0);
}

std::string text(std::span<const std::byte> bytes, std::uint64_t offset, std::size_t size) {
  std::string letters;
  for (const std::byte one : bytes.subspan(offset, size)) letters += static_cast<char>(one);
  return letters;
}

unsigned sum(std::span<const std::byte> bytes) {
  return std::accumulate(
             bytes.begin(), bytes.end(), 0U,
             [](unsigned total, std::byte one) { return total + std::to_integer<unsigned>(one); }) &
         0xff;
}

struct AcpiTest : testing::Test {
  static constexpr std::uint64_t kBase = 0xf'0000;
  Blob all = make_acpi_tables(GuestPhys(kBase), {0, 5, 0xfe});

  std::span<const std::byte> table(std::uint64_t address) {
    const auto rest = std::span<const std::byte>(all).subspan(address - kBase);
    return rest.first(at<std::uint32_t>(rest, 4));
  }
  std::uint64_t xsdt_entry(unsigned index) {
    return at<std::uint64_t>(table(at<std::uint64_t>(all, 24)), 36 + 8 * index);
  }
};

TEST_F(AcpiTest, BeginsWithTheRootPointer) {
  EXPECT_EQ(text(all, 0, 8), "RSD PTR ");
  EXPECT_EQ(at<std::uint8_t>(all, 15), 2);
  EXPECT_EQ(at<std::uint32_t>(all, 20), 36u);
  EXPECT_EQ(sum(std::span(all).first(20)), 0u);
  EXPECT_EQ(sum(std::span(all).first(36)), 0u);
}

TEST_F(AcpiTest, HasTablesWhoseBytesAddUpToZero) {
  const std::uint64_t xsdt = at<std::uint64_t>(all, 24);
  EXPECT_EQ(text(table(xsdt), 0, 4), "XSDT");
  const auto fadt = table(xsdt_entry(0));
  const auto madt = table(xsdt_entry(1));
  EXPECT_EQ(text(fadt, 0, 4), "FACP");
  EXPECT_EQ(text(madt, 0, 4), "APIC");
  const auto dsdt = table(at<std::uint32_t>(fadt, 40));
  EXPECT_EQ(text(dsdt, 0, 4), "DSDT");
  for (const auto& one : {table(xsdt), fadt, madt, dsdt}) EXPECT_EQ(sum(one), 0u);
}

TEST_F(AcpiTest, DescribesTheFixedHardware) {
  const auto fadt = table(xsdt_entry(0));
  EXPECT_EQ(fadt.size(), 244u);
  EXPECT_EQ(at<std::uint16_t>(fadt, 46), 9) << "SCI_INT";
  EXPECT_EQ(at<std::uint32_t>(fadt, 48), 0u) << "SMI_CMD";
  EXPECT_EQ(at<std::uint32_t>(fadt, 56), 0x600u) << "PM1a_EVT_BLK";
  EXPECT_EQ(at<std::uint32_t>(fadt, 64), 0x604u) << "PM1a_CNT_BLK";
  EXPECT_EQ(at<std::uint32_t>(fadt, 76), 0u) << "PM_TMR_BLK";
  EXPECT_EQ(at<std::uint8_t>(fadt, 88), 4) << "PM1_EVT_LEN";
  EXPECT_EQ(at<std::uint8_t>(fadt, 89), 2) << "PM1_CNT_LEN";
  EXPECT_EQ(at<std::uint16_t>(fadt, 96), 0xffff) << "P_LVL2_LAT";
  EXPECT_EQ(at<std::uint8_t>(fadt, 108), 0x32) << "CENTURY";
  EXPECT_EQ(at<std::uint16_t>(fadt, 109), 5) << "IAPC_BOOT_ARCH";
  EXPECT_EQ(at<std::uint32_t>(fadt, 112), 0x35u) << "Flags";
  EXPECT_EQ(at<std::uint64_t>(fadt, 140), at<std::uint32_t>(fadt, 40)) << "X_DSDT";
  const auto facs = std::span<const std::byte>(all).subspan(at<std::uint32_t>(fadt, 36) - kBase);
  EXPECT_EQ(text(facs, 0, 4), "FACS");
  EXPECT_EQ((at<std::uint32_t>(fadt, 36)) % 64, 0u);
}

TEST_F(AcpiTest, ListsInterruptControllers) {
  const auto madt = table(xsdt_entry(1));
  EXPECT_EQ(madt.size(), 44u + 3 * 8 + 12 + 10 + 10 + 6);
  EXPECT_EQ(at<std::uint32_t>(madt, 36), 0xfee0'0000u);
  for (unsigned cpu = 0; cpu < 3; ++cpu) {
    const std::uint64_t entry = 44 + 8 * cpu;
    EXPECT_EQ(at<std::uint16_t>(madt, entry), 0x0800);
    EXPECT_EQ(at<std::uint8_t>(madt, entry + 2), cpu) << "ACPI Processor UID";
    EXPECT_EQ(at<std::uint8_t>(madt, entry + 3), (std::array{0, 5, 0xfe}[cpu])) << "APIC ID";
    EXPECT_EQ(at<std::uint32_t>(madt, entry + 4), 1u);
  }
  EXPECT_EQ(at<std::uint32_t>(madt, 68 + 4), 0xfec0'0000u);
  EXPECT_EQ(at<std::uint32_t>(madt, 80 + 4), 2u) << "IRQ 0 on pin 2";
}

TEST_F(AcpiTest, NamesTheSleepStateThatIsOff) {
  const auto dsdt = table(at<std::uint32_t>(table(xsdt_entry(0)), 40));
  const Blob expected = {std::byte{0x08}, std::byte{'_'},  std::byte{'S'},  std::byte{'5'},
                         std::byte{'_'},  std::byte{0x12}, std::byte{8},    std::byte{4},
                         std::byte{0x0a}, std::byte{5},    std::byte{0x0a}, std::byte{5},
                         std::byte{0},    std::byte{0}};
  ASSERT_GE(dsdt.size(), 36 + expected.size());
  EXPECT_EQ(Blob(dsdt.begin() + 36, dsdt.begin() + 36 + 14), expected);
}

// Scope (\_SB) { Device (RNG0) { _HID, _UID, _CRS } }, as iasl writes it.
TEST_F(AcpiTest, HasTheVirtioDeviceWhereTheBoardHasIt) {
  const auto dsdt = table(at<std::uint32_t>(table(xsdt_entry(0)), 40));
  constexpr std::uint64_t kScope = 36 + 14;
  constexpr std::uint64_t kDevice = kScope + 8;
  constexpr std::uint64_t kResources = kDevice + 7 + 15 + 6 + 9;
  ASSERT_EQ(dsdt.size(), kResources + 23);

  EXPECT_EQ(at<std::uint16_t>(dsdt, kScope + 1) & 0xffu, 0x43u) << "68 bytes, in two";
  EXPECT_EQ(at<std::uint8_t>(dsdt, kScope + 2), 4);
  EXPECT_EQ(text(dsdt, kScope + 3, 5), "\\_SB_");
  EXPECT_EQ(at<std::uint16_t>(dsdt, kDevice), 0x825b) << "DeviceOp";
  EXPECT_EQ(at<std::uint8_t>(dsdt, kDevice + 2), 58);
  EXPECT_EQ(text(dsdt, kDevice + 3, 4), "RNG0");
  EXPECT_EQ(text(dsdt, kDevice + 7, 14), "\x08_HID\x0dLNRO0005");
  EXPECT_EQ(at<std::uint8_t>(dsdt, kResources), 0x86) << "Memory32Fixed";
  EXPECT_EQ(at<std::uint32_t>(dsdt, kResources + 4), 0xfeb0'0000u);
  EXPECT_EQ(at<std::uint32_t>(dsdt, kResources + 8), 0x200u);
  EXPECT_EQ(at<std::uint8_t>(dsdt, kResources + 12), 0x89) << "Interrupt";
  EXPECT_EQ(at<std::uint32_t>(dsdt, kResources + 17), 20u);
}

TEST(E820, LeavesTheLegacyHoleOut) {
  VmConfig config;
  config.memory_regions = {{.gpa = 0x1'0000'0000, .size = 0x1000'0000},
                           {.gpa = 0, .size = 0x2000'0000}};
  EXPECT_EQ(make_e820(config),
            (std::vector<E820Entry>{{0, 0x9'fc00, E820Type::Ram},
                                    {0xf'0000, 0x1'0000, E820Type::Reserved},
                                    {0x10'0000, 0x1ff0'0000, E820Type::Ram},
                                    {0x1'0000'0000, 0x1000'0000, E820Type::Ram}}));
}

/// A bzImage as small as the parser lets it be: setup of one sector, 0x800 bytes of kernel.
Blob bzimage() {
  Blob image(0x400 + 0x800);
  const auto put = [&](std::uint64_t offset, auto value) {
    ASSERT_TRUE(store_le(Bytes(image), offset, value));
  };
  put(0x1f1, std::uint8_t{1});
  put(0x1f4, std::uint32_t{0x80});
  put(0x1fe, std::uint16_t{0xaa55});
  put(0x200, std::uint16_t{0x6aeb});
  put(0x202, std::uint32_t{0x5372'6448});
  put(0x206, std::uint16_t{0x020f});
  put(0x211, std::uint8_t{1});
  put(0x22c, std::uint32_t{0x7fff'ffff});
  put(0x236, std::uint16_t{1});
  put(0x238, std::uint32_t{2047});
  put(0x258, std::uint64_t{0x10'0000});
  put(0x260, std::uint32_t{0x4000});
  put(0x400, std::uint32_t{0xfeed'beef});
  return image;
}

/// An ELF with one segment of 16 bytes at `address`.
Blob elf(std::uint64_t address, std::uint64_t memory = 0x100) {
  Blob image(0x100);
  const auto put = [&](std::uint64_t offset, auto value) {
    ASSERT_TRUE(store_le(Bytes(image), offset, value));
  };
  put(0, std::uint32_t{0x464c'457f});
  put(4, std::uint32_t{0x0001'0102});
  put(16, std::uint16_t{2});
  put(18, std::uint16_t{62});
  put(20, std::uint32_t{1});
  put(24, address + 8);
  put(32, std::uint64_t{64});
  put(52, std::uint16_t{64});
  put(54, std::uint16_t{56});
  put(56, std::uint16_t{1});
  put(58, std::uint16_t{64});
  put(64, std::uint32_t{1});
  put(68, std::uint32_t{5});
  put(72, std::uint64_t{0x80});
  put(80, address);
  put(88, address);
  put(96, std::uint64_t{16});
  put(104, memory);
  put(0x80, std::uint64_t{0x1122'3344'5566'7788});
  return image;
}

struct BootTest : testing::Test {
  test::Parts parts;
  VmConfig config;
  Images images;

  BootTest() {
    config.memory_regions = {{.gpa = 0, .size = test::Parts::kRam}};
    config.cmdline = "console=ttyS0";
  }
  void kernel(Blob bytes) {
    auto image = Image::parse("kernel", std::move(bytes), ArchId::X86_64);
    ASSERT_THAT(image, Succeeds());
    images.kernel = std::move(*image);
  }
  Result<BootLoader::Start> load() { return BootLoader(config, parts.space).load(images); }
  template <class T>
  T peek(std::uint64_t address) {
    return *parts.space.load<T>(GuestPhys(address));
  }
};

TEST_F(BootTest, StartsLinuxByThe64BitProtocol) {
  kernel(bzimage());
  images.ramdisk = Blob(100, std::byte{0x77});

  const auto start = load();

  ASSERT_THAT(start, Succeeds());
  EXPECT_FALSE(start->real_mode);
  EXPECT_EQ(start->state.rip, 0x10'0200u);
  EXPECT_EQ(start->state.gpr[static_cast<std::size_t>(Gpr::Rsi)], layout::kBootParams);
  EXPECT_EQ(start->state.efer, 0x500u);
  EXPECT_EQ(start->state.rflags, 2u);
  EXPECT_EQ(start->state.segment(SegmentName::Cs).selector, 0x10);
  EXPECT_EQ(start->state.segment(SegmentName::Ss).selector, 0x18);
  EXPECT_EQ(peek<std::uint32_t>(0x10'0000), 0xfeed'beefu);
  const std::uint64_t page = layout::kBootParams;
  EXPECT_EQ(peek<std::uint64_t>(page + 0x70), 0xf'0000u) << "acpi_rsdp_addr";
  EXPECT_EQ(peek<std::uint8_t>(page + 0x1e8), 3) << "e820 entries";
  EXPECT_EQ(peek<std::uint32_t>(page + 0x202), 0x5372'6448u);
  EXPECT_EQ(peek<std::uint8_t>(page + 0x210), 0xff) << "type_of_loader";
  EXPECT_EQ(peek<std::uint8_t>(page + 0x211), 0x81) << "loadflags";
  EXPECT_EQ(peek<std::uint32_t>(page + 0x214), 0x10'0000u) << "code32_start";
  const auto ramdisk = peek<std::uint32_t>(page + 0x218);
  EXPECT_EQ(ramdisk, test::Parts::kRam - 0x1000 - (1 << 20) + (1 << 20))
      << "at the top: no room for a reserve";
  EXPECT_EQ(peek<std::uint32_t>(page + 0x21c), 100u);
  EXPECT_EQ(peek<std::uint8_t>(ramdisk + 99), 0x77);
  EXPECT_EQ(peek<std::uint32_t>(page + 0x228), layout::kCommandLine);
  EXPECT_EQ(peek<std::uint64_t>(layout::kCommandLine), 0x3d65'6c6f'736e'6f63u) << "console=";
  EXPECT_EQ(peek<std::uint64_t>(0xf'0000), 0x2052'5450'2044'5352u) << "RSD PTR";
}

TEST_F(BootTest, MapsTheFirstFourGigabytes) {
  kernel(bzimage());
  const auto start = load();
  ASSERT_THAT(start, Succeeds());
  for (const std::uint64_t address : {0x0ULL, 0x1234'5678ULL, 0xfee0'0020ULL, 0xffff'ffffULL}) {
    const std::uint64_t mask = 0x000f'ffff'ffff'f000;
    const auto top = peek<std::uint64_t>(start->state.cr3);
    const auto middle = peek<std::uint64_t>((top & mask) + (address >> 30) * 8);
    const auto leaf = peek<std::uint64_t>((middle & mask) + (address >> 21 & 511) * 8);
    EXPECT_EQ(top & middle & 3, 3u);
    EXPECT_EQ(leaf, (address & ~std::uint64_t{0x1f'ffff}) | 0x83);
  }
  EXPECT_EQ(peek<std::uint64_t>(start->state.gdtr.base + 0x10), 0x00af'9b00'0000'ffffu);
  EXPECT_EQ(peek<std::uint64_t>(start->state.gdtr.base + 0x18), 0x00cf'9300'0000'ffffu);
}

TEST_F(BootTest, StartsAnElfAtItsEntry) {
  kernel(elf(0x10'0000));
  const auto start = load();
  ASSERT_THAT(start, Succeeds());
  EXPECT_EQ(start->state.rip, 0x10'0008u);
  EXPECT_EQ(peek<std::uint64_t>(0x10'0000), 0x1122'3344'5566'7788u);
  EXPECT_EQ(peek<std::uint32_t>(layout::kBootParams + 0x202), 0x5372'6448u);
  config.entry_point = 0x10'0004;
  parts.space.clear();
  EXPECT_EQ(load()->state.rip, 0x10'0004u) << "the configuration wins";
}

TEST_F(BootTest, StartsRawImagesInRealMode) {
  kernel(Blob(64, std::byte{0xf4}));
  const auto start = load();
  ASSERT_THAT(start, Succeeds());
  EXPECT_TRUE(start->real_mode);
  EXPECT_EQ(start->entry, GuestPhys(0x8000));
  EXPECT_EQ(peek<std::uint8_t>(0x8000), 0xf4);
  config.kernel_load_addr = 0x10'0000;
  config.entry_point = 0x10'0010;
  EXPECT_EQ(load()->entry, GuestPhys(0x10'0010));
}

TEST_F(BootTest, StartsABiosInRealMode) {
  kernel(elf(0x10'0000));
  images.bios = Blob(32, std::byte{0x90});
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "bios_load_addr"));
  config.bios_load_addr = 0x8000;
  config.entry_point = 0x8000;
  const auto start = load();
  ASSERT_THAT(start, Succeeds());
  EXPECT_TRUE(start->real_mode);
  EXPECT_EQ(peek<std::uint8_t>(0x8000), 0x90);
}

TEST_F(BootTest, NamesBothSidesOfAnOverlap) {
  kernel(elf(0x1'0000));
  EXPECT_THAT(load(), FailsSaying(ErrorCode::Overlap, "segment 0 of the kernel"));
  EXPECT_THAT(load(), FailsSaying(ErrorCode::Overlap, "boot_params"));
  kernel(elf(0xe'fff0));
  EXPECT_THAT(load(), FailsSaying(ErrorCode::Overlap, "the ACPI tables"));
  kernel(bzimage());
  images.ramdisk = Blob(100);
  config.ramdisk_load_addr = 0x10'1000;
  EXPECT_THAT(load(), FailsSaying(ErrorCode::Overlap, "the ramdisk"));
}

TEST_F(BootTest, RefusesWhatDoesNotFit) {
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "no image"));
  kernel(elf(0x4000'0000));
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "does not fit into RAM"));
  kernel(elf(0x10'0000, 0x20'0000));
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "does not fit into RAM"));
  kernel(bzimage());
  images.ramdisk = Blob(4 << 20);
  EXPECT_THAT(load(), FailsSaying(ErrorCode::NoMemory, "ramdisk"));
  images.ramdisk = Blob(1);
  config.ramdisk_load_addr = 0x1'0000'0000;
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "above 4 GiB"));
  images.ramdisk.clear();
  config.cmdline = std::string(2048, 'x');
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "cmdline"));
  kernel(elf(0x10'0000));
  config.cmdline = std::string(layout::kCommandLineRoom, 'x');
  EXPECT_THAT(load(), FailsSaying(ErrorCode::InvalidInput, "cmdline"));
}

TEST_F(BootTest, DoesWithoutTablesWhereRamIsMissing) {
  parts.space.clear();
  ASSERT_THAT(parts.space.unmap(GuestPhys(0xf'0000), 0x1'0000), Succeeds());
  kernel(Blob(64));
  EXPECT_THAT(load(), Succeeds());
}

}  // namespace
}  // namespace retrap::x86_64
