// Every call of a machine in every state of its VM: what is allowed is done and told, and what is
// refused changes nothing, whoever asks (an embedder, or a trace).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "sim/machine.h"
#include "tests/support/matchers.h"

namespace retrap {
namespace {

using test::Succeeds;
using enum VmState;

constexpr std::array kStates = {Ready, Running, Paused, Stopped, Failed, Destroyed};
constexpr std::uint64_t kMore = 0x2'0000'0000;

class Inputs final : public MachineObserver {
 public:
  void on_input(const traces::InputRecord&) override { ++count; }
  std::uint64_t count = 0;
};

/// A machine with one VM, whose kernel is 64 bytes that need not mean anything.
class AMachineSomewhere {
 public:
  explicit AMachineSomewhere(ArchId arch) : arch_(arch) {
    vm_ = *add_vm();
    // A PL011 takes input once the guest has enabled it (UARTCR: UARTEN, RXE).
    if (arch == ArchId::Aarch64) {
      EXPECT_TRUE(vm_->mmio().write(0x0900'0030, Width::Word, 0x201, kBootVcpu));
    }
    machine_->set_observer(&inputs_);
  }

  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] Vm& vm() { return *vm_; }
  [[nodiscard]] std::uint64_t told() const { return inputs_.count; }
  [[nodiscard]] GuestPhys kernel() { return GuestPhys(config().entry_point.value()); }

  [[nodiscard]] std::uint64_t vector() const { return arch_ == ArchId::Riscv64 ? 9 : 33; }

  [[nodiscard]] Result<Vm*> add_vm() { return machine_->add_vm(config(), images()); }
  [[nodiscard]] Images images() const {
    Images images;
    images.kernel = *Image::parse("kernel", std::vector<std::byte>(64, std::byte{1}), arch_);
    return images;
  }

  void bring_to(VmState state) {
    if (state == Running || state == Paused) (void)machine_->run(0);
    if (state == Paused) {
      ASSERT_THAT(vm_->suspend(), Succeeds());
    }
    if (state == Stopped) {
      ASSERT_THAT(vm_->shutdown(), Succeeds());
    }
    if (state == Failed) {
      ASSERT_THAT(vm_->end(VmEnd::Fault, "broken"), Succeeds());
    }
    if (state == Destroyed) {
      ASSERT_THAT(vm_->destroy(), Succeeds());
    }
    ASSERT_EQ(vm_->state(), state);
  }

  [[nodiscard]] std::uint64_t digest() const {
    Digest digest;
    digest.add(machine_->digest());
    digest.add(machine_->vm_num());
    digest.add(static_cast<std::uint64_t>(vm_->life().reason()));
    digest.add(vm_->life().detail());
    return digest.value();
  }

 private:
  [[nodiscard]] VmConfig config() {
    VmConfig config = machine_->architecture(arch_)->default_config(std::uint64_t{64} << 20);
    const std::uint64_t kernel = config.memory_regions.front().gpa + (4 << 20);
    config.kernel_load_addr = kernel;
    config.entry_point = kernel;
    return config;
  }

  ArchId arch_;
  Inputs inputs_;
  std::unique_ptr<Machine> machine_ = *Machine::create({});
  Vm* vm_ = nullptr;
};

struct Call {
  std::string name;
  std::function<bool(AMachineSomewhere&)> make;
  std::map<VmState, VmState> moves;  ///< where it is allowed, and what it makes of the state
  bool is_input = true;              ///< told where it was done
};

/// Refused, it must be BadState and nothing else.
template <class T>
bool done(const Result<T>& result, ErrorCode refusal = ErrorCode::BadState) {
  if (!result) {
    EXPECT_EQ(result.error().code, refusal) << result.error().message;
  }
  return result.has_value();
}

std::map<VmState, VmState> while_built() {
  return {
      {Ready, Ready}, {Running, Running}, {Paused, Paused}, {Stopped, Stopped}, {Failed, Failed}};
}

std::vector<Call> uses() {
  using At = AMachineSomewhere;
  return {
      {"type", [](At& at) { return at.machine().type(at.vm(), 'x'); }, while_built()},
      {"inject", [](At& at) { return done(at.machine().inject(at.vm(), kBootVcpu, at.vector())); },
       while_built()},
      {"map",
       [](At& at) {
         const HostPhys host = at.vm().is_built() ? *at.vm().memory().translate(at.kernel())
                                                  : HostPhys(0x1'0000'0000);
         return done(at.machine().map(
             at.vm(),
             {.gpa = kMore, .hpa = host.align_down(4096).raw(), .size = 0x1000, .flags = 1}));
       },
       while_built()},
      {"unmap",
       [](At& at) {
         return done(at.machine().unmap(
             at.vm(), {.gpa = at.kernel().align_down(4096).raw(), .size = 0x1000}));
       },
       while_built()},
      {"write", [](At& at) { return done(at.machine().write_memory(at.vm(), at.kernel(), "abc")); },
       while_built()},
      {"grow",
       [](At& at) {
         return done(at.machine().grow(at.vm(), {.gpa = kMore, .size = 0x1000, .flags = 7}));
       },
       while_built()},
  };
}

std::vector<Call> transitions() {
  using At = AMachineSomewhere;
  return {
      {"suspend", [](At& at) { return done(at.machine().suspend(at.vm())); }, {{Running, Paused}}},
      {"resume", [](At& at) { return done(at.machine().resume(at.vm())); }, {{Paused, Running}}},
      {"shutdown",
       [](At& at) { return done(at.machine().shutdown(at.vm())); },
       {{Ready, Stopped}, {Running, Stopped}, {Paused, Stopped}}},
      {"reset",
       [](At& at) { return done(at.machine().reset(at.vm(), at.images())); },
       {{Ready, Ready}, {Running, Ready}, {Paused, Ready}, {Stopped, Ready}, {Failed, Ready}}},
      {"destroy",
       [](At& at) { return done(at.machine().destroy(at.vm())); },
       {{Ready, Destroyed},
        {Running, Destroyed},
        {Paused, Destroyed},
        {Stopped, Destroyed},
        {Failed, Destroyed}}},
      {"add_vm",
       [](At& at) { return done(at.add_vm(), ErrorCode::AlreadyExists); },
       {{Destroyed, Destroyed}},
       false},
      {"run",
       [](At& at) {
         (void)at.machine().run(0);
         return true;
       },
       {{Ready, Running},
        {Running, Running},
        {Paused, Paused},
        {Stopped, Stopped},
        {Failed, Failed},
        {Destroyed, Destroyed}},
       false},
  };
}

class TheCallsOfAMachine : public ::testing::TestWithParam<ArchId> {};

void check(ArchId arch, const Call& call, VmState state) {
  SCOPED_TRACE(fmt::format("{} in {}", call.name, to_string(state)));
  AMachineSomewhere at(arch);
  at.bring_to(state);
  const auto move = call.moves.find(state);
  const bool is_allowed = move != call.moves.end();
  const std::uint64_t before = at.digest();

  EXPECT_EQ(call.make(at), is_allowed);

  EXPECT_EQ(at.vm().state(), is_allowed ? move->second : state);
  EXPECT_EQ(at.told(), is_allowed && call.is_input ? 1u : 0u);
  if (!is_allowed) {
    EXPECT_EQ(at.digest(), before) << "a refused call changes nothing";
  }
  (void)at.machine().run(100);
}

TEST_P(TheCallsOfAMachine, GoAsTheTableSays) {
  for (const Call& call : transitions()) {
    for (const VmState state : kStates) check(GetParam(), call, state);
  }
}

TEST_P(TheCallsOfAMachine, AreForEveryVmThatHasParts) {
  for (const Call& call : uses()) {
    for (const VmState state : kStates) check(GetParam(), call, state);
  }
}

TEST_P(TheCallsOfAMachine, AreRefusedToATraceToo) {
  AMachineSomewhere at(GetParam());
  ASSERT_THAT(at.machine().destroy(at.vm()), Succeeds());
  const std::vector<traces::Input> inputs = {traces::ConsoleInput{"x"},
                                             traces::InterruptInput{kBootVcpu, at.vector()},
                                             traces::MapInput{kMore, 0x1'0000'0000, 0x1000, 1},
                                             traces::UnmapInput{0, 0x1000},
                                             traces::MemoryInput{at.kernel().raw(), "abc"},
                                             traces::SuspendInput{},
                                             traces::ResumeInput{},
                                             traces::ShutdownInput{},
                                             traces::ResetInput{},
                                             traces::DestroyInput{},
                                             traces::GrowInput{kMore, 0x1000, 7}};
  ASSERT_EQ(inputs.size(), std::variant_size_v<traces::Input>);
  const Images images = at.images();
  for (const traces::Input& input : inputs) {
    EXPECT_FALSE(at.machine().apply(at.vm(), input, &images)) << input.index();
  }
}

INSTANTIATE_TEST_SUITE_P(All, TheCallsOfAMachine, ::testing::ValuesIn(kAllArchs),
                         [](const ::testing::TestParamInfo<ArchId>& tested) {
                           return std::string(to_string(tested.param));
                         });

}  // namespace
}  // namespace retrap
