// The life of VMs with real guests in them: reset, destroy, suspend, and memory that comes and
// goes.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/testing.h"
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

Result<std::unique_ptr<Machine>> machine_with(ArchId arch, const std::string& guest,
                                              std::uint32_t vcpus, std::uint64_t idle_ns) {
  RETRAP_TRY(auto machine, Machine::create({.memory_bytes = std::uint64_t{256} << 20}));
  machine->clock().skip_to(idle_ns);
  VmConfig config = machine->architecture(arch)->default_config(std::uint64_t{16} << 20);
  config.cpu_num = vcpus;
  RETRAP_TRY([[maybe_unused]] Vm * vm, machine->add_vm(std::move(config), images_of(arch, guest)));
  return machine;
}

/// A machine with one VM, recorded and replayed.
struct OneVm {
  OneVm(ArchId arch, const std::string& guest, std::uint32_t vcpus = 1, std::uint64_t idle_ns = 0)
      : images(images_of(arch, guest)),
        run([=] { return machine_with(arch, guest, vcpus, idle_ns); }, {.images = &images}),
        vm(&run.machine().vm(0)) {}
  [[nodiscard]] Machine& machine() { return run.machine(); }
  [[nodiscard]] std::string console() { return machine().console_of(*vm); }

  Images images;
  retrap::testing::RecordedRun<Machine> run;
  Vm* vm;
};

class AVmWithAGuest : public ::testing::TestWithParam<ArchId> {};

/// What each of these leaves behind: page tables, code, device state, a second CPU, a crash.
TEST_P(AVmWithAGuest, IsAFreshOneAfterAReset) {
  for (const std::string guest : {"paging", "timer", "smp", "fpu", "user", "restart", "crash"}) {
    SCOPED_TRACE(guest);
    OneVm used(GetParam(), guest, 2);
    const RunReport first = used.run.run(50'000'000);
    const std::string console = used.console();
    const std::uint64_t ran = digest_of(*used.vm);

    ASSERT_TRUE(used.machine().reset(*used.vm, used.images));

    const OneVm fresh(GetParam(), guest, 2, used.machine().clock().now_ns());
    EXPECT_EQ(used.vm->state(), VmState::Ready);
    EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));
    EXPECT_NE(digest_of(*used.vm), ran);

    const RunReport again = used.run.run(50'000'000);
    EXPECT_EQ(to_string(again.reason), to_string(first.reason));
    EXPECT_EQ(used.console(), console + console);
  }
}

TEST_P(AVmWithAGuest, IsAFreshOneAfterAResetInTheMiddle) {
  for (const std::string guest : {"paging", "smp"}) {
    const std::uint32_t vcpus = guest == "smp" ? 4 : 1;
    for (const std::uint64_t instructions : {1u, 100u, 2'000u, 5'000u, 20'000u}) {
      SCOPED_TRACE(fmt::format("{} after {}", guest, instructions));
      OneVm used(GetParam(), guest, vcpus);
      (void)used.run.run(instructions);
      ASSERT_TRUE(used.machine().reset(*used.vm, used.images));
      OneVm fresh(GetParam(), guest, vcpus, used.machine().clock().now_ns());
      EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));

      // A seed is none of what a recording holds.
      EXPECT_TRUE(used.run.replays());
      used.machine().reseed(1);
      fresh.machine().reseed(1);
      (void)used.run.run(50'000'000);
      EXPECT_EQ(to_string(fresh.run.run(50'000'000).reason), to_string(StopReason::PoweredOff));
      EXPECT_EQ(digest_of(*used.vm), digest_of(*fresh.vm));
    }
  }
}

