// The behaviour of one local APIC.
#include "arch/x86_64/lapic.h"

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint32_t kLvtMasked = 1U << 16;
/// Version 0x14, six LVT entries, no suppression of EOI broadcasts (11.4.8).
constexpr std::uint32_t kVersionValue = 0x0005'0014;
/// The highest vector that is no interrupt.
constexpr std::uint8_t kLastIllegalVector = 15;

constexpr std::size_t kTimer = 0;
constexpr std::size_t kLint0 = 3;
constexpr std::size_t kLint1 = 4;
constexpr std::size_t kError = 5;

/// The bits that can be written: timer, thermal, performance, LINT0, LINT1, error (figure 11-8).
constexpr std::array<std::uint32_t, 6> kLvtWritable = {0x7'00ff, 0x1'07ff, 0x1'07ff,
                                                       0x1'a7ff, 0x1'a7ff, 0x1'00ff};

enum class Use : std::uint8_t { ReadWrite, ReadOnly, WriteOnly };

/// Table 11-1: the registers of the page, a row for each run of them.
struct Row {
  std::uint32_t offset;
  std::uint32_t count;
  Use use;
};
constexpr std::array kRegisters = {
    Row{apic::kId, 1, Use::ReadWrite},
    Row{apic::kVersion, 1, Use::ReadOnly},
    Row{apic::kTaskPriority, 1, Use::ReadWrite},
    Row{apic::kArbitrationPriority, 1, Use::ReadOnly},
    Row{apic::kProcessorPriority, 1, Use::ReadOnly},
    Row{apic::kEoi, 1, Use::WriteOnly},
    Row{apic::kLogicalDestination, 1, Use::ReadWrite},
    Row{apic::kDestinationFormat, 1, Use::ReadWrite},
    Row{apic::kSpurious, 1, Use::ReadWrite},
    Row{apic::kInService, 8, Use::ReadOnly},
    Row{apic::kTriggerMode, 8, Use::ReadOnly},
    Row{apic::kRequest, 8, Use::ReadOnly},
    Row{apic::kErrorStatus, 1, Use::ReadWrite},
    Row{apic::kCommandLow, 2, Use::ReadWrite},
    Row{apic::kLvtTimer, 6, Use::ReadWrite},
    Row{apic::kInitialCount, 1, Use::ReadWrite},
    Row{apic::kCurrentCount, 1, Use::ReadOnly},
    Row{apic::kDivide, 1, Use::ReadWrite},
    Row{apic::kSelfIpi, 1, Use::WriteOnly},
};

constexpr const Row* find(std::uint32_t offset) {
  for (const Row& row : kRegisters) {
    if (offset >= row.offset && offset < row.offset + row.count * 16) return &row;
  }
  return nullptr;
}

}  // namespace

void VectorSet::digest(Digest& into) const {
  for (std::size_t i = 0; i < words_.size(); i += 2) {
    into.add(words_[i] | std::uint64_t{words_[i + 1]} << 32);
  }
}

Lapic::Lapic(std::uint32_t id, bool boots)
    : id_(id), base_(apic::kBaseAddress | apic::kBaseEnable | (boots ? apic::kBaseBsp : 0)) {
  RETRAP_CHECK(id <= kHighestId, "the configuration has been checked");
  lvt_.fill(kLvtMasked);
}

void Lapic::init() {
  const std::uint64_t base = base_;
  *this = Lapic(id_, (base & apic::kBaseBsp) != 0);
  base_ = base;
}

void Lapic::set_base(std::uint64_t value) {
  const bool was_enabled = is_enabled();
  base_ = value;
  // Disabled and enabled again it comes up as after power-on (11.4.3).
  if (was_enabled && !is_enabled()) init();
}

IoResult<std::uint64_t> Lapic::read(std::uint32_t offset, std::uint64_t now_ns) const {
  const Row* row = find(offset);
  if (row == nullptr || offset % 16 != 0) return tl::unexpected(IoError::NoRegister);
  if (row->use == Use::WriteOnly) return tl::unexpected(IoError::WriteOnly);
  const std::uint32_t index = (offset - row->offset) / 16;
  switch (row->offset) {
    case apic::kId:                  return is_x2() ? id_ : id_ << 24;
    case apic::kVersion:             return kVersionValue;
    case apic::kTaskPriority:        return tpr_;
    case apic::kArbitrationPriority: return 0;  // P6 only
    case apic::kProcessorPriority:   return processor_priority();
    case apic::kLogicalDestination:
      // 11.12.10.2: cluster in the upper half, position in the lower.
      return is_x2() ? (id_ >> 4) << 16 | 1U << (id_ & 15) : ldr_;
    case apic::kDestinationFormat: return dfr_;
    case apic::kSpurious:          return spurious_;
    case apic::kInService:         return in_service_.word(index);
    case apic::kTriggerMode:       return trigger_mode_.word(index);
    case apic::kRequest:           return request_.word(index);
    case apic::kErrorStatus:       return error_status_;
    case apic::kCommandLow:        return static_cast<std::uint32_t>(icr_ >> (index * 32));
    case apic::kLvtTimer:          return lvt_[index];
    case apic::kInitialCount:      return initial_count_;
    case apic::kCurrentCount:      return current_count(now_ns);
    default:                       return divide_;
  }
}

