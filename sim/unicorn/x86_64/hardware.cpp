// Makes the CPUs of one VM on an engine of their own.
#include "sim/unicorn/x86_64.h"
#include "sim/unicorn/x86_64/cpu.h"

namespace retrap::unicorn::x86_64 {
namespace {

class UnicornCpuSet final : public retrap::x86_64::CpuSet {
 public:
  UnicornCpuSet(std::unique_ptr<Core> core, unsigned count) : core_(std::move(core)) {
    for (unsigned i = 0; i < count; ++i) cpus_.push_back(std::make_unique<UnicornCpu>(*core_));
  }
  [[nodiscard]] unsigned size() const override { return static_cast<unsigned>(cpus_.size()); }
  [[nodiscard]] retrap::x86_64::Cpu& cpu(unsigned index) override { return *cpus_.at(index); }

 private:
  std::unique_ptr<Core> core_;
  std::vector<std::unique_ptr<UnicornCpu>> cpus_;
};

class UnicornHardware final : public retrap::x86_64::Hardware {
 public:
  UnicornHardware(HostMemory& memory, Clock& clock) : memory_(memory), clock_(clock) {}

  Result<std::unique_ptr<retrap::x86_64::CpuSet>> create(unsigned count,
                                                         AddressSpace& memory) override {
    if (count == 0 || count > kMaxVcpus) {
      return fail(ErrorCode::InvalidInput, "{} vCPUs: from 1 to {} are possible", count, kMaxVcpus);
    }
    RETRAP_TRY(auto core, Core::make(memory_, clock_, memory));
    return std::make_unique<UnicornCpuSet>(std::move(core), count);
  }

 private:
  HostMemory& memory_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<retrap::x86_64::Hardware> make_unicorn_hardware(HostMemory& memory, Clock& clock) {
  return std::make_unique<UnicornHardware>(memory, clock);
}

}  // namespace retrap::unicorn::x86_64
