// A VM that is reset after Linux has run in it is the VM that it was when it was made.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sim/machine.h"
#include "tests/support/paths.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{512} << 20;

struct LinuxVm {
  std::unique_ptr<Machine> machine;
  Vm* vm;

  [[nodiscard]] std::uint64_t digest() const {
    Digest digest;
    vm->digest(digest);
    return digest.value();
  }
  [[nodiscard]] const std::string& console() const { return machine->console_of(*vm); }
};

class ALinuxVm : public ::testing::TestWithParam<ArchId> {
 public:
  void SetUp() override {
    const auto guest = linux_guest(to_string(GetParam()));
    ASSERT_TRUE(guest) << "no kernel for " << to_string(GetParam()) << "; run ./dev guests";
    config_ = Machine::create({}).value()->architecture(GetParam())->default_config(kMemory);
    // Others to switch off and on again, where they cost the least time.
    if (GetParam() == ArchId::Riscv64) config_.cpu_num = 4;
    config_.kernel_path = guest->kernel.string();
    config_.ramdisk_path = guest->initrd.string();
    const bool pl011 = GetParam() == ArchId::Aarch64;
    config_.cmdline = pl011 ? "console=ttyAMA0 panic=-1" : "console=ttyS0 panic=-1";
    auto images = load_images(config_);
    ASSERT_TRUE(images) << images.error().message;
    images_ = std::move(*images);
  }

  /// A machine whose clock stands at `now_ns`, with a VM that has not run.
  [[nodiscard]] LinuxVm made_at(std::uint64_t now_ns) {
    auto machine = Machine::create({}).value();
    machine->clock().skip_to(now_ns);
    Vm* const vm = machine->add_vm(config_, images_).value();
    return {.machine = std::move(machine), .vm = vm};
  }

  Images images_;
  VmConfig config_;
};

TEST_P(ALinuxVm, IsAFreshOneAfterAReset) {
  LinuxVm used = made_at(0);
  const RunReport first = used.machine->run();
  ASSERT_EQ(to_string(first.reason), to_string(StopReason::PoweredOff)) << first.detail;
  const std::string before = used.console().substr();  // it grows
  const std::uint64_t ran = used.digest();

  ASSERT_TRUE(used.machine->reset(*used.vm, images_));

  LinuxVm fresh = made_at(used.machine->clock().now_ns());
  EXPECT_EQ(used.digest(), fresh.digest());
  EXPECT_NE(used.digest(), ran);

  // What the scheduler draws is not a part of the VM.
  used.machine->reseed(1);
  fresh.machine->reseed(1);
  const RunReport again = used.machine->run();
  const RunReport only = fresh.machine->run();
  EXPECT_EQ(to_string(again.reason), to_string(StopReason::PoweredOff)) << again.detail;
  EXPECT_EQ(again.instructions - first.instructions, only.instructions);
  EXPECT_EQ(used.digest(), fresh.digest());
  EXPECT_EQ(used.console(), before + fresh.console());
  EXPECT_NE(fresh.console().find("USERLAND-DONE"), std::string::npos) << fresh.console();
}

INSTANTIATE_TEST_SUITE_P(Debian, ALinuxVm, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
