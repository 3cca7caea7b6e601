// The memory-mapped registers of the GICv3 (IHI 0069H, 12.8 to 12.12).
#include <array>

#include "arch/aarch64/gicv3.h"
#include "vmm/base/bits.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint64_t kGicdCtlr = 0x0000;
constexpr std::uint64_t kGicdTyper = 0x0004;
constexpr std::uint64_t kGicdIrouter = 0x6100;  // of INTID 32
constexpr std::uint64_t kGicdIrouterEnd = 0x6000 + 8 * kInterrupts;
constexpr std::uint64_t kIdentification = 0xffd0;  // to 0xffff, in every frame
constexpr std::uint64_t kSgiFrame = 0x1'0000;

constexpr std::uint64_t kImplementer = 0x43b;  // IIDR: Arm

constexpr std::uint64_t kEnableGroup0 = bit(0);
constexpr std::uint64_t kEnableGroup1 = bit(1);
constexpr std::uint64_t kAffinityRouting = bit(4);  // fixed
constexpr std::uint64_t kOneSecurityState = bit(6);

// TYPER: ITLinesNumber, IDbits - 1 = 9, A3V, RSS.
constexpr std::uint64_t kDistributorType = (kInterrupts / 32 - 1) | 9 << 19 | bit(24) | bit(26);

constexpr std::uint64_t kProcessorSleep = bit(1);
constexpr std::uint64_t kChildrenAsleep = bit(2);

/// A register that is there and does nothing: RAZ/WI.
struct Idle {
  std::uint64_t offset, end;
};
// Distributor: STATUSR, the SPI set/clear registers (MBIS 0), SGIR and the SGI pending registers of
// GICv2, those of legacy targets, IGRPMODR, NSACR.
constexpr std::array<Idle, 6> kIdleDistributor = {{{0x0010, 0x0014},
                                                   {0x0040, 0x0060},
                                                   {0x0800, 0x0c00},
                                                   {0x0d00, 0x0f04},
                                                   {0x0f10, 0x0f30},
                                                   {0x6000, 0x6100}}};
// RD_base: CTLR, STATUSR, FCTLR, PARTIDR, the LPI registers, SYNCR.
constexpr std::array<Idle, 6> kIdleRedistributor = {{{0x0000, 0x0004},
                                                     {0x0010, 0x0014},
                                                     {0x0020, 0x0028},
                                                     {0x0040, 0x0050},
                                                     {0x0070, 0x0080},
                                                     {0x00a0, 0x00c4}}};

template <std::size_t N>
bool is_idle(const std::array<Idle, N>& table, std::uint64_t offset) {
  for (const Idle& row : table) {
    if (offset >= row.offset && offset < row.end) return true;
  }
  return false;
}

// PIDR2 says GICv3; the rest names the Arm part that has this layout.
std::uint64_t identification(std::uint64_t offset) {
  constexpr std::array<std::uint8_t, 12> kIds = {0x44, 0, 0,    0,    0x92, 0xb4,
                                                 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
  return kIds[(offset - kIdentification) / 4];
}

IoResult<std::uint64_t> fixed(std::uint64_t answer, bool is_write) {
  if (is_write) return tl::unexpected(IoError::ReadOnly);
  return answer;
}

/// Half of a 64-bit register, or the whole.
std::uint64_t read_part(std::uint64_t whole, std::uint64_t offset, Width width) {
  return width == Width::Double ? whole : whole >> ((offset & 4) != 0 ? 32 : 0);
}

}  // namespace

