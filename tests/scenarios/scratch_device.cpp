// A device that remembers what is written.
#include "tests/scenarios/scratch_device.h"

#include <fmt/format.h>

#include <ostream>

namespace retrap::test {

ScratchDevice::ScratchDevice(std::string name, Shape shape)
    : name_(std::move(name)), shape_(shape), bytes_(shape.size * shape.unit) {}

bool ScratchDevice::has(const Access& access) const {
  return place(access) + bytes(access.width) <= bytes_.size();
}

IoResult<std::uint64_t> ScratchDevice::read(const Access& access) {
  if (!has(access)) return tl::unexpected(IoError::NoRegister);
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < bytes(access.width); ++i) {
    value |= std::uint64_t{bytes_[place(access) + i]} << (8 * i);
  }
  log_.push_back({false, access.offset, bytes(access.width), value});
  return value;
}

IoResult<> ScratchDevice::write(const Access& access, std::uint64_t value) {
  if (!has(access)) return tl::unexpected(IoError::NoRegister);
  for (std::uint64_t i = 0; i < bytes(access.width); ++i) {
    bytes_[place(access) + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  log_.push_back({true, access.offset, bytes(access.width), value});
  return {};
}

void ScratchDevice::reset() {
  std::ranges::fill(bytes_, std::uint8_t{0});
  log_.clear();
}

void ScratchDevice::digest(Digest& into) const {
  into.add(std::as_bytes(std::span(bytes_)));
  for (const Entry& entry : log_) {
    into.add(entry.is_write ? 1 : 0);
    into.add(entry.offset);
    into.add(entry.bytes);
    into.add(entry.value);
  }
}

void PrintTo(const ScratchDevice::Entry& entry, std::ostream* out) {
  *out << fmt::format("{}{} @{:#x} = {:#x}", entry.is_write ? 'w' : 'r', entry.bytes, entry.offset,
                      entry.value);
}

}  // namespace retrap::test
