// A bus: finds the device by address, counts what no register answered, samples its outputs.
#include "vmm/bus.h"

#include <algorithm>

#include "vmm/base/address.h"
#include "vmm/base/check.h"

namespace retrap {

struct Bus::Entry {
  std::uint64_t base;
  std::uint64_t size;
  Device* device;                 ///< never null
  std::unique_ptr<Device> owned;  ///< null where somebody else owns it
  std::uint32_t line;
  InterruptController* controller;  ///< null where no line is driven
  bool level = false;
  std::uint64_t deadline_ns = kNever;

  [[nodiscard]] std::uint64_t last() const { return base + (size - 1); }
};

Bus::Bus(std::string name, Clock& clock, Unit unit)
    : name_(std::move(name)), clock_(clock), unit_(unit), alarm_(clock.add_alarm(this)) {}

Bus::~Bus() {
  clock_.remove_alarm(alarm_);
}

Result<Device*> Bus::add(std::uint64_t base, std::unique_ptr<Device> device, std::uint32_t line,
                         InterruptController* controller) {
  RETRAP_CHECK(device != nullptr, "a device is never null");
  Device* raw = device.get();
  RETRAP_TRY(insert(base, *raw, std::move(device), line, controller));
  return raw;
}

Result<> Bus::add(std::uint64_t base, Device& device, std::uint32_t line,
                  InterruptController* controller) {
  return insert(base, device, nullptr, line, controller);
}

Result<> Bus::insert(std::uint64_t base, Device& device, std::unique_ptr<Device> owned,
                     std::uint32_t line, InterruptController* controller) {
  const std::uint64_t size = device.size();
  if (size == 0 || base + (size - 1) < base) {
    return fail(ErrorCode::InvalidInput, "{} at {} {:#x} has {:#x} bytes, which is no range",
                device.name(), name_, base, size);
  }
  if (const Device* other = first_in(base, size)) {
    return fail(ErrorCode::AlreadyExists, "{} at {} {:#x}+{:#x} overlaps {}", device.name(), name_,
                base, size, other->name());
  }
  if (line != kNoLine) {
    if (controller == nullptr) {
      return fail(ErrorCode::InvalidInput, "{} wants interrupt line {} of no controller",
                  device.name(), line);
    }
    RETRAP_TRY(controller->claim_line(line, device.name()));
  }
  const auto place = std::upper_bound(bases_.begin(), bases_.end(), base) - bases_.begin();
  auto entry = std::make_unique<Entry>(
      Entry{base, size, &device, std::move(owned), line, line == kNoLine ? nullptr : controller});
  bases_.insert(bases_.begin() + place, base);
  Entry& added = **entries_.insert(entries_.begin() + place, std::move(entry));
  sample(added);
  return {};
}

Result<std::unique_ptr<Device>> Bus::remove(std::uint64_t base) {
  const auto found = std::lower_bound(bases_.begin(), bases_.end(), base);
  if (found == bases_.end() || *found != base) {
    return fail(ErrorCode::NotFound, "no device starts at {} {:#x}", name_, base);
  }
  const auto place = found - bases_.begin();
  const std::unique_ptr<Entry> entry = std::move(entries_[static_cast<std::size_t>(place)]);
  entries_.erase(entries_.begin() + place);
  last_ = nullptr;
  bases_.erase(found);
  if (entry->controller != nullptr) {
    if (entry->level) entry->controller->set_device_line(entry->line, false);
    entry->controller->release_line(entry->line);
  }
  set_alarm();
  return std::move(entry->owned);
}

std::vector<Bus::Plug> Bus::plugs() const {
  std::vector<Plug> plugs;
  plugs.reserve(entries_.size());
  for (const auto& entry : entries_) {
    plugs.push_back({entry->base, entry->device, entry->line, entry->owned != nullptr});
  }
  return plugs;
}

const Device* Bus::first_in(std::uint64_t at, std::uint64_t bytes) const {
  if (bytes == 0) return nullptr;
  const std::uint64_t last = at + (bytes - 1) < at ? ~std::uint64_t{0} : at + (bytes - 1);
  const auto after = std::upper_bound(bases_.begin(), bases_.end(), at) - bases_.begin();
  if (after != 0) {
    const Entry& before = *entries_[static_cast<std::size_t>(after - 1)];
    if (at <= before.last()) return before.device;
  }
  if (static_cast<std::size_t>(after) == entries_.size()) return nullptr;
  const Entry& next = *entries_[static_cast<std::size_t>(after)];
  return next.base <= last ? next.device : nullptr;
}

bool Bus::covers(std::uint64_t at, std::uint64_t bytes) const {
  if (bytes != 0 && entry_at(at) != nullptr) return true;
  return first_in(at, bytes) != nullptr;
}

Bus::Entry* Bus::entry_at(std::uint64_t at) const {
  if (last_ != nullptr && at - last_->base < last_->size) [[likely]]
    return last_;
  const auto after = std::upper_bound(bases_.begin(), bases_.end(), at);
  if (after == bases_.begin()) return nullptr;
  Entry* const entry = entries_[static_cast<std::size_t>(after - bases_.begin() - 1)].get();
  if (at - entry->base >= entry->size) return nullptr;
  last_ = entry;
  return entry;
}

Bus::Entry* Bus::find(std::uint64_t at, Width width) const {
  Entry* const entry = entry_at(at);
  if (entry == nullptr) return nullptr;
  const std::uint64_t units = unit_ == Unit::Byte ? bytes(width) : 1;
  return units <= entry->size - (at - entry->base) ? entry : nullptr;
}

bool Bus::read(std::uint64_t at, Width width, VcpuId vcpu, std::uint64_t& value) {
  Entry* entry = find(at, width);
  if (entry == nullptr) return false;
  const Access access{
      .offset = at - entry->base, .width = width, .vcpu = vcpu, .now_ns = clock_.now_ns()};
  const auto answer = entry->device->read(access);
  if (!answer) count(answer.error());
  sample(*entry);
  value = truncate(*answer, width);
  return true;
}

bool Bus::write(std::uint64_t at, Width width, std::uint64_t value, VcpuId vcpu) {
  Entry* entry = find(at, width);
  if (entry == nullptr) return false;
  const Access access{
      .offset = at - entry->base, .width = width, .vcpu = vcpu, .now_ns = clock_.now_ns()};
  const auto done = entry->device->write(access, truncate(value, width));
  if (!done) count(done.error());
  sample(*entry);
  return true;
}

void Bus::sample(const Device& device) {
  for (const auto& entry : entries_) {
    if (entry->device == &device) sample(*entry);
  }
}

void Bus::sample(Entry& entry) {
  if (entry.controller != nullptr) {
    const bool level = entry.device->irq_level();
    if (level != entry.level) {
      entry.level = level;
      entry.controller->set_device_line(entry.line, level);
    }
  }
  const std::uint64_t deadline_ns = entry.device->deadline_ns();
  if (deadline_ns == entry.deadline_ns) return;
  entry.deadline_ns = deadline_ns;
  set_alarm();
}

void Bus::set_alarm() {
  std::uint64_t first = kNever;
  for (const auto& entry : entries_) first = std::min(first, entry->deadline_ns);
  clock_.set_alarm(alarm_, first);
}

void Bus::on_alarm(std::uint64_t now_ns) {
  for (const auto& entry : entries_) {
    if (entry->deadline_ns > now_ns) continue;
    entry->device->advance(now_ns);
    sample(*entry);
  }
  set_alarm();
}

void Bus::count(IoError error) {
  switch (error) {
    case IoError::NoRegister: ++counters_.unknown_register; return;
    case IoError::BadWidth:   ++counters_.bad_width; return;
    case IoError::ReadOnly:   ++counters_.read_only; return;
    case IoError::WriteOnly:  ++counters_.write_only; return;
  }
}

void Bus::reset() {
  for (const auto& entry : entries_) {
    entry->device->reset();
    sample(*entry);
  }
}

void Bus::digest(Digest& into) const {
  for (const auto& entry : entries_) {
    into.add(entry->base);
    entry->device->digest(into);
  }
}

}  // namespace retrap