TEST_P(AVmWithAGuest, GivesEveryFrameBackWhenItIsDestroyed) {
  OneVm one(GetParam(), "paging");
  (void)one.run.run(20'000);
  ASSERT_EQ(one.vm->state(), VmState::Running);

  ASSERT_TRUE(one.machine().destroy(*one.vm));

  EXPECT_EQ(one.machine().frames().bytes_free(), std::uint64_t{256} << 20);
  EXPECT_EQ(one.vm->state(), VmState::Destroyed);
  EXPECT_EQ(one.run.run().reason, StopReason::PoweredOff);
  // Its id is free again, and the recording knows nothing of others.
  EXPECT_TRUE(one.run.replays());
  VmConfig config = one.machine().architecture(GetParam())->default_config(std::uint64_t{16} << 20);
  const auto next = one.machine().add_vm(std::move(config), images_of(GetParam(), "hello"));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(one.machine().run().reason, StopReason::PoweredOff);
  EXPECT_THAT(one.machine().console_of(**next), HasSubstr("hello"));
}

TEST_P(AVmWithAGuest, SeesNothingOfAPause) {
  OneVm plain(GetParam(), "fpu");
  (void)plain.run.run();

  OneVm paused(GetParam(), "fpu");
  (void)paused.run.run(1000);
  ASSERT_TRUE(paused.machine().suspend(*paused.vm));
  EXPECT_EQ(paused.run.run().reason, StopReason::Paused);
  EXPECT_EQ(paused.machine().clock().retired(), 1000u);
  ASSERT_TRUE(paused.machine().resume(*paused.vm));
  EXPECT_EQ(paused.run.run().reason, StopReason::PoweredOff);

  EXPECT_EQ(paused.machine().digest(), plain.machine().digest());
}

TEST_P(AVmWithAGuest, EndsWhereTheEmbedderShutsItDown) {
  OneVm one(GetParam(), "spin");
  (void)one.run.run(1000);
  ASSERT_TRUE(one.machine().shutdown(*one.vm));
  EXPECT_EQ(one.run.run().reason, StopReason::PoweredOff);
  EXPECT_EQ(one.vm->life().reason(), VmEnd::ShutDown);
}

TEST_P(AVmWithAGuest, UsesMemoryThatComesAndGoes) {
  constexpr GuestPhys kMore{0xc030'0000};
  constexpr std::uint64_t kBytes = 0x10'0000;
  constexpr std::uint32_t kFlags = 7;  // read, write, execute
  constexpr std::string_view kNone = "no memory is there\n";
  constexpr std::string_view kThere = "words of memory that keep what is written: 131072\n";
  OneVm one(GetParam(), "resize");
  const auto tell = [&](char byte) {
    EXPECT_TRUE(one.machine().type(*one.vm, byte));
    (void)one.run.run();
  };
  (void)one.run.run();
  const std::uint64_t before = one.machine().frames().bytes_free();

  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(one.machine().grow(*one.vm, {.gpa = kMore.raw(), .size = kBytes, .flags = kFlags}));
    EXPECT_FALSE(one.machine().grow(
        *one.vm, {.gpa = kMore.raw() + kBytes - 0x1000, .size = 0x1000, .flags = kFlags}));
    tell('g');
    // A word across the edge of two regions.
    ASSERT_TRUE(one.machine().grow(*one.vm,
                                   {.gpa = kMore.raw() + kBytes, .size = 0x1000, .flags = kFlags}));
    ASSERT_TRUE(one.machine().write_memory(*one.vm, kMore.wrapping_add(kBytes - 3),
                                           std::string(8, '\xff')));
    EXPECT_EQ(one.vm->read_from_guest_of<std::uint64_t>(kMore.wrapping_add(kBytes - 3)),
              ~std::uint64_t{0});
    ASSERT_TRUE(one.machine().unmap(*one.vm, {.gpa = kMore.raw(), .size = kBytes + 0x1000}));
    tell('s');
  }
  EXPECT_EQ(one.machine().frames().bytes_free(), before);
  tell('q');

  std::string want(kNone);
  for (int round = 0; round < 3; ++round) want += std::string(kThere) + std::string(kNone);
  EXPECT_EQ(one.console(), want);
  EXPECT_EQ(one.vm->state(), VmState::Stopped);
}

INSTANTIATE_TEST_SUITE_P(All, AVmWithAGuest, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
