// Images: each kind is recognised, each damaged header is refused by the name of its field.
#include "vmm/image.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/image_files.h"
#include "tests/support/matchers.h"
#include "tests/support/paths.h"
#include "vmm/base/prng.h"
#include "vmm/config.h"

namespace retrap {
namespace {

using test::FailsSaying;
using test::FailsWith;
using test::ImageBytes;
using test::program_header;
using test::put;
using test::sound_bzimage;
using test::sound_elf;
using test::sound_image;
using test::Succeeds;

TEST(ElfImage, GivesItsSegmentsByPhysicalAddress) {
  for (const ArchId arch : kAllArchs) {
    const auto image = Image::parse("demo.elf", sound_elf(arch), arch);

    ASSERT_THAT(image, Succeeds());
    EXPECT_EQ(image->kind(), ImageKind::Elf);
    EXPECT_EQ(image->entry(), GuestPhys(0x4008'0000));
    EXPECT_EQ(image->memory_size(), 0x1'1000u);
    ASSERT_EQ(image->segments().size(), 2u);
    EXPECT_EQ(image->segments()[0].address, GuestPhys(0x4008'0000));
    EXPECT_EQ(image->segments()[0].bytes.size(), 0x100u);
    EXPECT_EQ(image->segments()[0].bytes[0], std::byte{0xaa});
    EXPECT_EQ(image->segments()[1].size, 0x1000u);
    EXPECT_EQ(image->segments()[1].bytes.size(), 0x80u);
  }
}

TEST(ElfImage, KeepsItsSegmentsWhenItMoves) {
  auto image = *Image::parse("demo.elf", sound_elf(ArchId::X86_64), ArchId::X86_64);
  const Image moved = std::move(image);

  EXPECT_EQ(moved.segments()[0].bytes.data(), moved.bytes().data() + 0x200);
}

TEST(ElfImage, TakesAPhysicalEntryToo) {
  auto elf = sound_elf(ArchId::X86_64);
  put<std::uint64_t>(elf, 24, 0x4008'0010);
  const auto image = Image::parse("vmlinux", elf, ArchId::X86_64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->entry(), GuestPhys(0x4008'0010));
}

TEST(KernelImage, OfArmIsRecognised) {
  const auto image = Image::parse("Image", sound_image(ArchId::Aarch64), ArchId::Aarch64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->kind(), ImageKind::Arm64Image);
  EXPECT_EQ(image->text_offset(), 0x20'0000u);
  EXPECT_EQ(image->memory_size(), 0x8000u);
}

TEST(KernelImage, OfRiscvIsRecognised) {  // N17
  const auto image = Image::parse("Image", sound_image(ArchId::Riscv64), ArchId::Riscv64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->kind(), ImageKind::RiscvImage);
  EXPECT_EQ(image->text_offset(), 0x20'0000u);
}

TEST(KernelImage, OfX86IsRecognised) {
  const auto image = Image::parse("bzImage", sound_bzimage(), ArchId::X86_64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->kind(), ImageKind::BzImage);
}

TEST(KernelImage, OfOldArmHasItsFixedTextOffset) {
  auto bytes = sound_image(ArchId::Aarch64);
  put<std::uint64_t>(bytes, 16, 0);
  const auto image = Image::parse("Image", bytes, ArchId::Aarch64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->text_offset(), 0x8'0000u);
  EXPECT_EQ(image->memory_size(), bytes.size());
}

TEST(KernelImage, WithoutAMagicNumberIsRaw) {
  const auto image = Image::parse("demo.bin", ImageBytes(100, std::byte{0x90}), ArchId::X86_64);

  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ(image->kind(), ImageKind::Raw);
  EXPECT_EQ(image->memory_size(), 100u);
}

struct Case {
  std::string name;
  std::function<ImageBytes()> make;
  ArchId arch;
  std::string text;
};
void PrintTo(const Case& row, std::ostream* out) {
  *out << row.name;
}

template <class T>
std::function<ImageBytes()> elf_with(std::uint64_t offset, T value) {
  return [=] {
    auto elf = sound_elf(ArchId::X86_64);
    put<T>(elf, offset, value);
    return elf;
  };
}

template <class T>
std::function<ImageBytes()> image_with(std::uint64_t offset, T value) {
  return [=] {
    auto image = sound_image(ArchId::Riscv64);
    put<T>(image, offset, value);
    return image;
  };
}

template <class T>
std::function<ImageBytes()> bzimage_with(std::uint64_t offset, T value) {
  return [=] {
    auto image = sound_bzimage();
    put<T>(image, offset, value);
    return image;
  };
}

std::vector<Case> cases() {
  constexpr ArchId kX86 = ArchId::X86_64;
  constexpr ArchId kRiscv = ArchId::Riscv64;
  const auto first_bytes = [](std::initializer_list<unsigned> bytes) {
    return [bytes = std::vector<unsigned>(bytes)] {
      ImageBytes image(64);
      for (std::size_t i = 0; i < bytes.size(); ++i) image[i] = std::byte(bytes[i]);
      return image;
    };
  };
  return {
      {"Empty", [] { return ImageBytes(); }, kX86, "x: is empty; name another file"},
      {"ElfOf32Bits", elf_with<std::uint8_t>(4, 1), kX86, "x: ELF"},
      {"ElfBigEndian", elf_with<std::uint8_t>(5, 2), kX86, "x: ELF"},
      {"ElfForAnother", [] { return sound_elf(ArchId::Aarch64); }, kX86,
       "x: ELF e_machine: is for aarch64, the guest is x86_64"},
      {"ElfForAStranger", elf_with<std::uint16_t>(18, 8), kX86, "is for machine 8"},
      {"ElfObject", elf_with<std::uint16_t>(16, 1), kX86, "ELF e_type: 1 is no executable"},
      {"ElfWithoutSegments", elf_with<std::uint16_t>(56, 0), kX86, "nothing to load"},
      {"ElfWithoutHeaders", elf_with<std::uint64_t>(32, 0x3f8), kX86, "ELF"},
      {"ElfWithALinker", elf_with<std::uint32_t>(program_header(1), 3), kX86,
       "asks for a dynamic linker"},
      {"ElfOffsetPastTheEnd", elf_with<std::uint64_t>(program_header(1) + 8, 0x401), kX86,
       "ELF program header 1: p_offset 0x401 + p_filesz 0x80 is past the end"},
      {"ElfOffsetWraps", elf_with<std::uint64_t>(program_header(1) + 8, ~std::uint64_t{0}), kX86,
       "is past the end of the file"},
      {"ElfFileszPastTheEnd", elf_with<std::uint64_t>(program_header(1) + 32, 0x101), kX86,
       "p_filesz 0x101 is past the end"},
      {"ElfMemszTooSmall", elf_with<std::uint64_t>(program_header(1) + 40, 0x7f), kX86,
       "p_memsz 0x7f is less than p_filesz 0x80"},
      {"ElfAddressWraps", elf_with<std::uint64_t>(program_header(1) + 24, ~std::uint64_t{0}), kX86,
       "p_memsz 0x1000 wraps"},
      {"ElfSegmentsOverlap", elf_with<std::uint64_t>(program_header(1) + 24, 0x4008'00ff), kX86,
       "overlap"},
      {"ElfEntryOutside", elf_with<std::uint64_t>(24, 0x1000), kX86,
       "ELF e_entry: 0x1000 is in no executable segment"},
      {"ElfEntryInData", elf_with<std::uint64_t>(24, 0xffff'0000'4009'0000), kX86, "ELF e_entry"},
      {"ImageForAnother", [] { return sound_image(ArchId::Aarch64); }, kRiscv,
       "x: is a kernel for aarch64 (arm64 Image), the guest is riscv64"},
      {"ImageBigEndian", image_with<std::uint64_t>(24, 1), kRiscv, "flags: 0x1 says big-endian"},
      {"ImageWithoutSize", image_with<std::uint64_t>(16, 0), kRiscv, "image_size: 0x0 is not in"},
      {"ImageHuge", image_with<std::uint64_t>(16, ~std::uint64_t{0}), kRiscv, "image_size"},
      {"ImageFarAway", image_with<std::uint64_t>(8, ~std::uint64_t{0}), kRiscv, "text_offset"},
      {"ImageCutShort",
       [] {
         auto image = sound_image(ArchId::Riscv64);
         image.resize(60);
         return image;
       },
       kRiscv, "the file is cut short"},
      {"BzImageForAnother", sound_bzimage, kRiscv, "is a kernel for x86_64 (bzImage)"},
      {"BzImageOld", bzimage_with<std::uint16_t>(0x206, 0x020b), kX86,
       "boot protocol 2.11 is older than 2.12"},
      {"BzImageOf32Bits", bzimage_with<std::uint16_t>(0x236, 0), kX86, "no 64-bit entry point"},
      {"BzImageCutShort", bzimage_with<std::uint32_t>(0x1f4, 0x101), kX86,
       "syssize: the kernel has 0x1010 bytes, the file 0x1000"},
      {"BzImageAllSetup", bzimage_with<std::uint8_t>(0x1f1, 255), kX86, "syssize"},
      {"BzImageHeaderOnly",
       [] {
         auto image = sound_bzimage();
         image.resize(0x220);
         return image;
       },
       kX86, "setup header: ends at 0x264"},
      {"Gzip", first_bytes({0x1f, 0x8b, 8}), kX86, "compressed with gzip; gunzip it first"},
      {"Zstd", first_bytes({0x28, 0xb5, 0x2f, 0xfd}), kX86, "compressed with zstd"},
      {"Xz", first_bytes({0xfd, 0x37, 0x7a, 0x58}), kX86, "compressed with xz"},
      {"Zboot", first_bytes({'M', 'Z', 0, 0, 'z', 'i', 'm', 'g'}), kX86, "EFI zboot"},
  };
}

class ABadImage : public ::testing::TestWithParam<Case> {};

TEST_P(ABadImage, IsRefusedByTheNameOfItsField) {
  const auto image = Image::parse("x", GetParam().make(), GetParam().arch);

  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, ::testing::HasSubstr(GetParam().text));
  EXPECT_THAT(image.error().message, ::testing::StartsWith("x: "));
  EXPECT_EQ(image.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, ABadImage, ::testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

struct Sample {
  ArchId arch;
  ImageBytes bytes;
};

std::vector<Sample> samples() {
  return {{ArchId::X86_64, sound_elf(ArchId::X86_64)},
          {ArchId::Aarch64, sound_image(ArchId::Aarch64)},
          {ArchId::Riscv64, sound_image(ArchId::Riscv64)},
          {ArchId::X86_64, sound_bzimage()}};
}

// What holds for any image that was accepted.
void expect_sound(const Image& image) {
  const auto bytes = image.bytes();
  for (const ImageSegment& segment : image.segments()) {
    EXPECT_GE(segment.size, segment.bytes.size());
    EXPECT_TRUE(GuestRange::make(segment.address, segment.size));
    EXPECT_GE(segment.bytes.data(), bytes.data());
    EXPECT_LE(segment.bytes.data() + segment.bytes.size(), bytes.data() + bytes.size());
  }
}

TEST(AnImage, SurvivesEveryPrefix) {
  for (const Sample& sample : samples()) {
    for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
      const auto end = sample.bytes.begin() + static_cast<std::ptrdiff_t>(size);
      const auto image = Image::parse("x", ImageBytes(sample.bytes.begin(), end), sample.arch);
      if (image) expect_sound(*image);
    }
  }
}

TEST(AnImage, SurvivesEveryFlippedBitOfItsHeaders) {
  for (const Sample& sample : samples()) {
    for (std::size_t bit = 0; bit < 0x264 * 8; ++bit) {
      auto damaged = sample.bytes;
      damaged[bit / 8] ^= std::byte(1u << (bit % 8));
      const auto image = Image::parse("x", std::move(damaged), sample.arch);
      if (image) expect_sound(*image);
    }
  }
}

TEST(AnImage, SurvivesRandomHeaders) {
  Prng random(7);
  for (int run = 0; run < 4'000; ++run) {
    for (const Sample& sample : samples()) {
      auto damaged = sample.bytes;
      for (int i = 0; i < 4; ++i) {
        put<std::uint32_t>(damaged, random.below(0x260), static_cast<std::uint32_t>(random.next()));
      }
      const auto image = Image::parse("x", std::move(damaged), sample.arch);
      if (image) expect_sound(*image);
    }
  }
}

TEST(LoadImages, ReportsEveryFileThatCannotBeRead) {
  VmConfig config;
  config.kernel_path = "no/kernel";
  config.ramdisk_path = "no/ramdisk";
  config.dtb_path = test::source_dir().string();
  const auto images = load_images(config);

  ASSERT_THAT(images, FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(images.error().message,
            "no/kernel: cannot read: No such file or directory; check the path\n"
            "no/ramdisk: cannot read: No such file or directory; check the path\n" +
                test::source_dir().string() + ": is a directory; name a file");
}

TEST(LoadImages, RefusesATreeThatIsNone) {
  VmConfig config;
  config.dtb_path = (test::source_dir() / "LICENSE").string();

  EXPECT_THAT(load_images(config), FailsSaying(ErrorCode::InvalidInput, "not a device tree"));
}

TEST(LoadImages, HasNoImagesInMemory) {
  VmConfig config;
  config.image_location = ImageLocation::Memory;

  EXPECT_THAT(load_images(config), FailsSaying(ErrorCode::Unsupported, "use image_location"));
}

TEST(ReadFile, StopsAtItsLimit) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "read_file_test";
  std::ofstream(path) << "12345";

  EXPECT_EQ(read_file(path.string(), 5)->size(), 5u);
  EXPECT_THAT(read_file(path.string(), 4), FailsSaying(ErrorCode::InvalidInput, "larger than 4"));
  EXPECT_THAT(read_file("", 4), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(read_file(std::string("a\0b", 3), 4), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(read_file("/dev/zero", 4096), FailsSaying(ErrorCode::InvalidInput, "larger"));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace retrap
