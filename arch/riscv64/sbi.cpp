// The extensions of the firmware.
#include "arch/riscv64/sbi.h"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.h"

namespace retrap::riscv64 {
namespace {

SbiAnswer answer(SbiError error, std::uint64_t value = 0) {
  return {static_cast<std::uint64_t>(error), value};
}

SbiAnswer legacy_answer(std::int64_t result) {
  return {static_cast<std::uint64_t>(result), std::nullopt};
}

constexpr std::uint64_t kAllHarts = ~std::uint64_t{0};

/// [start, start + size) does not wrap; size -1, or both zero, means every address.
bool is_fence_range(std::uint64_t start, std::uint64_t size) {
  return size == kAllHarts || checked_add(start, size).has_value();
}

/// Calls `action` for every hart of a set.
template <class Action>
void for_harts(std::uint64_t harts, Action action) {
  for (; harts != 0; harts &= harts - 1) action(static_cast<unsigned>(std::countr_zero(harts)));
}

}  // namespace

struct Sbi::Extension {
  std::uint64_t first;
  std::uint64_t last;
  SbiOutcome (Sbi::*handle)(unsigned hart, const SbiCall& call);
};

const Sbi::Extension* Sbi::find(std::uint64_t id) {
  // clang-format off
  static constexpr std::array<Extension, 9> kExtensions = {{
      {eid::kLegacySetTimer, eid::kLegacyShutdown, &Sbi::legacy},
      {eid::kBase,           eid::kBase,           &Sbi::base},
      {eid::kTime,           eid::kTime,           &Sbi::time},
      {eid::kIpi,            eid::kIpi,            &Sbi::ipi},
      {eid::kRfence,         eid::kRfence,         &Sbi::rfence},
      {eid::kHsm,            eid::kHsm,            &Sbi::hsm},
      {eid::kSrst,           eid::kSrst,           &Sbi::srst},
      {eid::kDbcn,           eid::kDbcn,           &Sbi::dbcn},
      {eid::kHypercall,      eid::kHypercall,      &Sbi::hypercall},
  }};
  // clang-format on
  const auto* row = std::ranges::find_if(
      kExtensions, [&](const Extension& e) { return e.first <= id && id <= e.last; });
  return row == kExtensions.end() ? nullptr : row;
}

SbiOutcome Sbi::call(unsigned hart, const SbiCall& call) {
  const Extension* extension = find(call.extension);
  if (extension == nullptr) return answer(SbiError::NotSupported);
  return (this->*extension->handle)(hart, call);
}

Sbi::HartSet Sbi::all_harts() const {
  return low_bits(harts_.count());
}

std::optional<unsigned> Sbi::hart_with(std::uint64_t id) const {
  for (unsigned hart = 0; hart < harts_.count(); ++hart) {
    if (harts_.id(hart) == id) return hart;
  }
  return std::nullopt;
}

std::optional<Sbi::HartSet> Sbi::harts_of(std::uint64_t mask, std::uint64_t base) const {
  if (base == kAllHarts) return all_harts();
  HartSet found = 0;
  for (unsigned hart = 0; hart < harts_.count(); ++hart) {
    const std::uint64_t place = harts_.id(hart) - base;  // wraps below the base
    if (place >= 64 || !has_bit(mask, static_cast<unsigned>(place))) continue;
    found |= bit(hart);
    mask &= ~bit(static_cast<unsigned>(place));
  }
  if (mask != 0) return std::nullopt;
  return found;
}

/// Calls `action` for every hart of the mask; false, and nothing done, where one does not exist.
template <class Action>
bool Sbi::for_each_hart(std::uint64_t mask, std::uint64_t base, Action action) {
  const auto harts = harts_of(mask, base);
  if (harts) for_harts(*harts, action);
  return harts.has_value();
}

bool Sbi::is_ram(std::uint64_t address, std::uint64_t bytes) const {
  return memory_.find(GuestPhys(address), bytes) != nullptr;
}

tl::expected<Sbi::HartSet, SbiError> Sbi::legacy_harts(unsigned hart, std::uint64_t at) const {
  std::uint64_t highest = 0;
  for (unsigned i = 0; i < harts_.count(); ++i) highest = std::max(highest, harts_.id(i));
  HartSet all = 0;
  for (std::uint64_t base = 0; base <= highest; base += 64) {
    const auto mask = harts_.load(hart, at + base / 8);
    if (!mask) return tl::unexpected(SbiError::InvalidAddress);
    const auto harts = harts_of(*mask, base);
    if (!harts) return tl::unexpected(SbiError::InvalidParam);
    all |= *harts;
  }
  return all;
}

// "Legacy Extensions". The hart masks of these are in memory, at a virtual address; no address
// means everybody.
SbiOutcome Sbi::legacy(unsigned hart, const SbiCall& call) {
  const auto with_mask = [&](auto action) -> SbiOutcome {
    const std::uint64_t at = call.args[0];
    const auto harts = at == 0 ? all_harts() : legacy_harts(hart, at);
    if (!harts) return legacy_answer(static_cast<std::int64_t>(harts.error()));
    for_harts(*harts, action);
    return legacy_answer(0);
  };
  switch (call.extension) {
    case eid::kLegacySetTimer: harts_.set_timer(hart, call.args[0]); return legacy_answer(0);
    case eid::kLegacyPutchar:
      console_.put(static_cast<char>(call.args[0]));
      return legacy_answer(0);
    case eid::kLegacyGetchar:  return legacy_answer(-1);
    case eid::kLegacyClearIpi: harts_.set_software_interrupt(hart, false); return legacy_answer(0);
    case eid::kLegacySendIpi:
      return with_mask([&](unsigned target) { harts_.set_software_interrupt(target, true); });
    case eid::kLegacyFenceI:     return with_mask([](unsigned) {});  // one cache for all
    case eid::kLegacySfence:
    case eid::kLegacySfenceAsid: return with_mask([&](unsigned target) { harts_.fence(target); });
    default:                     return exits::SystemDown{};
  }
}

SbiOutcome Sbi::base(unsigned /*hart*/, const SbiCall& call) {
  switch (call.function) {
    case 0:  return answer(SbiError::Success, kVersion);
    case 1:  return answer(SbiError::Success, kImplementationId);
    case 2:  return answer(SbiError::Success, kImplementationVersion);
    case 3:  return answer(SbiError::Success, find(call.args[0]) != nullptr ? 1 : 0);
    case 4:                                        // mvendorid
    case 5:                                        // marchid
    case 6:  return answer(SbiError::Success, 0);  // mimpid: not implemented
    default: return answer(SbiError::NotSupported);
  }
}

SbiOutcome Sbi::time(unsigned hart, const SbiCall& call) {
  if (call.function != 0) return answer(SbiError::NotSupported);
  harts_.set_timer(hart, call.args[0]);
  return answer(SbiError::Success);
}

SbiOutcome Sbi::ipi(unsigned /*hart*/, const SbiCall& call) {
  if (call.function != 0) return answer(SbiError::NotSupported);
  const bool done = for_each_hart(call.args[0], call.args[1], [&](unsigned target) {
    harts_.set_software_interrupt(target, true);
  });
  return answer(done ? SbiError::Success : SbiError::InvalidParam);
}

// The guest has no H extension: the HFENCE functions (3 to 6) are not supported.
SbiOutcome Sbi::rfence(unsigned /*hart*/, const SbiCall& call) {
  const auto [mask, base, start, size, asid, unused] = call.args;
  switch (call.function) {
    case 0: {
      const bool done = for_each_hart(mask, base, [](unsigned) {});
      return answer(done ? SbiError::Success : SbiError::InvalidParam);
    }
    case 1:
    case 2: {
      if (!is_fence_range(start, size)) return answer(SbiError::InvalidAddress);
      const bool done = for_each_hart(mask, base, [&](unsigned target) { harts_.fence(target); });
      return answer(done ? SbiError::Success : SbiError::InvalidParam);
    }
    default: return answer(SbiError::NotSupported);
  }
}

SbiOutcome Sbi::hsm(unsigned hart, const SbiCall& call) {
  switch (call.function) {
    case 0: return hart_start(call);
    case 1: harts_.set_state(hart, HartState::Stopped); return exits::CpuDown{.state = 0};
    case 2:
      if (const auto target = hart_with(call.args[0])) {
        return answer(SbiError::Success, static_cast<std::uint64_t>(harts_.state(*target)));
      }
      return answer(SbiError::InvalidParam);
    case 3: {
      const SbiOutcome outcome = hart_suspend(call);
      if (std::holds_alternative<SbiSuspend>(outcome)) {
        harts_.set_state(hart, HartState::Suspended);
      }
      return outcome;
    }
    default: return answer(SbiError::NotSupported);
  }
}

SbiOutcome Sbi::hart_start(const SbiCall& call) {
  const auto [target, address, opaque, unused3, unused4, unused5] = call.args;
  const auto hart = hart_with(target);
  if (!hart) return answer(SbiError::InvalidParam);
  if (harts_.state(*hart) != HartState::Stopped) return answer(SbiError::AlreadyAvailable);
  if (!is_aligned(address, 2) || !is_ram(address, 2)) return answer(SbiError::InvalidAddress);
  return exits::CpuUp{.target_cpu = target, .entry_point = GuestPhys(address), .arg = opaque};
}

SbiOutcome Sbi::hart_suspend(const SbiCall& call) {
  constexpr std::uint64_t kNonRetentive = 0x8000'0000;
  constexpr std::uint64_t kFirstPlatform = 0x1000'0000;
  const auto [type, address, opaque, unused3, unused4, unused5] = call.args;
  if (type == 0) return SbiSuspend{};
  if (type == kNonRetentive) {
    if (!is_aligned(address, 2) || !is_ram(address, 2)) return answer(SbiError::InvalidAddress);
    return SbiSuspend{.resume = SbiSuspend::Resume{.address = address, .opaque = opaque}};
  }
  const bool platform = type <= 0xffff'ffff && (type & ~kNonRetentive) >= kFirstPlatform;
  return answer(platform ? SbiError::NotSupported : SbiError::InvalidParam);
}

// "System Reset Extension": types and reasons from 0xf000'0000 on are vendors'.
SbiOutcome Sbi::srst(unsigned /*hart*/, const SbiCall& call) {
  constexpr std::uint64_t kFirstVendor = 0xf000'0000;
  constexpr std::uint64_t kFirstPlatformReason = 0xe000'0000;
  if (call.function != 0) return answer(SbiError::NotSupported);
  const auto [type, reason, unused2, unused3, unused4, unused5] = call.args;
  const bool reason_exists =
      reason <= 1 || (reason >= kFirstPlatformReason && reason <= 0xffff'ffff);
  if (!reason_exists) return answer(SbiError::InvalidParam);
  switch (type) {
    case 0: return exits::SystemDown{};
    case 1:
    case 2: return exits::SystemReset{};
    default:
      return answer(type >= kFirstVendor && type <= 0xffff'ffff ? SbiError::NotSupported
                                                                : SbiError::InvalidParam);
  }
}

SbiOutcome Sbi::dbcn(unsigned /*hart*/, const SbiCall& call) {
  const auto [count, address, address_high, unused3, unused4, unused5] = call.args;
  switch (call.function) {
    case 0: return console_write(call);
    case 1:
      // Input goes to the UART: there is never any here.
      if (address_high != 0 || (count != 0 && !is_ram(address, count))) {
        return answer(SbiError::InvalidParam);
      }
      return answer(SbiError::Success, 0);
    case 2:  console_.put(static_cast<char>(call.args[0])); return answer(SbiError::Success);
    default: return answer(SbiError::NotSupported);
  }
}

SbiOutcome Sbi::console_write(const SbiCall& call) {
  const auto [count, address, address_high, unused3, unused4, unused5] = call.args;
  if (count == 0) return answer(SbiError::Success, 0);
  if (address_high != 0 || !is_ram(address, count)) return answer(SbiError::InvalidParam);
  const std::uint64_t wanted = std::min(count, kConsoleLimit);
  std::array<std::byte, 256> buffer{};
  std::uint64_t done = 0;
  while (done < wanted) {
    const auto chunk =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), wanted - done));
    if (!memory_.read(GuestPhys(address + done), chunk)) break;
    for (const std::byte byte : chunk) console_.put(static_cast<char>(byte));
    done += chunk.size();
  }
  return done == 0 ? answer(SbiError::Failed) : answer(SbiError::Success, done);
}

SbiOutcome Sbi::hypercall(unsigned /*hart*/, const SbiCall& call) {
  return exits::Hypercall{.nr = call.function, .args = call.args};
}

}  // namespace retrap::riscv64
