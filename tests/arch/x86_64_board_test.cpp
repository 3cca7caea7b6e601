// The PC as a whole: what is plugged where, through a VM on scripted CPUs.
#include "arch/x86_64/board.h"

#include <gtest/gtest.h>

#include "arch/x86_64/architecture.h"
#include "tests/arch/x86_64_fake_cpu.h"
#include "tests/support/matchers.h"
#include "vmm/base/bytes.h"
#include "vmm/vm.h"

namespace retrap::x86_64 {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using test::FakeCpu;

class FakeCpus final : public CpuSet {
 public:
  FakeCpus(unsigned count, Clock& clock) {
    for (unsigned i = 0; i < count; ++i) cpus_.push_back(std::make_unique<FakeCpu>(clock));
  }
  [[nodiscard]] unsigned size() const override { return static_cast<unsigned>(cpus_.size()); }
  [[nodiscard]] FakeCpu& cpu(unsigned index) override { return *cpus_[index]; }

 private:
  std::vector<std::unique_ptr<FakeCpu>> cpus_;
};

class FakeHardware final : public Hardware {
 public:
  explicit FakeHardware(Clock& clock) : clock_(clock) {}
  [[nodiscard]] Result<std::unique_ptr<CpuSet>> create(unsigned count, AddressSpace&) override {
    if (fails) return fail(ErrorCode::Backend, "the engine refuses");
    auto made = std::make_unique<FakeCpus>(count, clock_);
    cpus = made.get();
    return made;
  }
  bool fails = false;
  FakeCpus* cpus = nullptr;

 private:
  Clock& clock_;
};

class Host final : public Hal {
 public:
  Host() {
    auto made = std::make_unique<FakeHardware>(clock_);
    hardware = made.get();
    architecture_ = make_architecture(std::move(made));
  }
  [[nodiscard]] Frames& frames() override { return frames_; }
  [[nodiscard]] Clock& clock() override { return clock_; }
  [[nodiscard]] Architecture* architecture(ArchId) override { return architecture_.get(); }
  FakeHardware* hardware;

 private:
  Clock clock_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(16 << 20);
  HostMemory memory_{HostPhys(0x1'0000'0000), bytes_};
  Frames frames_{memory_};
  std::unique_ptr<Architecture> architecture_;
};

struct Text final : ConsoleSink {
  void put(char byte) override { text.push_back(byte); }
  std::string text;
};

struct BoardTest : testing::Test {
  Host host;
  Text console;
  VmConfig config = host.architecture(ArchId::X86_64)->default_config(2 << 20);
  std::unique_ptr<Vm> vm;

  void make(std::uint32_t cpus = 1) {
    config.cpu_num = cpus;
    auto made = Vm::create(config, host, console);
    ASSERT_THAT(made, Succeeds());
    vm = std::move(*made);
    Images images;
    auto image = Image::parse("raw", std::vector<std::byte>(16), ArchId::X86_64);
    ASSERT_THAT(image, Succeeds());
    images.kernel = std::move(*image);
    ASSERT_THAT(vm->load(images), Succeeds());
    ASSERT_THAT(vm->boot(), Succeeds());
  }
  FakeCpu& cpu(unsigned index = 0) { return host.hardware->cpus->cpu(index); }

