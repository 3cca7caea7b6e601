// Plays the exits of a trace.
#include "sim/recorded_vcpu.h"

namespace retrap {

const traces::ExitRecord* RecordedVcpu::own() const {
  const traces::ExitRecord* const exit = feed_.exit();
  return exit != nullptr && exit->vm == vm_ && exit->vcpu == id_ ? exit : nullptr;
}

ExitReason RecordedVcpu::run() {
  const traces::ExitRecord* const exit = own();
  const bool time_has_come = exit != nullptr && exit->idle_ns == clock_.idle_ns();
  if (!time_has_come) {
    clock_.set_slice_end(clock_.retired());
    return exits::BudgetSpent{};
  }
  // An alarm of that very instant comes before the exit.
  if (clock_.stop_at() <= exit->retired) {
    if (clock_.stop_at() > clock_.retired()) clock_.retire_to(clock_.stop_at());
    return exits::BudgetSpent{};
  }
  if (exit->retired > clock_.retired()) clock_.retire_to(exit->retired);
  pc_ = exit->pc;
  return exit->reason;
}

Emulated RecordedVcpu::emulate(AccessPort& port) {
  bool any = false;
  for (const traces::ExitRecord* exit = own(); exit != nullptr; exit = own()) {
    const std::uint64_t number = feed_.number();
    bool taken = false;
    pc_ = exit->pc;
    if (const auto* read = std::get_if<exits::MmioRead>(&exit->reason)) {
      std::uint64_t value = 0;
      taken = port.read(exits::MmioRead(*read), value);
    } else if (const auto* write = std::get_if<exits::MmioWrite>(&exit->reason)) {
      taken = port.write(exits::MmioWrite(*write));
    } else {
      break;
    }
    any = true;
    if (!taken) return Emulated::NoAccess;
    if (feed_.exit() != nullptr && feed_.number() == number) break;  // nobody has seen it
  }
  return any ? Emulated::Retired : Emulated::GuestFault;
}

Result<std::uint64_t> RecordedVcpu::gpr(unsigned index) const {
  return fail(ErrorCode::Unsupported, "a trace has no register {}", index);
}

Result<> RecordedVcpu::set_gpr(unsigned index, std::uint64_t value) {
  (void)value;
  return fail(ErrorCode::Unsupported, "a trace has no register {}", index);
}

}  // namespace retrap
