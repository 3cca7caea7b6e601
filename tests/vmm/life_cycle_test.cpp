// Every state of a VM and every operation on it: what is allowed moves it as the table says, and
// what is refused changes nothing.
#include "vmm/life_cycle.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "tests/support/hook_device.h"
#include "tests/support/matchers.h"
#include "tests/vmm/ivc_fixture.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;
using ::testing::HasSubstr;

/// Where a VM can be. The last three: from a device, while a vCPU is in the run loop.
enum class Place : std::uint8_t {
  Ready,
  Running,
  Stopped,
  Paused,
  Failed,
  Destroyed,
  RunningInside,
  PausedInside,
  StoppingInside,
};
constexpr std::array kPlaces = {Place::Ready,         Place::Running,      Place::Stopped,
                                Place::Paused,        Place::Failed,       Place::Destroyed,
                                Place::RunningInside, Place::PausedInside, Place::StoppingInside};

bool is_inside(Place place) {
  return place >= Place::RunningInside;
}

VmState state_of(Place place) {
  switch (place) {
    case Place::Ready:          return VmState::Ready;
    case Place::RunningInside:
    case Place::Running:        return VmState::Running;
    case Place::Stopped:        return VmState::Stopped;
    case Place::PausedInside:
    case Place::Paused:         return VmState::Paused;
    case Place::Failed:         return VmState::Failed;
    case Place::Destroyed:      return VmState::Destroyed;
    case Place::StoppingInside: return VmState::Stopping;
  }
  return VmState::Ready;
}