  /// One OUT of the guest, and what the VM then says.
  ExitReason out(std::uint16_t port, Width width, std::uint64_t value) {
    cpu().set_gpr(Gpr::Rax, value);
    cpu().script.push_back(io(port, width, 0));
    return *vm->run_vcpu(kBootVcpu);
  }
  std::uint64_t in(std::uint16_t port, Width width) {
    cpu().set_gpr(Gpr::Rax, 0);
    cpu().script.push_back(io(port, width, ioio::kIn));
    (void)vm->run_vcpu(kBootVcpu);
    return cpu().gpr(Gpr::Rax);
  }
  static RawExit io(std::uint16_t port, Width width, std::uint64_t in) {
    return {.code = SvmExit::Ioio,
            .info1 = std::uint64_t{port} << 16 | in | bytes(width) << 4,
            .next_rip = 1};
  }
  void SetUp() override { host.clock().set_slice_end(0); }
};

TEST_F(BoardTest, HasItsDevicesWhereAPcHasThem) {
  make();
  const struct {
    std::uint16_t port;
    const char* name;
  } rows[] = {{0x20, "pic1"},     {0x40, "pit"},   {0x61, "port61"},   {0x64, "i8042"},
              {0x70, "rtc"},      {0xa0, "pic2"},  {0xe9, "debug"},    {0xf4, "exit"},
              {0x3f8, "ns16550"}, {0x4d0, "elcr"}, {0x600, "acpi-pm"}, {0xcf9, "reset"}};
  for (const auto& row : rows) {
    const Device* device = vm->ports().first_in(row.port, 1);
    ASSERT_NE(device, nullptr) << row.name;
    EXPECT_EQ(device->name(), row.name);
  }
  EXPECT_EQ(vm->mmio().first_in(0xfeb0'0000, 1)->name(), "virtio-entropy");
  EXPECT_EQ(vm->mmio().first_in(0xfec0'0000, 1)->name(), "ioapic");
  EXPECT_EQ(vm->mmio().first_in(0xfee0'0000, 1)->name(), "lapic");
}

TEST_F(BoardTest, PrintsThroughCom1) {
  make();
  EXPECT_EQ(out(0x3f8, Width::Byte, 'r'), ExitReason(exits::BudgetSpent{}));
  (void)out(0xe9, Width::Byte, '!');
  EXPECT_EQ(console.text, "r!");
}

TEST_F(BoardTest, TakesInput) {
  make();
  EXPECT_TRUE(vm->board().receive('x'));
  EXPECT_EQ(in(0x3f8, Width::Byte), 'x');
}

TEST_F(BoardTest, PowersOffThroughAcpi) {
  make();
  EXPECT_EQ(out(0x604, Width::Half, 0x3400), ExitReason(exits::SystemDown{}));
}

TEST_F(BoardTest, ResetsThroughThreePorts) {
  make();
  EXPECT_EQ(out(0xcf9, Width::Byte, 6), ExitReason(exits::SystemReset{}));
  EXPECT_EQ(out(0x64, Width::Byte, 0xfe), ExitReason(exits::SystemReset{}));
  EXPECT_EQ(out(0xf4, Width::Byte, 0), ExitReason(exits::SystemDown{}));
}

TEST_F(BoardTest, FloatsWhereNoDeviceIs) {
  make();
  EXPECT_EQ(in(0xcf8, Width::Word), 0xffff'ffffu) << "no PCI";
  EXPECT_EQ(in(0x80, Width::Byte), 0xffu);
  EXPECT_EQ(vm->statistics().unclaimed_ports, 2u);
}

TEST_F(BoardTest, WiresTheTimerThroughThePicToTheCpu) {
  make();
  (void)out(0x20, Width::Byte, 0x13);
  (void)out(0x21, Width::Byte, 0x20);
  (void)out(0x21, Width::Byte, 0x01);
  (void)out(0x43, Width::Byte, 0x34);
  (void)out(0x40, Width::Byte, 100);
  (void)out(0x40, Width::Byte, 0);
  EXPECT_NE(host.clock().next_alarm_ns(), kNever);
  for (int edge = 0; edge < 2; ++edge) {  // OUT falls, then rises
    host.clock().skip_to(host.clock().next_alarm_ns());
    host.clock().fire_due();
  }
  cpu().now.rflags = 2 | flag::kInterrupt;
  EXPECT_TRUE(vm->board().vcpu(kBootVcpu).wakeup_pending());
  (void)vm->run_vcpu(kBootVcpu);
  ASSERT_EQ(cpu().delivered.size(), 1u);
  EXPECT_EQ(cpu().delivered[0], Event::interrupt(0x20));
}

TEST_F(BoardTest, StartsTheRawImageInRealMode) {
  make();
  EXPECT_EQ(cpu().segment(SegmentName::Cs).base, 0x8000u);
  EXPECT_EQ(cpu().rip(), 0u);
}

TEST_F(BoardTest, StartsAnElfInLongMode) {
  make();
  Images images;
  auto other = Vm::create(config, host, console);
  ASSERT_THAT(other, Succeeds());
  std::vector<std::byte> blob(0x100);
  const auto put = [&](std::uint64_t offset, auto value) {
    ASSERT_TRUE(store_le(Bytes(blob), offset, value));
  };
  put(0, std::uint32_t{0x464c'457f});
  put(4, std::uint32_t{0x0001'0102});
  put(16, std::uint16_t{2});
  put(18, std::uint16_t{62});
  put(20, std::uint32_t{1});
  put(24, std::uint64_t{0x10'0000});
  put(32, std::uint64_t{64});
  put(52, std::uint16_t{64});
  put(54, std::uint16_t{56});
  put(56, std::uint16_t{1});
  put(58, std::uint16_t{64});
  put(64, std::uint32_t{1});
  put(68, std::uint32_t{5});
  put(72, std::uint64_t{0x80});
  put(80, std::uint64_t{0x10'0000});
  put(88, std::uint64_t{0x10'0000});
  put(96, std::uint64_t{16});
  put(104, std::uint64_t{16});
  auto image = Image::parse("elf", std::move(blob), ArchId::X86_64);
  ASSERT_THAT(image, Succeeds());
  images.kernel = std::move(*image);
  ASSERT_THAT((*other)->load(images), Succeeds());
  EXPECT_EQ(cpu().rip(), 0x10'0000u);
  EXPECT_EQ(cpu().efer(), 0x500u);
}

TEST_F(BoardTest, ResetsItsParts) {
  make(2);
  cpu(1).set_gpr(Gpr::Rax, 5);
  vm->board().reset();
  EXPECT_EQ(cpu(1).gpr(Gpr::Rax), 0u);
  Digest one;
  vm->digest(one);
  Digest two;
  vm->digest(two);
  EXPECT_EQ(one.value(), two.value());
}

TEST_F(BoardTest, PassesOnWhatTheHardwareRefuses) {
  host.hardware->fails = true;
  EXPECT_THAT(Vm::create(config, host, console), FailsSaying(ErrorCode::Backend, "refuses"));
}

TEST_F(BoardTest, RefusesDevicesOnTopOfItsOwn) {
  config.memory_regions.push_back({.gpa = 0xfec0'0000, .size = 0x1000});
  EXPECT_THAT(Vm::create(config, host, console), FailsSaying(ErrorCode::AlreadyExists, "ioapic"));
}

TEST(PcArchitecture, LeavesAHoleBelowFourGigabytes) {
  Host host;
  const Architecture& architecture = *host.architecture(ArchId::X86_64);
  EXPECT_EQ(architecture.id(), ArchId::X86_64);
  EXPECT_EQ(architecture.page_table_format().levels(), 4u);
  EXPECT_EQ(architecture.default_config(512 << 20).memory_regions.size(), 1u);
  const auto large = architecture.default_config(std::uint64_t{4} << 30).memory_regions;
  ASSERT_EQ(large.size(), 2u);
  EXPECT_EQ(large[0].size, 0xc000'0000u);
  EXPECT_EQ(large[1].gpa, 0x1'0000'0000u);
  EXPECT_EQ(large[1].size, 0x4000'0000u);
}

TEST(PcArchitecture, D4_RefusesDevicesWhereAPcDoesNotHaveThem) {
  Host host;
  VmConfig config = host.architecture(ArchId::X86_64)->default_config(2 << 20);
  const auto problems_with = [&](EmuDeviceConfig device) {
    config.emu_devices = {std::move(device)};
    std::vector<std::string> problems;
    host.architecture(ArchId::X86_64)->check(config, problems);
    return problems;
  };
  const auto device = [](std::uint64_t base, std::uint64_t length, std::uint32_t irq,
                         EmuDeviceType type) {
    return EmuDeviceConfig{.name = "device",
                           .base_gpa = base,
                           .length = length,
                           .irq_id = irq,
                           .emu_type = type,
                           .cfg_list = {}};
  };

  EXPECT_TRUE(problems_with(device(0x3f8, 8, 4, EmuDeviceType::Console)).empty());
  EXPECT_TRUE(problems_with(device(0xfec0'0000, 0x1000, 0, EmuDeviceType::X86IoApic)).empty());
  EXPECT_TRUE(problems_with(device(0x40, 0x22, 0, EmuDeviceType::X86Pit)).empty());
  EXPECT_EQ(
      problems_with(device(0x2f8, 8, 4, EmuDeviceType::Console)),
      std::vector<std::string>{
          "devices.emu_devices[0]: device is at 0x2f8 + 0x8; on x86_64 it is at 0x3f8 + 0x8"});
  EXPECT_EQ(
      problems_with(device(0x3f8, 8, 3, EmuDeviceType::Console)),
      std::vector<std::string>{"devices.emu_devices[0]: device has irq 3; on x86_64 it has 4"});
  EXPECT_EQ(problems_with(device(0xfec0'0000, 0x2000, 0, EmuDeviceType::X86IoApic)).size(), 1u);
  EXPECT_EQ(problems_with(device(0x40, 0x23, 9, EmuDeviceType::X86Pit)).size(), 2u);
}

TEST(PcArchitecture, TakesAnyApicIdButTheBroadcast) {
  Host host;
  VmConfig config = host.architecture(ArchId::X86_64)->default_config(2 << 20);
  std::vector<std::string> problems;
  config.phys_cpu_ids = {0xfe, 0, 7};
  host.architecture(ArchId::X86_64)->check(config, problems);
  EXPECT_TRUE(problems.empty());
  config.phys_cpu_ids = {0xff, 0, 1ull << 32};
  host.architecture(ArchId::X86_64)->check(config, problems);
  EXPECT_EQ(problems, (std::vector<std::string>{
                          "base.phys_cpu_ids: 0xff is not an APIC id; give 0x0 to 0xfe",
                          "base.phys_cpu_ids: 0x100000000 is not an APIC id; give 0x0 to 0xfe"}));
}

TEST(PcArchitecture, KnowsItsInterruptNumbers) {
  Host host;
  VmConfig config = host.architecture(ArchId::X86_64)->default_config(2 << 20);
  config.passthrough_devices = {{.name = "one", .length = 16, .irq_id = 23},
                                {.name = "io", .length = 16, .irq_id = 24}};
  std::vector<std::string> problems;
  host.architecture(ArchId::X86_64)->check(config, problems);
  EXPECT_EQ(problems,
            std::vector<std::string>{"devices.passthrough_devices[1]: io has interrupt line "
                                     "24; x86_64 has 0 to 23"});
}

TEST(PcArchitecture, NamesWhatAPcCannotDo) {
  Host host;
  VmConfig config = host.architecture(ArchId::X86_64)->default_config(2 << 20);
  std::vector<std::string> problems;
  host.architecture(ArchId::X86_64)->check(config, problems);
  EXPECT_TRUE(problems.empty());
  config.dtb_path = "board.dtb";
  config.bios_path = "bios.bin";
  host.architecture(ArchId::X86_64)->check(config, problems);
  EXPECT_EQ(problems.size(), 2u);
}

}  // namespace
}  // namespace retrap::x86_64
