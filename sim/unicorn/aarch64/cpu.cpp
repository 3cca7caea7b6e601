// The CPUs of a VM as the monitor sees them.
#include "sim/unicorn/aarch64.h"
#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

using retrap::aarch64::AddressTranslation;
namespace pstate = retrap::aarch64::pstate;

class UnicornCpu final : public retrap::aarch64::Cpu {
 public:
  UnicornCpu(Core& core, CpuContext& context) : core_(core), context_(context) {
    context.cpu = this;
  }

  const RawExit& run() override {
    FirstExit<RawExitHandler, const RawExit> first;
    return core_.run(context_, first);
  }
  const RawExit& run_with(RawExitHandler& handler) override { return core_.run(context_, handler); }

  std::uint64_t x(unsigned index) const override { return registers().x(index); }
  void set_x(unsigned index, std::uint64_t value) override { registers().set_x(index, value); }
  retrap::aarch64::Call call() const override { return registers().call(); }
  Vector v(unsigned index) const override { return registers().v(index); }
  void set_v(unsigned index, Vector value) override { registers().set_v(index, value); }
  std::uint64_t pc() const override { return context_.pc; }
  void set_pc(std::uint64_t value) override { context_.pc = value; }
  std::uint64_t sp() const override { return registers().sp(); }
  void set_sp(std::uint64_t value) override { registers().set_sp(value); }
  std::uint32_t pstate() const override { return registers().pstate() & ~pstate::kSs; }
  void set_pstate(std::uint32_t value) override { core_.set_pstate(context_, value); }
  std::uint64_t sysreg(SysReg reg) const override { return core_.sysreg(context_, reg); }
  void set_sysreg(SysReg reg, std::uint64_t value) override {
    core_.set_sysreg(context_, reg, value);
  }
  void retire() override { core_.retire(context_); }
  void retire_with(unsigned index, std::uint64_t value) override {
    registers().set_x(index, value);
    core_.retire(context_);
  }
  void set_virtual_irq(bool level) override { core_.set_virtual_irq(context_, level); }

  AddressTranslation translate(std::uint64_t va, AccessType access, Privilege privilege) override {
    const Walk walk = core_.stage1(context_, va, permission::needed_for(access), privilege);
    switch (walk.outcome) {
      case Walk::Outcome::Ok: return {.ipa = GuestPhys(walk.ipa)};
      case Walk::Outcome::Stage1:
        return {.kind = AddressTranslation::Kind::Stage1Fault, .fsc = walk.fsc};
      case Walk::Outcome::NoMemory:
        return {.kind = AddressTranslation::Kind::Stage1Fault,
                .fsc = retrap::aarch64::fsc::kExternal};
      case Walk::Outcome::Stage2:
      case Walk::Outcome::Stage2OnWalk: break;
    }
    return {
        .kind = AddressTranslation::Kind::WalkFault, .ipa = GuestPhys(walk.ipa), .fsc = walk.fsc};
  }
  std::optional<std::uint32_t> instruction() override {
    (void)registers();
    return core_.instruction_at(context_.pc);
  }
  void reset() override { core_.reset(context_); }

 private:
  Registers& registers() const { return core_.registers(context_); }

  Core& core_;
  CpuContext& context_;
};

class UnicornCpuSet final : public retrap::aarch64::CpuSet {
 public:
  explicit UnicornCpuSet(std::unique_ptr<Core> core) : core_(std::move(core)) {
    for (CpuContext& context : core_->cpus()) {
      cpus_.push_back(std::make_unique<UnicornCpu>(*core_, context));
    }
  }
  unsigned size() const override { return static_cast<unsigned>(cpus_.size()); }
  retrap::aarch64::Cpu& cpu(unsigned index) override { return *cpus_[index]; }

 private:
  std::unique_ptr<Core> core_;
  std::vector<std::unique_ptr<UnicornCpu>> cpus_;
};

class UnicornHardware final : public retrap::aarch64::Hardware {
 public:
  UnicornHardware(HostMemory& memory, Clock& clock) : memory_(memory), clock_(clock) {}

  Result<std::unique_ptr<retrap::aarch64::CpuSet>> create(std::span<const CpuSetup> setups,
                                                          AddressSpace& memory) override {
    if (setups.empty() || setups.size() > kMaxVcpus) {
      return fail(ErrorCode::InvalidInput, "a VM has 1 to {} CPUs, not {}", kMaxVcpus,
                  setups.size());
    }
    RETRAP_TRY(auto core, Core::open(setups, memory_, clock_, memory));
    return std::make_unique<UnicornCpuSet>(std::move(core));
  }

 private:
  HostMemory& memory_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<retrap::aarch64::Hardware> make_unicorn_hardware(HostMemory& memory, Clock& clock) {
  return std::make_unique<UnicornHardware>(memory, clock);
}

}  // namespace retrap::unicorn::aarch64
