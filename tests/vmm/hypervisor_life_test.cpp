// Every call of a hypervisor in every state of a VM that takes part in a channel, and from a device
// while a vCPU runs: what is allowed moves the VM, and what is refused changes nothing.
#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "tests/support/hook_device.h"
#include "tests/support/matchers.h"
#include "tests/vmm/ivc_fixture.h"

namespace retrap {
namespace {

using test::Succeeds;
using test::TwoVms;

/// Where VM 1 can be. The last two: a vCPU of it, or of VM 2, is in the run loop.
enum class Spot : std::uint8_t {
  Ready,
  Running,
  Paused,
  Stopped,
  Failed,
  Destroyed,
  Inside,
  OtherInside,
};
constexpr std::array kSpots = {Spot::Ready,  Spot::Running,   Spot::Paused, Spot::Stopped,
                               Spot::Failed, Spot::Destroyed, Spot::Inside, Spot::OtherInside};

VmState state_at(Spot spot) {
  switch (spot) {
    case Spot::Ready:       return VmState::Ready;
    case Spot::Inside:
    case Spot::OtherInside:
    case Spot::Running:     return VmState::Running;
    case Spot::Paused:      return VmState::Paused;
    case Spot::Stopped:     return VmState::Stopped;
    case Spot::Failed:      return VmState::Failed;
    case Spot::Destroyed:   return VmState::Destroyed;
  }
  return VmState::Ready;
}

/// VM 1 publishes a channel that VM 2 sees; each has a hook.
class Guests : public TwoVms {
 public:
  static constexpr GuestPhys kHook{0x2000'0000};
  static constexpr Hypervisor::Place kFirst{.vm = 0, .vcpu = kBootVcpu};

  Guests() {
    for (std::size_t vm = 0; vm < hooks_.size(); ++vm) {
      auto hook = std::make_unique<test::HookDevice>();
      hooks_[vm] = hook.get();
      EXPECT_THAT(hypervisor.vm(vm).add_mmio_device(kHook, std::move(hook)), Succeeds());
    }
    EXPECT_EQ(publish(0, 1, 0x1000), 0u);
    EXPECT_EQ(subscribe(1, 1, 1), 0u);
  }

  void at(Spot spot, const std::function<void()>& look) {
    if (spot == Spot::Inside) return inside(0, look);
    if (spot == Spot::OtherInside) return inside(1, look);
    Vm& vm = hypervisor.vm(0);
    if (spot == Spot::Ready) {
      ASSERT_THAT(hypervisor.reset(0), Succeeds());
    }
    if (spot == Spot::Paused) {
      ASSERT_THAT(vm.suspend(), Succeeds());
    }
    if (spot == Spot::Stopped) {
      ASSERT_THAT(vm.shutdown(), Succeeds());
    }
    if (spot == Spot::Failed) {
      ASSERT_THAT(vm.end(VmEnd::Fault, "broken"), Succeeds());
    }
    if (spot == Spot::Destroyed) {
      ASSERT_THAT(hypervisor.destroy(0), Succeeds());
    }
    look();
  }

  [[nodiscard]] std::uint64_t digest() {
    Digest digest;
    for (std::size_t vm = 0; vm < hypervisor.vm_num(); ++vm) hypervisor.vm(vm).digest(digest);
    digest.add(static_cast<std::uint64_t>(hypervisor.activity(kFirst)));
    digest.add(static_cast<std::uint64_t>(hypervisor.fate(0)));
    digest.add(hypervisor.detail(0));
    digest.add(host.frames().bytes_free());
    digest.add(channel_bytes());
    return digest.value();
  }

 private:
  void inside(std::size_t vm, const std::function<void()>& look) {
    bool looked = false;
    hooks_[vm]->on_write = [&] {
      look();
      looked = true;
    };
    cpu(vm).play({{exits::NestedPageFault{kHook, MappingFlags::Write},
                   0,
                   {exits::MmioWrite{kHook, Width::Word, 1}}},
                  {exits::Halt{}}});
    host.clock().set_slice_end(host.clock().retired() + 10);
    (void)hypervisor.run({vm, kBootVcpu});
    EXPECT_TRUE(looked);
  }

  std::array<test::HookDevice*, 2> hooks_{};
};

struct Call {
  std::string name;
  std::function<bool(Guests&)> make;
  std::map<Spot, VmState> moves;  ///< where it is allowed, and what it makes of the state
};

template <class T>
bool done(const Result<T>& result, ErrorCode refusal) {
  if (!result) {
    EXPECT_EQ(result.error().code, refusal) << result.error().message;
  }
  return result.has_value();
}

std::vector<Call> calls() {
  using enum VmState;
  const auto everywhere = [] {
    std::map<Spot, VmState> moves;
    for (const Spot spot : kSpots) moves[spot] = state_at(spot);
    return moves;
  };
  std::map<Spot, VmState> booted = everywhere();
  booted[Spot::Ready] = Running;
  return {
      {"adopt",
       [](Guests& at) {
         auto vm = Vm::create(at.config(1), at.host, at.console);
         return vm && done(at.hypervisor.adopt(*std::move(vm)), ErrorCode::AlreadyExists);
       },
       {{Spot::Destroyed, Destroyed}}},
      {"adopt another",
       [](Guests& at) {
         auto vm = Vm::create(at.config(3), at.host, at.console);
         return vm && done(at.hypervisor.adopt(*std::move(vm)), ErrorCode::AlreadyExists);
       },
       everywhere()},
      {"shutdown",
       [](Guests& at) { return done(at.hypervisor.shutdown(0), ErrorCode::BadState); },
       {{Spot::Ready, Stopped},
        {Spot::Running, Stopped},
        {Spot::Paused, Stopped},
        {Spot::Inside, Stopping},
        {Spot::OtherInside, Stopped}}},
      {"reset",
       [](Guests& at) { return done(at.hypervisor.reset(0), ErrorCode::BadState); },
       {{Spot::Ready, Ready},
        {Spot::Running, Ready},
        {Spot::Paused, Ready},
        {Spot::Stopped, Ready},
        {Spot::Failed, Ready},
        {Spot::OtherInside, Ready}}},
      {"destroy",
       [](Guests& at) { return done(at.hypervisor.destroy(0), ErrorCode::BadState); },
       {{Spot::Ready, Destroyed},
        {Spot::Running, Destroyed},
        {Spot::Paused, Destroyed},
        {Spot::Stopped, Destroyed},
        {Spot::Failed, Destroyed},
        {Spot::OtherInside, Destroyed}}},
      {"boot all",
       [](Guests& at) {
         at.hypervisor.boot_all();
         return true;
       },
       std::move(booted)},
      {"wake",
       [](Guests& at) {
         at.hypervisor.wake();
         return true;
       },
       everywhere()},
  };
}

/// What is true of both VMs in every state.
void check_channels(Guests& at) {
  at.hypervisor.wake();
  const bool alive = at.hypervisor.fate(0) == VmFate::Alive;
  if (!alive) {
    EXPECT_EQ(at.hypervisor.activity(Guests::kFirst), VcpuActivity::Off);
  }
  for (std::size_t vm = 0; vm < at.hypervisor.vm_num(); ++vm) {
    (void)at.hypervisor.shutdown(vm);
    (void)at.hypervisor.destroy(vm);
  }
  EXPECT_EQ(at.channel_bytes(), 0u);
  EXPECT_EQ(at.host.frames().bytes_free(), at.host.memory().size());
}

void check(const Call& call, Spot spot) {
  SCOPED_TRACE(fmt::format("{} in {}{}", call.name, to_string(state_at(spot)),
                           spot == Spot::Inside        ? ", a vcpu of it in the run loop"
                           : spot == Spot::OtherInside ? ", another's in the run loop"
                                                       : ""));
  Guests at;
  at.at(spot, [&] {
    ASSERT_EQ(at.hypervisor.vm(0).state(), state_at(spot));
    const auto move = call.moves.find(spot);
    const bool is_allowed = move != call.moves.end();
    const std::uint64_t before = at.digest();

    EXPECT_EQ(call.make(at), is_allowed);

    EXPECT_EQ(at.hypervisor.vm(0).state(), is_allowed ? move->second : state_at(spot));
    if (!is_allowed) {
      EXPECT_EQ(at.digest(), before) << "a refused call changes nothing";
    }
  });
  check_channels(at);
}

TEST(TheCallsOfAHypervisor, GoAsTheTableSays) {
  for (const Call& call : calls()) {
    for (const Spot spot : kSpots) check(call, spot);
  }
}

}  // namespace
}  // namespace retrap
