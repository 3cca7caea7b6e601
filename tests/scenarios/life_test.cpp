// The life of VMs with real guests in them: reset, destroy, suspend, and memory that comes and
// goes.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guests/embedded.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;

std::uint64_t digest_of(const Vm& vm) {
  Digest digest;
  vm.digest(digest);
  return digest.value();
}

Images images_of(ArchId arch, const std::string& name) {
  const auto elf = guests::find(arch, name)->elf;
  Images images;
  images.kernel = Image::parse(name, {elf.begin(), elf.end()}, arch).value();
  return images;
}

struct OneVm {
  std::unique_ptr<Machine> machine;
  Vm* vm;
};

OneVm vm_with(ArchId arch, const std::string& guest, std::uint32_t vcpus = 1,
              std::uint64_t idle_ns = 0) {
  auto machine = Machine::create({.memory_bytes = std::uint64_t{256} << 20}).value();
  machine->clock().skip_to(idle_ns);
  VmConfig config = machine->architecture(arch)->default_config(std::uint64_t{16} << 20);
  config.cpu_num = vcpus;
  Vm* const vm = machine->add_vm(std::move(config), images_of(arch, guest)).value();
  return {.machine = std::move(machine), .vm = vm};
}

class AVmWithAGuest : public ::testing::TestWithParam<ArchId> {};

/// What each of these leaves behind: page tables, code, device state, a second CPU, a crash.
TEST_P(AVmWithAGuest, IsAFreshOneAfterAReset) {
  for (const std::string guest : {"paging", "timer", "smp", "fpu", "user", "restart", "crash"}) {
    SCOPED_TRACE(guest);
    OneVm used = vm_with(GetParam(), guest, 2);
    const RunReport first = used.machine->run(50'000'000);
    const std::string console = used.machine->console_of(*used.vm);
    const std::uint64_t ran = digest_of(*used.vm);

    ASSERT_TRUE(used.machine->reset(*used.vm, images_of(GetParam(), guest)));

    const OneVm fresh = vm_with(GetParam(), guest, 2, used.machine->clock().now_ns());
    EXPECT_EQ(used.vm->state(), VmState::Ready);
    EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));
    EXPECT_NE(digest_of(*used.vm), ran);

    const RunReport again = used.machine->run(50'000'000);
    EXPECT_EQ(to_string(again.reason), to_string(first.reason));
    EXPECT_EQ(used.machine->console_of(*used.vm), console + console);
  }
}

TEST_P(AVmWithAGuest, IsAFreshOneAfterAResetInTheMiddle) {
  for (const std::string guest : {"paging", "smp"}) {
    const std::uint32_t vcpus = guest == "smp" ? 4 : 1;
    for (const std::uint64_t instructions : {1u, 100u, 2'000u, 5'000u, 20'000u}) {
      SCOPED_TRACE(fmt::format("{} after {}", guest, instructions));
      OneVm used = vm_with(GetParam(), guest, vcpus);
      (void)used.machine->run(instructions);
      ASSERT_TRUE(used.machine->reset(*used.vm, images_of(GetParam(), guest)));
      const OneVm fresh = vm_with(GetParam(), guest, vcpus, used.machine->clock().now_ns());
      EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));

      used.machine->reseed(1);
      fresh.machine->reseed(1);
      (void)used.machine->run(50'000'000);
      EXPECT_EQ(to_string(fresh.machine->run(50'000'000).reason),
                to_string(StopReason::PoweredOff));
      EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));
    }
  }
}

TEST_P(AVmWithAGuest, GivesEveryFrameBackWhenItIsDestroyed) {
  OneVm one = vm_with(GetParam(), "paging");
  (void)one.machine->run(20'000);
  ASSERT_EQ(one.vm->state(), VmState::Running);

  ASSERT_TRUE(one.machine->destroy(*one.vm));

  EXPECT_EQ(one.machine->frames().bytes_free(), std::uint64_t{256} << 20);
  EXPECT_EQ(one.vm->state(), VmState::Destroyed);
  EXPECT_EQ(one.machine->run().reason, StopReason::PoweredOff);
  // Its id is free again.
  VmConfig config = one.machine->architecture(GetParam())->default_config(std::uint64_t{16} << 20);
  const auto next = one.machine->add_vm(std::move(config), images_of(GetParam(), "hello"));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(one.machine->run().reason, StopReason::PoweredOff);
  EXPECT_THAT(one.machine->console_of(**next), HasSubstr("hello"));
}

TEST_P(AVmWithAGuest, SeesNothingOfAPause) {
  OneVm plain = vm_with(GetParam(), "fpu");
  (void)plain.machine->run();

  OneVm paused = vm_with(GetParam(), "fpu");
  (void)paused.machine->run(1000);
  ASSERT_TRUE(paused.vm->suspend());
  EXPECT_EQ(paused.machine->run().reason, StopReason::Paused);
  EXPECT_EQ(paused.machine->clock().retired(), 1000u);
  ASSERT_TRUE(paused.vm->resume());
  EXPECT_EQ(paused.machine->run().reason, StopReason::PoweredOff);

  EXPECT_EQ(paused.machine->digest(), plain.machine->digest());
}

TEST_P(AVmWithAGuest, EndsWhereTheEmbedderShutsItDown) {
  OneVm one = vm_with(GetParam(), "spin");
  (void)one.machine->run(1000);
  ASSERT_TRUE(one.machine->shutdown(*one.vm));
  EXPECT_EQ(one.machine->run().reason, StopReason::PoweredOff);
  EXPECT_EQ(one.vm->life().reason(), VmEnd::ShutDown);
}

TEST_P(AVmWithAGuest, UsesMemoryThatComesAndGoes) {
  constexpr GuestPhys kMore{0xc030'0000};
  constexpr std::uint64_t kBytes = 0x10'0000;
  constexpr std::string_view kNone = "no memory is there\n";
  constexpr std::string_view kThere = "words of memory that keep what is written: 131072\n";
  OneVm one = vm_with(GetParam(), "resize");
  const auto tell = [&](char byte) {
    EXPECT_TRUE(one.machine->type(*one.vm, byte));
    (void)one.machine->run();
  };
  (void)one.machine->run();
  const std::uint64_t before = one.machine->frames().bytes_free();

  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(one.vm->grow_memory(kMore, kBytes));
    EXPECT_FALSE(one.vm->grow_memory(kMore.wrapping_add(kBytes - 0x1000), 0x1000));
    tell('g');
    // A word across the edge of two regions.
    ASSERT_TRUE(one.vm->grow_memory(kMore.wrapping_add(kBytes), 0x1000));
    ASSERT_TRUE(one.vm->write_to_guest_of(kMore.wrapping_add(kBytes - 3), ~std::uint64_t{0}));
    EXPECT_EQ(one.vm->read_from_guest_of<std::uint64_t>(kMore.wrapping_add(kBytes - 3)),
              ~std::uint64_t{0});
    ASSERT_TRUE(one.vm->unmap_region(kMore, kBytes + 0x1000));
    tell('s');
  }
  EXPECT_EQ(one.machine->frames().bytes_free(), before);
  tell('q');

  std::string want(kNone);
  for (int round = 0; round < 3; ++round) want += std::string(kThere) + std::string(kNone);
  EXPECT_EQ(one.machine->console_of(*one.vm), want);
  EXPECT_EQ(one.vm->state(), VmState::Stopped);
}

INSTANTIATE_TEST_SUITE_P(All, AVmWithAGuest, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
