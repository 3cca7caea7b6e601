// Messages between local APICs, and the two ways to their registers.
#include "arch/x86_64/local_apics.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint32_t kX2Base = 0x800;
constexpr std::uint32_t kX2Last = 0x83f;

/// ICR, figure 11-12.
constexpr unsigned kIcrLogical = 11;
constexpr unsigned kIcrAssert = 14;
constexpr unsigned kIcrLevel = 15;
constexpr std::uint64_t kIcrDeliveryStatus = bit(12);

enum class Shorthand : std::uint8_t { None = 0, Self = 1, All = 2, AllButSelf = 3 };

/// What WRMSR must leave zero (11.12.1.3 and table 11-6).
constexpr std::uint64_t x2_writable(std::uint32_t offset) {
  switch (offset) {
    case apic::kTaskPriority: return 0xff;
    case apic::kEoi:
    case apic::kErrorStatus:  return 0;
    case apic::kSpurious:     return 0x1ff;
    case apic::kCommandLow:   return 0xffff'ffff'000c'dfff;
    case apic::kDivide:       return 0xb;
    case apic::kSelfIpi:      return 0xff;
    default:                  return 0xffff'ffff;
  }
}

}  // namespace

LocalApics::LocalApics(const std::vector<std::uint64_t>& ids) {
  for (const std::uint64_t id : ids) {
    apics_.emplace_back(static_cast<std::uint32_t>(id), apics_.empty());
    highest_id_ = std::max(highest_id_, apics_.back().id());
  }
  LocalApics::reset();
}

void LocalApics::reset() {
  for (std::uint32_t cpu = 0; cpu < count(); ++cpu) apics_[cpu] = Lapic(apics_[cpu].id(), cpu == 0);
  signals_.assign(apics_.size(), {});
  for (std::size_t cpu = 1; cpu < signals_.size(); ++cpu) signals_[cpu].waits_for_startup = true;
  startups_.clear();
  // The boot processor runs firmware first, which leaves the 8259A wired through.
  apics_.front().set_virtual_wire();
}

IoResult<std::uint64_t> LocalApics::read(const retrap::Access& access) {
  const Lapic& own = apics_[index(access.vcpu)];
  if (!own.is_enabled() || own.is_x2()) return tl::unexpected(IoError::NoRegister);
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  const auto offset = static_cast<std::uint32_t>(access.offset);
  if (offset == apic::kSelfIpi) return tl::unexpected(IoError::NoRegister);
  const auto value = own.read(offset, access.now_ns);
  if (!value && value.error() == IoError::NoRegister) {
    apics_[index(access.vcpu)].report_error(apic::kIllegalRegister);
  }
  return value;
}

IoResult<> LocalApics::write(const retrap::Access& access, std::uint64_t value) {
  const std::uint32_t cpu = index(access.vcpu);
  Lapic& own = apics_[cpu];
  if (!own.is_enabled() || own.is_x2()) return tl::unexpected(IoError::NoRegister);
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  const auto offset = static_cast<std::uint32_t>(access.offset);
  if (offset == apic::kEoi) {
    end_of_interrupt(cpu);
    return {};
  }
  if (offset == apic::kSelfIpi) return tl::unexpected(IoError::NoRegister);
  const auto done = own.write(offset, static_cast<std::uint32_t>(value), access.now_ns);
  if (!done && done.error() == IoError::NoRegister) own.report_error(apic::kIllegalRegister);
  if (done && offset == apic::kCommandLow) send(cpu, own.icr());
  return done;
}

IoResult<std::uint64_t> LocalApics::read_msr(std::uint32_t cpu, std::uint32_t number,
                                             std::uint64_t now_ns) const {
  const Lapic& own = apics_[cpu];
  const std::uint32_t offset = (number - kX2Base) * 16;
  const bool absent = offset == apic::kDestinationFormat || offset == apic::kCommandHigh;
  if (!own.is_x2() || number < kX2Base || number > kX2Last || absent) {
    return tl::unexpected(IoError::NoRegister);
  }
  if (offset == apic::kCommandLow) return own.icr();
  return own.read(offset, now_ns);
}

IoResult<> LocalApics::write_msr(std::uint32_t cpu, std::uint32_t number, std::uint64_t value,
                                 std::uint64_t now_ns) {
  Lapic& own = apics_[cpu];
  const std::uint32_t offset = (number - kX2Base) * 16;
  const bool absent = offset == apic::kDestinationFormat || offset == apic::kCommandHigh;
  if (!own.is_x2() || number < kX2Base || number > kX2Last || absent) {
    return tl::unexpected(IoError::NoRegister);
  }
  if (offset == apic::kId || offset == apic::kLogicalDestination) {
    return tl::unexpected(IoError::ReadOnly);
  }
  if ((value & ~x2_writable(offset)) != 0) return tl::unexpected(IoError::BadWidth);
  switch (offset) {
    case apic::kEoi: end_of_interrupt(cpu); return {};
    case apic::kCommandLow:
      own.set_icr(value);
      send(cpu, value);
      return {};
    case apic::kSelfIpi: (void)own.accept(static_cast<std::uint8_t>(value), false); return {};
    default:             return own.write(offset, static_cast<std::uint32_t>(value), now_ns);
  }
}