IoResult<> Lapic::write(std::uint32_t offset, std::uint32_t value, std::uint64_t now_ns) {
  const Row* row = find(offset);
  if (row == nullptr || offset % 16 != 0) return tl::unexpected(IoError::NoRegister);
  if (row->use == Use::ReadOnly) return tl::unexpected(IoError::ReadOnly);
  const std::uint32_t index = (offset - row->offset) / 16;
  switch (row->offset) {
    case apic::kTaskPriority:       tpr_ = static_cast<std::uint8_t>(value); break;
    case apic::kLogicalDestination: ldr_ = value & 0xff00'0000; break;
    case apic::kDestinationFormat:  dfr_ = value | 0x0fff'ffff; break;
    case apic::kSpurious:           write_spurious(value); break;
    case apic::kErrorStatus:
      error_status_ = errors_;
      errors_ = 0;
      break;
    case apic::kCommandLow:
      icr_ = index == 0 ? insert(icr_, 31, 0, value) : insert(icr_, 63, 32, value & 0xff00'0000);
      break;
    case apic::kLvtTimer:     write_lvt(index, value); break;
    case apic::kInitialCount: write_initial_count(value, now_ns); break;
    case apic::kDivide:       write_divide(value, now_ns); break;
    default:                  break;  // the id is fixed; EOI and self IPI are the owner's
  }
  return {};
}

void Lapic::write_spurious(std::uint32_t value) {
  spurious_ = value & 0x1ff;
  if (is_software_enabled()) return;
  // 11.4.7.2: requests stay, every LVT entry is masked.
  for (std::uint32_t& entry : lvt_) entry |= kLvtMasked;
}

void Lapic::write_lvt(std::size_t index, std::uint32_t value) {
  const TimerMode old_mode = timer_mode();
  lvt_[index] = value & kLvtWritable[index];
  if (!is_software_enabled()) lvt_[index] |= kLvtMasked;
  if (index != kTimer || timer_mode() == old_mode) return;
  // 11.5.4: a change of mode to or from TSC deadline disarms the timer.
  if (timer_mode() == TimerMode::TscDeadline || old_mode == TimerMode::TscDeadline) {
    timer_deadline_ns_ = kNever;
    tsc_deadline_ = 0;
    initial_count_ = 0;
  }
}

Lapic::TimerMode Lapic::timer_mode() const {
  return static_cast<TimerMode>(extract(lvt_[kTimer], 18, 17));
}

std::uint64_t Lapic::tick_ns() const {
  // Figure 11-10: bits 3, 1 and 0; 111 divides by one.
  const unsigned code = (divide_ >> 1 & 4) | (divide_ & 3);
  return kTickNs << ((code + 1) & 7);
}

void Lapic::write_initial_count(std::uint32_t value, std::uint64_t now_ns) {
  if (timer_mode() == TimerMode::TscDeadline) return;
  initial_count_ = value;
  timer_start_ns_ = now_ns;
  timer_deadline_ns_ = value == 0 ? kNever : now_ns + value * tick_ns();
}

void Lapic::write_divide(std::uint32_t value, std::uint64_t now_ns) {
  const std::uint32_t left = current_count(now_ns);
  divide_ = value & 0xb;
  if (timer_deadline_ns_ == kNever || timer_mode() == TimerMode::TscDeadline) return;
  // What is left is counted at the new rate.
  timer_deadline_ns_ = now_ns + left * tick_ns();
  timer_start_ns_ = timer_deadline_ns_ - initial_count_ * tick_ns();
}

std::uint32_t Lapic::current_count(std::uint64_t now_ns) const {
  if (timer_deadline_ns_ == kNever || timer_mode() == TimerMode::TscDeadline) return 0;
  if (timer_deadline_ns_ <= now_ns) return 0;
  const std::uint64_t left = (timer_deadline_ns_ - now_ns + tick_ns() - 1) / tick_ns();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(left, initial_count_));
}

void Lapic::advance(std::uint64_t now_ns) {
  if (timer_deadline_ns_ > now_ns) return;
  if (timer_mode() == TimerMode::Periodic) {
    const std::uint64_t period = initial_count_ * tick_ns();
    // Periods that passed together are one request, as in a request register of one bit.
    timer_deadline_ns_ += ((now_ns - timer_deadline_ns_) / period + 1) * period;
  } else {
    timer_deadline_ns_ = kNever;
    tsc_deadline_ = 0;
  }
  if ((lvt_[kTimer] & kLvtMasked) == 0)
    (void)accept(static_cast<std::uint8_t>(lvt_[kTimer]), false);
}

