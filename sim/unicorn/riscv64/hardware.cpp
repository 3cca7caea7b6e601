// Makes the harts of a VM.
#include "sim/unicorn/riscv64.h"
#include "sim/unicorn/riscv64/processor.h"

namespace retrap::unicorn::riscv64 {
namespace {

class UnicornHardware final : public retrap::riscv64::Hardware {
 public:
  UnicornHardware(HostMemory& memory, Clock& clock) : memory_(memory), clock_(clock) {}

  [[nodiscard]] Result<std::unique_ptr<retrap::riscv64::CpuSet>> create(
      unsigned count, AddressSpace& memory) override {
    RETRAP_TRY(auto processor, Processor::make(count, memory_, clock_, memory));
    return processor;
  }

 private:
  HostMemory& memory_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<retrap::riscv64::Hardware> make_unicorn_hardware(HostMemory& memory, Clock& clock) {
  return std::make_unique<UnicornHardware>(memory, clock);
}

}  // namespace retrap::unicorn::riscv64