void LocalApics::end_of_interrupt(std::uint32_t cpu) {
  const auto level = apics_[cpu].end_of_interrupt();
  if (level && eoi_listener_ != nullptr) eoi_listener_->end_of_interrupt(*level);
}

void LocalApics::send(std::uint32_t cpu, std::uint64_t icr) {
  Lapic& own = apics_[cpu];
  own.set_icr(icr & ~kIcrDeliveryStatus);
  const auto mode = static_cast<DeliveryMode>(extract(icr, 10, 8));
  // INIT level de-assert means something to the P6 only (11.6.1).
  if (mode == DeliveryMode::Init && has_bit(icr, kIcrLevel) && !has_bit(icr, kIcrAssert)) return;
  const ApicMessage message{
      .destination = static_cast<std::uint32_t>(own.is_x2() ? icr >> 32 : icr >> 56),
      .logical = has_bit(icr, kIcrLogical),
      .mode = mode,
      .vector = static_cast<std::uint8_t>(icr),
      .level_triggered = false};
  const bool vectored = mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority;
  if (vectored && message.vector < 16) return own.report_error(apic::kSendIllegalVector);
  const auto shorthand = static_cast<Shorthand>(extract(icr, 19, 18));
  if (shorthand == Shorthand::None) {
    (void)deliver(message);
    return;
  }
  for (std::uint32_t target = 0; target < count(); ++target) {
    const bool is_self = target == cpu;
    if (shorthand == Shorthand::Self && !is_self) continue;
    if (shorthand == Shorthand::AllButSelf && is_self) continue;
    (void)accept(target, message);
  }
}

bool LocalApics::deliver(const ApicMessage& message) {
  if (message.mode == DeliveryMode::LowestPriority) return deliver_lowest_priority(message);
  bool accepted = false;
  for (std::uint32_t cpu = 0; cpu < count(); ++cpu) {
    if (!apics_[cpu].matches(message.destination, message.logical)) continue;
    if (accept(cpu, message)) accepted = true;
  }
  return accepted;
}

bool LocalApics::deliver_lowest_priority(const ApicMessage& message) {
  // The lowest processor priority, and of equal ones the first vCPU (the arbitration is the
  // model's).
  std::optional<std::uint32_t> best;
  for (std::uint32_t cpu = 0; cpu < count(); ++cpu) {
    const Lapic& apic = apics_[cpu];
    if (!apic.matches(message.destination, message.logical) || !apic.is_software_enabled())
      continue;
    if (!best || apic.processor_priority() < apics_[*best].processor_priority()) best = cpu;
  }
  return best && accept(*best, message);
}

bool LocalApics::accept(std::uint32_t cpu, const ApicMessage& message) {
  CpuSignals& signals = signals_[cpu];
  switch (message.mode) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority:
      return apics_[cpu].accept(message.vector, message.level_triggered);
    case DeliveryMode::Nmi: signals.nmi = !signals.waits_for_startup; return true;
    case DeliveryMode::Init:
      apics_[cpu].init();
      signals.startup.reset();
      signals.nmi = false;
      if (!signals.waits_for_startup) signals.init = true;
      return true;
    case DeliveryMode::Startup:  start(cpu, message.vector); return true;
    case DeliveryMode::Smi:
    case DeliveryMode::Reserved:
    case DeliveryMode::ExtInt:   return false;  // no SMM here; the 8259A has its own wire
  }
  return false;
}

void LocalApics::start(std::uint32_t cpu, std::uint8_t vector) {
  CpuSignals& signals = signals_[cpu];
  if (signals.init) {
    if (!signals.startup) signals.startup = vector;
    return;
  }
  if (!signals.waits_for_startup) return;  // 9.4.4.1: the second SIPI is ignored
  signals.waits_for_startup = false;
  startups_.push_back({.target = cpu, .vector = vector});
}

std::optional<Startup> LocalApics::take_startup() {
  if (startups_.empty()) return std::nullopt;
  const Startup first = startups_.front();
  startups_.erase(startups_.begin());
  return first;
}

std::uint64_t LocalApics::deadline_ns() const {
  std::uint64_t first = kNever;
  for (const Lapic& apic : apics_) first = std::min(first, apic.deadline_ns());
  return first;
}

void LocalApics::advance(std::uint64_t now_ns) {
  for (Lapic& apic : apics_) apic.advance(now_ns);
}

void LocalApics::digest(Digest& into) const {
  for (const Lapic& apic : apics_) apic.digest(into);
  for (const CpuSignals& signals : signals_) {
    into.add(std::uint64_t{signals.nmi} | std::uint64_t{signals.init} << 1 |
             std::uint64_t{signals.waits_for_startup} << 2 |
             std::uint64_t{signals.startup.has_value()} << 3 |
             std::uint64_t{signals.startup.value_or(0)} << 8);
    signals.injected.digest(into);
  }
  for (const Startup& startup : startups_) {
    into.add(std::uint64_t{startup.target} << 8 | startup.vector);
  }
}

}  // namespace retrap::x86_64