std::uint64_t Lapic::tsc_deadline() const {
  return timer_mode() == TimerMode::TscDeadline ? tsc_deadline_ : 0;
}

void Lapic::set_tsc_deadline(std::uint64_t value, std::uint64_t offset, std::uint64_t now_ns) {
  if (timer_mode() != TimerMode::TscDeadline) return;
  tsc_deadline_ = value;
  tsc_offset_ = offset;
  if (value == 0) {
    timer_deadline_ns_ = kNever;
    return;
  }
  const std::uint64_t now_tsc = now_ns + offset;
  timer_deadline_ns_ =
      value > now_tsc ? checked_add(now_ns, value - now_tsc).value_or(kNever) : now_ns;
}

void Lapic::set_tsc_offset(std::uint64_t offset, std::uint64_t now_ns) {
  if (tsc_deadline() != 0) set_tsc_deadline(tsc_deadline_, offset, now_ns);
  tsc_offset_ = offset;
}

bool Lapic::accept(std::uint8_t vector, bool level_triggered) {
  if (vector <= kLastIllegalVector) {
    report_error(apic::kReceiveIllegalVector);
    return false;
  }
  if (!is_enabled() || !is_software_enabled()) return false;
  request_.set(vector);
  if (level_triggered) {
    trigger_mode_.set(vector);
  } else {
    trigger_mode_.clear(vector);
  }
  return true;
}

std::uint8_t Lapic::processor_priority() const {
  const auto serving = in_service_.highest();
  const auto serving_class = static_cast<std::uint8_t>(serving.value_or(0) & 0xf0);
  // 11.8.3.1: the whole TPR where its class is not lower.
  return (tpr_ & 0xf0) >= serving_class ? tpr_ : serving_class;
}

std::optional<std::uint8_t> Lapic::pending() const {
  if (!is_enabled()) return std::nullopt;
  const auto vector = request_.highest();
  if (!vector || (*vector & 0xf0) <= (processor_priority() & 0xf0)) return std::nullopt;
  return vector;
}

void Lapic::acknowledge(std::uint8_t vector) {
  request_.clear(vector);
  in_service_.set(vector);
}

std::optional<std::uint8_t> Lapic::end_of_interrupt() {
  const auto vector = in_service_.highest();
  if (!vector) return std::nullopt;
  in_service_.clear(*vector);
  if (!trigger_mode_.has(*vector)) return std::nullopt;
  return vector;
}

void Lapic::report_error(std::uint32_t bits) {
  errors_ |= bits;
  if ((lvt_[kError] & kLvtMasked) != 0 || !is_software_enabled() || !is_enabled()) return;
  const auto vector = static_cast<std::uint8_t>(lvt_[kError]);
  if (vector > kLastIllegalVector) request_.set(vector);
}

bool Lapic::matches(std::uint32_t destination, bool logical) const {
  if (!is_enabled()) return false;
  if (is_x2()) {
    if (destination == ~std::uint32_t{0}) return true;
    if (!logical) return destination == id_;
    return destination >> 16 == id_ >> 4 && (destination & 1U << (id_ & 15)) != 0;
  }
  if (!logical) return destination == 0xff || destination == id_;
  const std::uint32_t own = ldr_ >> 24;
  // 11.6.2.2: flat where the model bits are all ones, clusters where they are zero.
  if (dfr_ >> 28 == 0xf) return (own & destination) != 0;
  const bool same_cluster = destination >> 4 == own >> 4 || destination >> 4 == 0xf;
  return same_cluster && (own & destination & 0xf) != 0;
}

bool Lapic::passes_ext_int() const {
  if (!is_enabled()) return true;  // then the pin is INTR itself (11.4.3)
  const std::uint32_t entry = lvt_[kLint0];
  return (entry & kLvtMasked) == 0 && extract(entry, 10, 8) == 7;
}

void Lapic::set_virtual_wire() {
  spurious_ = 0x1ff;
  lvt_[kLint0] = 0x700;
  lvt_[kLint1] = 0x400;
}

void Lapic::digest(Digest& into) const {
  for (const std::uint64_t word :
       {std::uint64_t{id_}, base_, std::uint64_t{tpr_}, std::uint64_t{ldr_}, std::uint64_t{dfr_},
        std::uint64_t{spurious_}, error_status_ | std::uint64_t{errors_} << 32, icr_,
        std::uint64_t{initial_count_}, std::uint64_t{divide_}, timer_start_ns_, timer_deadline_ns_,
        tsc_deadline_, tsc_offset_}) {
    into.add(word);
  }
  for (const std::uint32_t entry : lvt_) into.add(entry);
  request_.digest(into);
  in_service_.digest(into);
  trigger_mode_.digest(into);
}

}  // namespace retrap::x86_64
