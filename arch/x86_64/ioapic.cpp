// The behaviour of the IO-APIC.
#include "arch/x86_64/ioapic.h"

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kSelect = 0x00;  // IOREGSEL
constexpr std::uint64_t kWindow = 0x10;  // IOWIN

constexpr std::uint8_t kId = 0x00;
constexpr std::uint8_t kVersion = 0x01;
constexpr std::uint8_t kArbitration = 0x02;
constexpr std::uint8_t kRedirection = 0x10;

/// 24 entries, version 0x11: without the EOI register of later ones.
constexpr std::uint32_t kVersionValue = (IoApic::kPins - 1) << 16 | 0x11;

// Redirection table entry, 3.2.4.
constexpr unsigned kLogical = 11;
constexpr std::uint64_t kRemoteIrr = bit(14);
constexpr std::uint64_t kLevel = bit(15);
constexpr std::uint32_t kWritableLow = 0x1'afff;

}  // namespace

IoResult<std::uint64_t> IoApic::read(const retrap::Access& access) {
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  if (access.offset == kSelect) return select_;
  if (access.offset == kWindow) return read_selected();
  return tl::unexpected(IoError::NoRegister);
}

IoResult<> IoApic::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  if (access.offset == kSelect) {
    select_ = static_cast<std::uint8_t>(value);
    return {};
  }
  if (access.offset != kWindow) return tl::unexpected(IoError::NoRegister);
  write_selected(static_cast<std::uint32_t>(value));
  return {};
}

std::uint32_t IoApic::read_selected() const {
  if (select_ == kId || select_ == kArbitration) return id_;
  if (select_ == kVersion) return kVersionValue;
  const unsigned index = (unsigned{select_} - kRedirection) / 2;
  if (select_ < kRedirection || index >= kPins) return 0;
  return static_cast<std::uint32_t>(entries_[index] >> ((select_ & 1) * 32));
}

void IoApic::write_selected(std::uint32_t value) {
  if (select_ == kId) {
    id_ = value & 0x0f00'0000;
    return;
  }
  const unsigned index = (unsigned{select_} - kRedirection) / 2;
  if (select_ < kRedirection || index >= kPins) return;
  std::uint64_t& entry = entries_[index];
  if ((select_ & 1) != 0) {
    entry = insert(entry, 63, 32, value & 0xff00'0000);
    return;
  }
  entry = insert(entry, 31, 0, (entry & kRemoteIrr) | (value & kWritableLow));
  // An entry that is no longer level triggered waits for no EOI.
  if ((entry & kLevel) == 0) entry &= ~kRemoteIrr;
  service_level(index);
}

void IoApic::set_pin(unsigned pin, bool level) {
  const std::uint32_t mask = 1U << pin;
  const bool rising = level && (pins_ & mask) == 0;
  pins_ = level ? pins_ | mask : pins_ & ~mask;
  const std::uint64_t entry = entries_[pin];
  if ((entry & kLevel) != 0) return service_level(pin);
  // 3.2.4, interrupt mask: an edge on a masked pin is lost.
  if (rising && (entry & kMasked) == 0) (void)send(entry);
}

void IoApic::service_level(unsigned pin) {
  std::uint64_t& entry = entries_[pin];
  const bool asserted = (pins_ >> pin & 1) != 0;
  if ((entry & kLevel) == 0 || (entry & (kMasked | kRemoteIrr)) != 0 || !asserted) return;
  if (send(entry)) entry |= kRemoteIrr;
}

bool IoApic::send(std::uint64_t entry) {
  return bus_.deliver({.destination = static_cast<std::uint32_t>(entry >> 56),
                       .logical = has_bit(entry, kLogical),
                       .mode = static_cast<DeliveryMode>(extract(entry, 10, 8)),
                       .vector = static_cast<std::uint8_t>(entry),
                       .level_triggered = (entry & kLevel) != 0});
}

void IoApic::end_of_interrupt(std::uint8_t vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    std::uint64_t& entry = entries_[pin];
    if (static_cast<std::uint8_t>(entry) != vector || (entry & kLevel) == 0) continue;
    entry &= ~kRemoteIrr;
    service_level(pin);
  }
}

void IoApic::reset() {
  select_ = 0;
  id_ = 0;
  pins_ = 0;
  entries_.fill(kMasked);
}

void IoApic::digest(Digest& into) const {
  into.add(select_ | std::uint64_t{id_} << 8);
  into.add(pins_);
  for (const std::uint64_t entry : entries_) into.add(entry);
}

}  // namespace retrap::x86_64