IoResult<std::uint64_t> Gicv3::Distributor::read(const Access& access) {
  return gic_.access_distributor(access.offset, access.width, std::nullopt);
}
IoResult<> Gicv3::Distributor::write(const Access& access, std::uint64_t value) {
  const auto done = gic_.access_distributor(access.offset, access.width, value);
  if (!done) return tl::unexpected(done.error());
  gic_.update();
  return {};
}
IoResult<std::uint64_t> Gicv3::Redistributors::read(const Access& access) {
  return gic_.access_redistributor(static_cast<std::uint32_t>(access.offset / kRedistributorBytes),
                                   access.offset % kRedistributorBytes, access.width, std::nullopt);
}
IoResult<> Gicv3::Redistributors::write(const Access& access, std::uint64_t value) {
  const auto done =
      gic_.access_redistributor(static_cast<std::uint32_t>(access.offset / kRedistributorBytes),
                                access.offset % kRedistributorBytes, access.width, value);
  if (!done) return tl::unexpected(done.error());
  gic_.update();
  return {};
}

IoResult<std::uint64_t> Gicv3::access_distributor(std::uint64_t offset, Width width,
                                                  MaybeValue value) {
  if (offset >= kGicdIrouter && offset < kGicdIrouterEnd) return access_route(offset, width, value);
  if (offset >= 0x80 && offset < 0xd00 && !is_idle(kIdleDistributor, offset)) {
    return access_interrupts(0, offset, width, value, 1, kInterrupts / 32);
  }
  if (width != Width::Word) return tl::unexpected(IoError::BadWidth);
  if (offset == kGicdCtlr) {
    if (value) {
      state_.group0_enabled = (*value & kEnableGroup0) != 0;
      state_.group1_enabled = (*value & kEnableGroup1) != 0;
    }
    return kAffinityRouting | kOneSecurityState | (state_.group0_enabled ? kEnableGroup0 : 0) |
           (state_.group1_enabled ? kEnableGroup1 : 0);
  }
  if (offset == kGicdTyper) return fixed(kDistributorType, value.has_value());
  if (offset == 0x0008) return fixed(kImplementer, value.has_value());
  if (offset == 0x000c) return fixed(0, value.has_value());  // TYPER2
  if (offset >= kIdentification) return fixed(identification(offset), value.has_value());
  if (is_idle(kIdleDistributor, offset)) return 0;
  return tl::unexpected(IoError::NoRegister);
}

IoResult<std::uint64_t> Gicv3::access_redistributor(std::uint32_t cpu, std::uint64_t offset,
                                                    Width width, MaybeValue value) {
  if (offset < kSgiFrame) return access_control(cpu, offset, width, value);
  offset -= kSgiFrame;
  if (offset >= 0x80 && offset < 0xd00) return access_interrupts(cpu, offset, width, value, 0, 1);
  if (offset == 0xe00 && width == Width::Word) return 0;  // NSACR: RAZ/WI
  return tl::unexpected(IoError::NoRegister);
}