constexpr GuestPhys kHook{0x2000'0000};
constexpr GuestPhys kFree{0x7000'0000};
constexpr GuestPhys kRam{0x4000'0000};

/// A VM of one vCPU with a hook and an IVC window.
class AVmSomewhere {
 public:
  AVmSomewhere() {
    auto hook = std::make_unique<test::HookDevice>();
    hook_ = hook.get();
    EXPECT_THAT(vm().add_mmio_device(kHook, std::move(hook)), Succeeds());
  }

  [[nodiscard]] Vm& vm() { return vms_.hypervisor.vm(2); }
  [[nodiscard]] scripted::ScriptedVcpu& cpu() { return vms_.cpu(2); }
  [[nodiscard]] test::ScriptedHost& host() { return vms_.host; }

  /// Brings it to `place` and lets `look` see it there.
  void at(Place place, const std::function<void()>& look) {
    if (place == Place::Ready) return look();
    if (place == Place::Destroyed) {
      ASSERT_THAT(vm().destroy(), Succeeds());
      return look();
    }
    ASSERT_THAT(vm().boot(), Succeeds());
    if (is_inside(place)) return inside(place, look);
    if (place == Place::Stopped) {
      ASSERT_THAT(vm().shutdown(), Succeeds());
    }
    if (place == Place::Paused) {
      ASSERT_THAT(vm().suspend(), Succeeds());
    }
    if (place == Place::Failed) {
      ASSERT_THAT(vm().end(VmEnd::Fault, "broken"), Succeeds());
    }
    look();
  }

  [[nodiscard]] std::uint64_t digest() {
    Digest digest;
    vm().digest(digest);
    digest.add(host().frames().bytes_free());
    digest.add(vm().is_built() ? vm().memory().regions().size() : 0);
    digest.add(static_cast<std::uint64_t>(vm().life().reason()));
    digest.add(vm().life().detail());
    return digest.value();
  }

 private:
  void inside(Place place, const std::function<void()>& look) {
    bool looked = false;
    hook_->on_write = [&] {
      if (place == Place::PausedInside) {
        ASSERT_THAT(vm().suspend(), Succeeds());
      }
      if (place == Place::StoppingInside) {
        ASSERT_THAT(vm().shutdown(), Succeeds());
      }
      look();
      looked = true;
    };
    cpu().play({{exits::NestedPageFault{kHook, MappingFlags::Write},
                 0,
                 {exits::MmioWrite{kHook, Width::Word, 1}}},
                {exits::Halt{}}});
    const auto exit = vm().run_vcpu(kBootVcpu);
    EXPECT_THAT(exit, Succeeds());
    EXPECT_TRUE(looked);
  }

  test::TwoVms vms_;
  std::size_t third_ = vms_.add(3);
  test::HookDevice* hook_;
};

struct Operation {
  std::string name;
  std::function<bool(AVmSomewhere&)> apply;
  /// From where it is allowed, and what it makes of the state; elsewhere it is BadState.
  std::map<Place, VmState> moves;
};

/// Refused, it must be BadState and nothing else.
template <class T>
bool done(const Result<T>& result) {
  if (!result) {
    EXPECT_EQ(result.error().code, ErrorCode::BadState) << result.error().message;
  }
  return result.has_value();
}

/// Allowed as long as there are parts, and no transition.
std::map<Place, VmState> while_built() {
  std::map<Place, VmState> moves;
  for (const Place place : kPlaces) {
    if (place != Place::Destroyed) moves[place] = state_of(place);
  }
  return moves;
}

std::vector<Operation> transitions() {
  using enum VmState;
  return {
      {"load", [](AVmSomewhere& at) { return done(at.vm().load({})); }, {{Place::Ready, Ready}}},
      {"boot", [](AVmSomewhere& at) { return done(at.vm().boot()); }, {{Place::Ready, Running}}},
      {"suspend",
       [](AVmSomewhere& at) { return done(at.vm().suspend()); },
       {{Place::Running, Paused}, {Place::RunningInside, Paused}}},
      {"resume",
       [](AVmSomewhere& at) { return done(at.vm().resume()); },
       {{Place::Paused, Running}, {Place::PausedInside, Running}}},
      {"shutdown",
       [](AVmSomewhere& at) { return done(at.vm().shutdown()); },
       {{Place::Ready, Stopped},
        {Place::Running, Stopped},
        {Place::Paused, Stopped},
        {Place::RunningInside, Stopping},
        {Place::PausedInside, Stopping}}},
      {"fail",
       [](AVmSomewhere& at) { return done(at.vm().end(VmEnd::Fault, "x")); },
       {{Place::Ready, Failed},
        {Place::Running, Failed},
        {Place::Paused, Failed},
        {Place::RunningInside, Stopping},
        {Place::PausedInside, Stopping}}},
      {"reset",
       [](AVmSomewhere& at) { return done(at.vm().reset()); },
       {{Place::Ready, Ready},
        {Place::Running, Ready},
        {Place::Paused, Ready},
        {Place::Stopped, Ready},
        {Place::Failed, Ready}}},
      {"destroy",
       [](AVmSomewhere& at) { return done(at.vm().destroy()); },
       {{Place::Ready, Destroyed}, {Place::Stopped, Destroyed}, {Place::Failed, Destroyed}}},
      {"run_vcpu",
       [](AVmSomewhere& at) { return done(at.vm().run_vcpu(kBootVcpu)); },
       {{Place::Running, Running}}},
  };
}

std::vector<Operation> uses() {
  return {
      {"map",
       [](AVmSomewhere& at) {
         return done(at.vm().map_region(kFree, test::ScriptedHost::kBase.wrapping_add(0x8'0000),
                                        0x1000, MappingFlags::Read));
       },
       while_built()},
      {"grow", [](AVmSomewhere& at) { return done(at.vm().grow_memory(kFree, 0x1000)); },
       while_built()},
      {"unmap", [](AVmSomewhere& at) { return done(at.vm().unmap_region(kRam, 0x1000)); },
       while_built()},
      {"read",
       [](AVmSomewhere& at) { return done(at.vm().read_from_guest_of<std::uint64_t>(kRam)); },
       while_built()},
      {"write", [](AVmSomewhere& at) { return done(at.vm().write_to_guest_of(kRam, 1)); },
       while_built()},
      {"inject",
       [](AVmSomewhere& at) { return done(at.vm().inject_interrupt_to_vcpu(kBootVcpu, 32)); },
       while_built()},
      {"vcpu", [](AVmSomewhere& at) { return done(at.vm().vcpu(kBootVcpu)); }, while_built()},
      {"plug",
       [](AVmSomewhere& at) {
         return done(at.vm().add_mmio_device(kFree, std::make_unique<test::ProbeDevice>(8)));
       },
       while_built()},
      {"plug a port",
       [](AVmSomewhere& at) {
         return done(at.vm().add_port_device(0x10, std::make_unique<test::ProbeDevice>(8)));
       },
       while_built()},
      {"plug a register",
       [](AVmSomewhere& at) {
         return done(at.vm().add_sysreg_device(0x10, std::make_unique<test::ProbeDevice>(1)));
       },
       while_built()},
      {"alloc_ivc_channel",
       [](AVmSomewhere& at) { return done(at.vm().alloc_ivc_channel(0x1000)); }, while_built()},
  };
}

void check(const Operation& operation, Place place) {
  SCOPED_TRACE(fmt::format("{} in {}{}", operation.name, to_string(state_of(place)),
                           is_inside(place) ? ", a vcpu in the run loop" : ""));
  AVmSomewhere at;
  at.at(place, [&] {
    ASSERT_EQ(at.vm().state(), state_of(place));
    const auto move = operation.moves.find(place);
    const std::uint64_t before = at.digest();
    const bool allowed = operation.apply(at);
    EXPECT_EQ(allowed, move != operation.moves.end());
    EXPECT_EQ(at.vm().state(), allowed ? move->second : state_of(place));
    if (!allowed) {
      EXPECT_EQ(at.digest(), before) << "a refused operation changes nothing";
    }
  });
}

TEST(TheLifeOfAVm, GoesAsTheTableSays) {
  for (const Operation& operation : transitions()) {
    for (const Place place : kPlaces) check(operation, place);
  }
}

TEST(TheLifeOfAVm, LeavesTheRestToEveryStateThatHasParts) {
  for (const Operation& operation : uses()) {
    for (const Place place : kPlaces) check(operation, place);
  }
}

TEST(TheLifeOfAVm, SaysWhyItEnded) {
  const auto reason_after = [](const std::function<void(Vm&)>& act) {
    AVmSomewhere at;
    act(at.vm());
    return std::string(to_string(at.vm().life().reason()));
  };
  EXPECT_EQ(reason_after([](Vm&) {}), "none");
  EXPECT_EQ(reason_after([](Vm& vm) { (void)vm.shutdown(); }), "shut-down");
  EXPECT_EQ(reason_after([](Vm& vm) { (void)vm.end(VmEnd::PoweredOff); }), "powered-off");
  EXPECT_EQ(reason_after([](Vm& vm) { (void)vm.end(VmEnd::Reset); }), "reset");
  EXPECT_EQ(reason_after([](Vm& vm) { (void)vm.end(VmEnd::Fault, "smoke"); }), "fault");
  EXPECT_EQ(reason_after([](Vm& vm) { (void)vm.destroy(); }), "shut-down");
  EXPECT_EQ(reason_after([](Vm& vm) {
              (void)vm.end(VmEnd::Fault, "smoke");
              EXPECT_EQ(vm.life().detail(), "smoke");
              (void)vm.reset();
              EXPECT_EQ(vm.life().detail(), "");
            }),
            "none");
}

TEST(TheLifeOfAVm, StopsOnceTheVcpuHasLeftTheRunLoop) {
  AVmSomewhere at;
  at.at(Place::StoppingInside, [&] { EXPECT_EQ(at.vm().state(), VmState::Stopping); });
  EXPECT_EQ(at.vm().state(), VmState::Stopped);
  EXPECT_FALSE(at.cpu().is_over()) << "nothing has run after the shutdown";

  AVmSomewhere failing;
  failing.at(Place::RunningInside,
             [&] { EXPECT_THAT(failing.vm().end(VmEnd::Fault, "smoke"), Succeeds()); });
  EXPECT_EQ(failing.vm().state(), VmState::Failed);
  EXPECT_EQ(failing.vm().life().detail(), "smoke");
}

TEST(TheLifeOfAVm, PausesAtTheNextExitAndGoesOnThere) {
  AVmSomewhere at;
  at.at(Place::PausedInside, [] {});
  EXPECT_EQ(at.vm().state(), VmState::Paused);
  EXPECT_FALSE(at.cpu().is_over());
  EXPECT_EQ(at.cpu().pc(), 1u) << "the access that paused it has retired";

  ASSERT_THAT(at.vm().resume(), Succeeds());
  const auto exit = at.vm().run_vcpu(kBootVcpu);
  ASSERT_THAT(exit, Succeeds());
  EXPECT_EQ(name(*exit), "halt");
}

/// Stops its VM at a time.
class TimeBomb final : public Device {
 public:
  explicit TimeBomb(Vm& vm) : vm_(vm) {}
  [[nodiscard]] std::string_view name() const override { return "time bomb"; }
  [[nodiscard]] std::uint64_t size() const override { return 4; }
  IoResult<std::uint64_t> read(const Access&) override { return 0; }
  IoResult<> write(const Access&, std::uint64_t) override { return {}; }
  void reset() override {}
  [[nodiscard]] std::uint64_t deadline_ns() const override { return deadline_; }
  void advance(std::uint64_t) override {
    deadline_ = kNever;
    (void)vm_.shutdown();
  }
  void digest(Digest&) const override {}

 private:
  Vm& vm_;
  std::uint64_t deadline_ = 100;
};

TEST(TheLifeOfAVm, EndsAtAnAlarmBetweenTwoInstructions) {
  AVmSomewhere at;
  ASSERT_THAT(at.vm().add_mmio_device(0x7000'0000_gpa, std::make_unique<TimeBomb>(at.vm())),
              Succeeds());
  ASSERT_THAT(at.vm().boot(), Succeeds());
  at.cpu().play({{exits::Halt{}, 1000}});

  const auto exit = at.vm().run_vcpu(kBootVcpu);

  ASSERT_THAT(exit, Succeeds());
  EXPECT_EQ(name(*exit), "nothing");
  EXPECT_EQ(at.vm().state(), VmState::Stopped);
  EXPECT_EQ(at.host().clock().retired(), 100u);
}

TEST(AResetVm, IsAFreshOne) {
  const auto digest_of = [](Vm& vm) {
    Digest digest;
    vm.digest(digest);
    return digest.value();
  };
  AVmSomewhere fresh;
  AVmSomewhere used;
  Vm& vm = used.vm();
  auto& probe = dynamic_cast<test::ProbeDevice&>(
      **vm.add_mmio_device(0x7000'0000_gpa, std::make_unique<test::ProbeDevice>(8)));
  ASSERT_THAT(fresh.vm().add_mmio_device(0x7000'0000_gpa, std::make_unique<test::ProbeDevice>(8)),
              Succeeds());
  ASSERT_THAT(vm.boot(), Succeeds());
  probe.value = 7;
  ASSERT_THAT(vm.write_to_guest_of(0x4000'0123_gpa, 1), Succeeds());
  ASSERT_THAT(vm.unmap_region(0x4000'2000_gpa, 0x1000), Succeeds());
  ASSERT_THAT(vm.grow_memory(0x7100'0000_gpa, 0x1000), Succeeds());
  ASSERT_THAT(vm.alloc_ivc_channel(0x1000), Succeeds());
  ASSERT_THAT(vm.inject_interrupt_to_vcpu(kBootVcpu, 5), Succeeds());
  used.cpu().play({{exits::Halt{}, 100}});
  ASSERT_THAT(vm.run_vcpu(kBootVcpu), Succeeds());
  ASSERT_NE(digest_of(vm), digest_of(fresh.vm()));

  ASSERT_THAT(vm.reset(), Succeeds());

  EXPECT_EQ(digest_of(vm), digest_of(fresh.vm()));
  EXPECT_EQ(vm.memory().regions().size(), fresh.vm().memory().regions().size());
  EXPECT_EQ(vm.statistics().exits, fresh.vm().statistics().exits);
  EXPECT_EQ(vm.ivc_window().bytes_used(), 0u);
  EXPECT_EQ(probe.value, 0u) << "the embedder's devices are reset in their places";
  EXPECT_EQ(used.host().frames().bytes_free(), fresh.host().frames().bytes_free());
  ASSERT_THAT(vm.boot(), Succeeds());
}

TEST(AResetVm, KeepsOnlyTheDevicesThatAreStillPlugged) {
  AVmSomewhere at;
  Vm& vm = at.vm();
  ASSERT_THAT(vm.add_mmio_device(0x7000'0000_gpa, std::make_unique<test::ProbeDevice>(8)),
              Succeeds());
  ASSERT_THAT(vm.mmio().remove(0x7000'0000), Succeeds());
  ASSERT_THAT(vm.reset(), Succeeds());
  EXPECT_FALSE(vm.mmio().covers(0x7000'0000, 1));
  EXPECT_TRUE(vm.mmio().covers(kHook.raw(), 1));
}

TEST(AResetVm, HasFailedWhereTheHostHasNoRoomForItAnyMore) {
  AVmSomewhere at;
  Vm& vm = at.vm();
  ASSERT_THAT(vm.unmap_region(0x4000'0000_gpa, 0x4000), Succeeds());
  const auto rest = at.host().frames().bytes_free();
  ASSERT_THAT(at.host().frames().allocate(rest, 0x1000, {VmId{9}, FrameUse::GuestRam}), Succeeds());

  EXPECT_THAT(vm.reset(), FailsWith(ErrorCode::NoMemory));

  EXPECT_EQ(vm.state(), VmState::Failed);
  EXPECT_THAT(vm.life().detail(), HasSubstr("no"));
  EXPECT_FALSE(vm.is_built());
  EXPECT_THAT(vm.boot(), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(vm.read_from_guest_of<int>(0x4000'0000_gpa), FailsWith(ErrorCode::BadState));
  EXPECT_EQ(at.host().frames().bytes_of(VmId{3}), 0u);
  EXPECT_THAT(vm.destroy(), Succeeds());
}

TEST(ADestroyedVm, HasGivenEveryFrameBack) {
  AVmSomewhere at;
  const auto others = at.host().frames().bytes_of(VmId{1}) + at.host().frames().bytes_of(VmId{2});
  ASSERT_NE(at.host().frames().bytes_of(VmId{3}), 0u);

  ASSERT_THAT(at.vm().destroy(), Succeeds());

  EXPECT_EQ(at.host().frames().bytes_free() + others, at.host().memory().size());
  EXPECT_EQ(at.vm().vcpu_num(), 0u);
  EXPECT_THAT(at.vm().run_vcpu(kBootVcpu), FailsSaying(ErrorCode::BadState, "it is Destroyed"));
}

TEST(AHypervisorOfVms, LetsAnIdBeUsedAgain) {
  test::TwoVms vms;
  ASSERT_THAT(vms.hypervisor.destroy(0), Succeeds());
  EXPECT_EQ(vms.hypervisor.fate(0), VmFate::Destroyed);
  EXPECT_EQ(vms.hypervisor.live_vms(), 1u);

  const std::size_t again = vms.add(1);
  vms.hypervisor.boot_all();
  EXPECT_EQ(vms.publish(again, 1, 0x1000), 0u);
  EXPECT_THAT(vms.hypervisor.destroy(0), FailsWith(ErrorCode::BadState));
}

TEST(AHypervisorOfVms, RunsNoVcpuOfAVmThatIsPausedOrReset) {
  test::TwoVms vms;
  const Hypervisor::Place place{.vm = 0, .vcpu = kBootVcpu};
  ASSERT_EQ(vms.hypervisor.activity(place), VcpuActivity::Runnable);

  ASSERT_THAT(vms.hypervisor.vm(0).suspend(), Succeeds());
  EXPECT_EQ(vms.hypervisor.activity(place), VcpuActivity::Off);
  EXPECT_EQ(vms.hypervisor.run(place), AfterExit::Reschedule);
  EXPECT_EQ(vms.hypervisor.fate(0), VmFate::Alive);
  ASSERT_THAT(vms.hypervisor.vm(0).resume(), Succeeds());
  EXPECT_EQ(vms.hypervisor.activity(place), VcpuActivity::Runnable);

  ASSERT_THAT(vms.hypervisor.reset(0), Succeeds());
  EXPECT_EQ(vms.hypervisor.activity(place), VcpuActivity::Off);
  vms.hypervisor.boot_all();
  EXPECT_EQ(vms.hypervisor.activity(place), VcpuActivity::Runnable);
}

TEST(AHypervisorOfVms, ShutsDownByTheEmbeddersWish) {
  test::TwoVms vms;
  ASSERT_THAT(vms.hypervisor.shutdown(0), Succeeds());
  EXPECT_EQ(vms.hypervisor.fate(0), VmFate::ShutDown);
  EXPECT_THAT(vms.hypervisor.shutdown(0), FailsWith(ErrorCode::BadState));
}

}  // namespace
}  // namespace retrap
