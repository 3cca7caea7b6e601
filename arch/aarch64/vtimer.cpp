// The generic timer.
#include "arch/aarch64/vtimer.h"

#include "vmm/base/bits.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint64_t kEnable = bit(0);
constexpr std::uint64_t kMask = bit(1);
constexpr std::uint64_t kStatus = bit(2);

}  // namespace

Timer::Timer(Clock& clock, Gicv3& gic, std::uint32_t cpu, std::uint32_t intid)
    : clock_(clock), gic_(gic), cpu_(cpu), intid_(intid), alarm_(clock.add_alarm(this)) {}

Timer::~Timer() {
  clock_.remove_alarm(alarm_);
}

std::uint64_t Timer::control() const {
  return (enabled_ ? kEnable : 0) | (masked_ ? kMask : 0) |
         (enabled_ && condition_is_met() ? kStatus : 0);
}

std::uint64_t Timer::timer_value() const {
  return static_cast<std::uint32_t>(compare_value_ - counter());
}

void Timer::set_control(std::uint64_t value) {
  enabled_ = (value & kEnable) != 0;
  masked_ = (value & kMask) != 0;
  update();
}

void Timer::set_compare_value(std::uint64_t value) {
  compare_value_ = value;
  update();
}

void Timer::set_timer_value(std::uint64_t value) {
  set_compare_value(counter() + sign_extend(value, 32));
}

void Timer::update() {
  const bool armed = enabled_ && !masked_;
  const bool met = condition_is_met();
  gic_.set_cpu_line(VcpuId{cpu_}, intid_, armed && met);
  // A compare value that lies beyond the end of time in nanoseconds never comes.
  const bool reachable = (compare_value_ >> (64 - kNsPerTickShift)) == 0;
  const bool waits = armed && !met && reachable;
  clock_.set_alarm(alarm_, waits ? compare_value_ << kNsPerTickShift : kNever);
}

void Timer::on_alarm(std::uint64_t) {
  update();
}

void Timer::reset() {
  enabled_ = masked_ = false;
  compare_value_ = 0;
  update();
}

void Timer::digest(Digest& into) const {
  into.add((enabled_ ? kEnable : 0) | (masked_ ? kMask : 0));
  into.add(compare_value_);
}

std::uint64_t GenericTimer::read_timer(SysReg reg) {
  switch (reg) {
    case SysReg::CNTVCT_EL0:
    case SysReg::CNTPCT_EL0:    return virtual_.counter();
    case SysReg::CNTV_CTL_EL0:  return virtual_.control();
    case SysReg::CNTV_CVAL_EL0: return virtual_.compare_value();
    case SysReg::CNTV_TVAL_EL0: return virtual_.timer_value();
    case SysReg::CNTP_CTL_EL0:  return physical_.control();
    case SysReg::CNTP_CVAL_EL0: return physical_.compare_value();
    case SysReg::CNTP_TVAL_EL0: return physical_.timer_value();
    default:                    return 0;
  }
}

void GenericTimer::write_timer(SysReg reg, std::uint64_t value) {
  switch (reg) {
    case SysReg::CNTV_CTL_EL0:  virtual_.set_control(value); break;
    case SysReg::CNTV_CVAL_EL0: virtual_.set_compare_value(value); break;
    case SysReg::CNTV_TVAL_EL0: virtual_.set_timer_value(value); break;
    case SysReg::CNTP_CTL_EL0:  physical_.set_control(value); break;
    case SysReg::CNTP_CVAL_EL0: physical_.set_compare_value(value); break;
    case SysReg::CNTP_TVAL_EL0: physical_.set_timer_value(value); break;
    default:                    break;
  }
}

void GenericTimer::reset() {
  virtual_.reset();
  physical_.reset();
}

void GenericTimer::digest(Digest& into) const {
  virtual_.digest(into);
  physical_.digest(into);
}

}  // namespace retrap::aarch64