IoResult<std::uint64_t> Gicv3::access_control(std::uint32_t cpu, std::uint64_t offset, Width width,
                                              MaybeValue value) {
  if (width != Width::Word && width != Width::Double) return tl::unexpected(IoError::BadWidth);
  if ((offset & ~std::uint64_t{7}) == 0x0008) {  // TYPER: affinity, number, Last
    const std::uint64_t affinity = state_.affinity(cpu);
    const std::uint64_t number = extract(affinity, 39, 32) << 24 | (affinity & 0xff'ffff);
    const std::uint64_t last = cpu + 1 == state_.cpus() ? bit(4) : 0;
    const std::uint64_t type = number << 32 | std::uint64_t{cpu} << 8 | last;
    return fixed(read_part(type, offset, width), value.has_value());
  }
  if (is_idle(kIdleRedistributor, offset)) return 0;
  if (width != Width::Word) return tl::unexpected(IoError::BadWidth);
  if (offset == 0x0004) return fixed(kImplementer, value.has_value());
  if (offset == 0x0014) {  // WAKER: the children follow at once
    bool& sleeping = state_.cpu_interface(cpu).sleeping;
    if (value) sleeping = (*value & kProcessorSleep) != 0;
    return sleeping ? kProcessorSleep | kChildrenAsleep : 0;
  }
  if (offset >= kIdentification) return fixed(identification(offset), value.has_value());
  return tl::unexpected(IoError::NoRegister);
}

IoResult<std::uint64_t> Gicv3::access_interrupts(std::uint32_t cpu, std::uint64_t offset,
                                                 Width width, MaybeValue value,
                                                 std::uint32_t first_word, std::uint32_t words) {
  const auto has = [&](std::uint64_t word) { return word >= first_word && word < words; };
  if (offset < 0x400) {
    const std::uint64_t word = (offset & 0x7f) / 4;
    if (!has(word)) return 0;  // reserved: RAZ/WI
    return access_bits(bank_of(cpu, word), offset, width, value);
  }
  if (offset < 0x800) {  // IPRIORITYR: a byte for each interrupt
    if (width != Width::Byte && width != Width::Word) return tl::unexpected(IoError::BadWidth);
    const std::uint64_t first = offset - 0x400;
    if (!has(first / 32)) return 0;
    InterruptBank& bank = bank_of(cpu, first / 32);
    std::uint64_t result = 0;
    for (std::uint64_t i = 0; i < bytes(width); ++i) {
      std::uint8_t& priority = bank.priority[(first + i) % 32];
      if (value) priority = static_cast<std::uint8_t>(*value >> 8 * i) & 0xf8;
      result |= std::uint64_t{priority} << 8 * i;
    }
    return result;
  }
  if (width != Width::Word) return tl::unexpected(IoError::BadWidth);
  if (offset < 0xc00) return 0;                     // ITARGETSR: RAZ/WI under affinity routing
  const std::uint64_t word = (offset - 0xc00) / 8;  // ICFGR: two bits for each, [1] = edge
  if (!has(word)) return 0;
  InterruptBank& bank = bank_of(cpu, word);
  const unsigned half = (offset & 4) != 0 ? 16 : 0;
  const bool fixed_kind = word == 0 && half == 0;  // SGIs
  std::uint64_t result = 0;
  for (unsigned i = 0; i < 16; ++i) {
    const std::uint32_t mask = std::uint32_t{1} << (half + i);
    if (value && !fixed_kind) {
      bank.edge = has_bit(*value, 2 * i + 1) ? bank.edge | mask : bank.edge & ~mask;
    }
    if ((bank.edge & mask) != 0) result |= bit(2 * i + 1);
  }
  return result;
}

IoResult<std::uint64_t> Gicv3::access_bits(InterruptBank& bank, std::uint64_t offset, Width width,
                                           MaybeValue value) {
  if (width != Width::Word) return tl::unexpected(IoError::BadWidth);
  const auto word = static_cast<std::uint32_t>(value.value_or(0));
  switch (offset & ~std::uint64_t{0x7f}) {
    case 0x080:
      if (value) bank.group1 = word;
      return bank.group1;
    case 0x100: bank.enabled |= word; return bank.enabled;
    case 0x180: bank.enabled &= ~word; return bank.enabled;
    case 0x200: bank.latched |= word; return bank.pending();
    case 0x280: bank.latched &= ~word; return bank.pending();
    case 0x300: bank.active |= word; return bank.active;
    default:    bank.active &= ~word; return bank.active;
  }
}

IoResult<std::uint64_t> Gicv3::access_route(std::uint64_t offset, Width width, MaybeValue value) {
  if (width != Width::Word && width != Width::Double) return tl::unexpected(IoError::BadWidth);
  constexpr std::uint64_t kWritable = 0xff'80ff'ffff;  // Aff3, IRM, Aff2-0
  std::uint64_t& route = state_.route[(offset - 0x6000) / 8];
  const bool high = (offset & 4) != 0;
  if (value && width == Width::Double) route = *value & kWritable;
  if (value && width == Width::Word) {
    route = insert(route, high ? 63 : 31, high ? 32 : 0, *value) & kWritable;
  }
  return read_part(route, offset, width);
}

}  // namespace retrap::aarch64
