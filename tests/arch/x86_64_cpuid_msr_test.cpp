// The processor that every guest sees, and its model-specific registers.
#include <gtest/gtest.h>

#include <string>

#include "arch/x86_64/cpuid.h"
#include "tests/arch/x86_64_fake_cpu.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

using Answer = MsrFile::Answer;

std::string letters(std::initializer_list<std::uint32_t> words) {
  std::string text;
  for (const std::uint32_t word : words) {
    for (unsigned i = 0; i < 4; ++i) text.push_back(static_cast<char>(word >> (8 * i)));
  }
  return text;
}

TEST(Cpuid, IsTheSameOnEveryHost) {  // X5
  const CpuidContext context{.apic_id = 0, .cpu_count = 1, .apic_enabled = true};
  const auto vendor = cpuid(0, 0, context);
  EXPECT_EQ(vendor.eax, 0x15u);
  EXPECT_EQ(letters({vendor.ebx, vendor.edx, vendor.ecx}), "GenuineIntel");
  EXPECT_EQ(cpuid(1, 0, context),
            (CpuidResult{0x0003'06a9, 0x0001'0800, 0x81f8'2201, 0x078b'abfd}));
  EXPECT_EQ(cpuid(7, 0, context), (CpuidResult{0, 0x0010'0083, 0, 0x2400'0000}));
  EXPECT_EQ(cpuid(7, 1, context), CpuidResult{});
  EXPECT_EQ(cpuid(0x15, 0, context), (CpuidResult{1, 40, 25'000'000, 0}));
  EXPECT_EQ(cpuid(0x8000'0001, 0, context), (CpuidResult{0, 0, 0x21, 0x2c10'0800}));
  EXPECT_EQ(cpuid(0x8000'0007, 0, context).edx, 0x100u);
  EXPECT_EQ(cpuid(0x8000'0008, 0, context).eax, 0x3028u);
}

TEST(Cpuid, HidesWhatTheSimulatedCpuDoesNotHave) {  // X5
  const auto features = cpuid(1, 0, {});
  EXPECT_FALSE(has_bit(features.ecx, 3)) << "MONITOR";
  EXPECT_FALSE(has_bit(features.ecx, 5)) << "VMX";
  EXPECT_FALSE(has_bit(features.ecx, 26)) << "XSAVE";
  EXPECT_FALSE(has_bit(features.ecx, 28)) << "AVX";
  EXPECT_FALSE(has_bit(features.ecx, 30)) << "RDRAND";
  EXPECT_FALSE(has_bit(features.edx, 14)) << "machine-check banks";
  EXPECT_TRUE(has_bit(features.ecx, 31)) << "hypervisor";
  EXPECT_FALSE(has_bit(cpuid(7, 0, {}).ebx, 8)) << "BMI2";
  EXPECT_FALSE(has_bit(cpuid(7, 0, {}).ebx, 18)) << "RDSEED";
}

TEST(Cpuid, NamesTheHypervisor) {
  const auto leaf = cpuid(0x4000'0000, 0, {});
  EXPECT_EQ(leaf.eax, 0x4000'0000u);
  EXPECT_EQ(letters({leaf.ebx, leaf.ecx, leaf.edx}), "RetrapRetrap");
  EXPECT_EQ(cpuid(0x4000'0001, 0, {}), CpuidResult{});
}

TEST(Cpuid, SpellsTheBrand) {
  std::string brand;
  for (std::uint32_t leaf = 0x8000'0002; leaf <= 0x8000'0004; ++leaf) {
    const auto part = cpuid(leaf, 0, {});
    brand += letters({part.eax, part.ebx, part.ecx, part.edx});
  }
  EXPECT_STREQ(brand.c_str(), "retrap virtual CPU @ 1.00GHz");
  EXPECT_EQ(cpuid(0x8000'0000, 0, {}).eax, 0x8000'0008u);
  EXPECT_EQ(cpuid(0x8000'0005, 0, {}), CpuidResult{});
}

TEST(Cpuid, AnswersLeavesBeyondTheLastAsTheLast) {
  EXPECT_EQ(cpuid(0x16, 0, {}), cpuid(0x15, 0, {}));
  EXPECT_EQ(cpuid(0x8000'0009, 0, {}), cpuid(0x15, 0, {}));
  EXPECT_EQ(cpuid(2, 0, {}), CpuidResult{});
}

TEST(Cpuid, CountsCpus) {
  const CpuidContext context{
      .apic_id = 2, .cpu_count = 6, .highest_apic_id = 5, .apic_enabled = false};
  EXPECT_EQ(cpuid(1, 0, context).ebx, 0x0206'0800u);
  EXPECT_TRUE(has_bit(cpuid(1, 0, context).edx, 28)) << "HTT";
  EXPECT_FALSE(has_bit(cpuid(1, 0, context).edx, 9)) << "the APIC is off";
  EXPECT_EQ(cpuid(0xb, 0, context), (CpuidResult{0, 1, 0x100, 2}));
  EXPECT_EQ(cpuid(0xb, 1, context), (CpuidResult{3, 6, 0x201, 2}));
  EXPECT_EQ(cpuid(0xb, 2, context), (CpuidResult{0, 0, 2, 2}));
}

TEST(Cpuid, HasRoomInThePackageForEveryApicId) {
  const CpuidContext context{.apic_id = 0xc0, .cpu_count = 2, .highest_apic_id = 0xfe};
  EXPECT_EQ(cpuid(1, 0, context).ebx, 0xc0ff'0800u);
  EXPECT_EQ(cpuid(0xb, 0, context), (CpuidResult{0, 1, 0x100, 0xc0}));
  EXPECT_EQ(cpuid(0xb, 1, context), (CpuidResult{8, 2, 0x201, 0xc0})) << "0xfe >> 8: package 0";
  const auto alone = cpuid(1, 0, {.apic_id = 3, .cpu_count = 1, .highest_apic_id = 3});
  EXPECT_TRUE(has_bit(alone.edx, 28)) << "HTT: EBX says how many ids there are";
}

struct MsrTest : testing::Test {
  test::Parts parts;
  MsrFile file{parts.cpu, parts.interrupts.apics(), 0, parts.clock, parts.mmio};

  std::uint64_t get(std::uint32_t number) {
    std::uint64_t value = 0;
    EXPECT_EQ(file.read(number, value), Answer::Done) << std::hex << number;
    return value;
  }
};

TEST_F(MsrTest, ReadsEveryRegisterOfTheTable) {
  for (const MsrRow& row : msr_table()) {
    std::uint64_t value = 0;
    const bool readable = row.kind != MsrKind::Command;
    EXPECT_EQ(file.read(row.number, value), readable ? Answer::Done : Answer::Fault) << row.name;
    if (row.kind != MsrKind::Special) {
      EXPECT_EQ(value, row.reset) << row.name;
    }
  }
}

TEST_F(MsrTest, RefusesReservedBitsAndConstants) {
  for (const MsrRow& row : msr_table()) {
    const std::uint64_t reserved = ~row.writable;
    if (row.kind == MsrKind::Constant) {
      EXPECT_EQ(file.write(row.number, row.reset), Answer::Fault) << row.name;
    } else if (reserved != 0) {
      EXPECT_EQ(file.write(row.number, reserved & (~reserved + 1)), Answer::Fault) << row.name;
    }
  }
}

TEST_F(MsrTest, KeepsWhatIsStored) {
  EXPECT_EQ(file.write(0x8b, 0x1234), Answer::Done);
  EXPECT_EQ(get(0x8b), 0x1234u);
  EXPECT_EQ(file.write(0x1a0, 0), Answer::Done);
  EXPECT_EQ(get(0x1a0), 0u);
  EXPECT_EQ(file.write(0x79, 0xabc), Answer::Done);
  EXPECT_EQ(get(0x79), 0u) << "the microcode trigger forgets";
  file.reset();
  EXPECT_EQ(get(0x1a0), 1u);
}

TEST_F(MsrTest, DoesNotKnowWhatIsNotInTheTable) {
  std::uint64_t value = 0;
  for (const std::uint32_t number : {0x2U, 0x1cU, 0x200U, 0x345U, 0xc001'0015U, ~0U}) {
    EXPECT_EQ(file.read(number, value), Answer::Unknown) << std::hex << number;
    EXPECT_EQ(file.write(number, 0), Answer::Unknown) << std::hex << number;
  }
}

TEST_F(MsrTest, WantsCanonicalAddresses) {
  for (const std::uint32_t number : {0x175U, 0x176U, 0xc000'0082U, 0xc000'0100U, 0xc000'0102U}) {
    EXPECT_EQ(file.write(number, 0xffff'8000'0000'0000), Answer::Done);
    EXPECT_EQ(file.write(number, 0x0000'8000'0000'0000), Answer::Fault);
    EXPECT_EQ(get(number), 0xffff'8000'0000'0000u);
  }
}

TEST_F(MsrTest, WantsMemoryTypesInThePat) {
  EXPECT_EQ(file.write(0x277, 0x0706'0504'0100'0706), Answer::Done);
  EXPECT_EQ(file.write(0x277, 0x0706'0504'0100'0702), Answer::Fault);
  EXPECT_EQ(file.write(0x277, 0x0306'0504'0100'0706), Answer::Fault);
  EXPECT_EQ(file.write(0x277, 0x0806'0504'0100'0706), Answer::Fault);
}

TEST_F(MsrTest, ChecksEfer) {
  EXPECT_EQ(file.write(msr::kEfer, 0x901), Answer::Done);
  EXPECT_EQ(parts.cpu.now.efer, 0x901u);
  EXPECT_EQ(file.write(msr::kEfer, 0x1901), Answer::Fault) << "SVME";
  parts.cpu.now.cr0 = 0x8000'0011;
  parts.cpu.now.efer = 0x501;
  EXPECT_EQ(file.write(msr::kEfer, 0x001), Answer::Fault) << "LME with paging on";
  EXPECT_EQ(file.write(msr::kEfer, 0x100), Answer::Done);
  EXPECT_EQ(get(msr::kEfer), 0x500u) << "LMA is the CPU's";
}

TEST_F(MsrTest, MovesTheTsc) {
  parts.clock.retire_to(1000);
  EXPECT_EQ(get(msr::kTsc), 1000u);
  EXPECT_EQ(file.write(msr::kTsc, 5000), Answer::Done);
  EXPECT_EQ(get(msr::kTsc), 5000u);
  EXPECT_EQ(get(msr::kTscAdjust), 4000u);
  EXPECT_EQ(file.write(msr::kTscAdjust, 0), Answer::Done);
  EXPECT_EQ(get(msr::kTsc), 1000u);
  EXPECT_EQ(parts.cpu.tsc, 0u);
}

TEST_F(MsrTest, ArmsTheTscDeadlineOnTheBus) {
  Lapic& own = parts.interrupts.apics().apic(0);
  EXPECT_EQ(file.write(msr::kTscDeadline, 700), Answer::Done);
  EXPECT_EQ(get(msr::kTscDeadline), 0u) << "the timer has another mode";
  ASSERT_TRUE(own.write(apic::kLvtTimer, 0x4'0040, 0));
  EXPECT_EQ(file.write(msr::kTscDeadline, 700), Answer::Done);
  EXPECT_EQ(get(msr::kTscDeadline), 700u);
  EXPECT_EQ(parts.clock.next_alarm_ns(), 700u);
  EXPECT_EQ(file.write(msr::kTscAdjust, 100), Answer::Done);
  EXPECT_EQ(parts.clock.next_alarm_ns(), 600u);
}

TEST_F(MsrTest, ChecksTheApicBase) {
  const std::uint64_t base = get(msr::kApicBase);
  EXPECT_EQ(base, 0xfee0'0900u);
  EXPECT_EQ(file.write(msr::kApicBase, base + 0x1000), Answer::Fault) << "the page stays";
  EXPECT_EQ(file.write(msr::kApicBase, base & ~apic::kBaseBsp), Answer::Fault);
  EXPECT_EQ(file.write(msr::kApicBase, (base & ~apic::kBaseEnable) | apic::kBaseX2), Answer::Fault);
  std::uint64_t value = 0;
  EXPECT_EQ(file.read(0x802, value), Answer::Fault);
  EXPECT_EQ(file.write(msr::kApicBase, base | apic::kBaseX2), Answer::Done);
  EXPECT_EQ(file.read(0x802, value), Answer::Done);
  EXPECT_EQ(file.write(0x808, 0x30), Answer::Done);
  EXPECT_EQ(file.write(0x808, 0x100), Answer::Fault);
  EXPECT_EQ(file.write(msr::kApicBase, base), Answer::Fault) << "x2APIC is left through off only";
  EXPECT_EQ(file.write(msr::kApicBase, base & ~apic::kBaseEnable), Answer::Done);
  EXPECT_EQ(file.write(msr::kApicBase, base | apic::kBaseX2), Answer::Fault);
  EXPECT_EQ(file.write(msr::kApicBase, base), Answer::Done);
}

TEST_F(MsrTest, NamesItsRegistersAndDigestsThem) {
  std::vector<NamedRegister> registers;
  file.add_registers(registers);
  const auto has = [&](std::string_view name) {
    return std::any_of(registers.begin(), registers.end(),
                       [&](const NamedRegister& one) { return one.name == name; });
  };
  EXPECT_TRUE(has("IA32_MISC_ENABLE"));
  EXPECT_TRUE(has("IA32_APIC_BASE"));
  EXPECT_FALSE(has("IA32_EFER")) << "the CPU names that itself";
  Digest before;
  file.digest(before);
  EXPECT_EQ(file.write(0x8b, 1), Answer::Done);
  Digest after;
  file.digest(after);
  EXPECT_NE(before.value(), after.value());
}

}  // namespace
}  // namespace retrap::x86_64
