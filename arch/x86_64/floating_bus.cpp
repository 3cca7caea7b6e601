// The accesses of the floating bus.
#include "arch/x86_64/floating_bus.h"

#include <array>

#include "vmm/base/bytes.h"

namespace retrap::x86_64 {

bool FloatingBus::has_memory(GuestPhys at, Width width, MappingFlags access) {
  return memory_.find(at, bytes(width)) != nullptr &&
         memory_.handle_fault(at, access) == FaultOutcome::Populated;
}

bool FloatingBus::read(const exits::MmioRead& access, std::uint64_t& value) {
  if (mmio_.read(access.addr.raw(), access.width, vcpu_, value)) return true;
  std::array<std::byte, sizeof(std::uint64_t)> buffer{};
  const auto word = std::span(buffer).first(bytes(access.width));
  const bool read = has_memory(access.addr, access.width, MappingFlags::Read) &&
                    memory_.read(access.addr, word).has_value();
  value = read ? load_le(word, 0, access.width).value_or(0) : all_ones(access.width);
  return true;
}

bool FloatingBus::write(const exits::MmioWrite& access) {
  if (mmio_.write(access.addr.raw(), access.width, access.data, vcpu_)) return true;
  std::array<std::byte, sizeof(std::uint64_t)> buffer{};
  const auto word = std::span(buffer).first(bytes(access.width));
  if (has_memory(access.addr, access.width, MappingFlags::Write)) {
    (void)(store_le(word, 0, access.width, access.data) && memory_.write(access.addr, word));
  }
  return true;
}

}  // namespace retrap::x86_64
