// The stages of the decoder: prefixes, opcode, ModRM and SIB, displacement, immediate.
#include "arch/x86_64/decode.h"

#include <algorithm>

#include "arch/x86_64/decode_table.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

using table::Form;
using table::Map;
using table::Prefix;
using table::Row;
using table::Size;

constexpr std::size_t kLongest = 15;

/// The bytes, taken one by one; `failed` sticks when they run out.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes)
      : bytes_(bytes.first(std::min(bytes.size(), kLongest))) {}

  [[nodiscard]] std::uint8_t peek() const { return at_ < bytes_.size() ? bytes_[at_] : 0; }
  std::uint8_t take() {
    if (at_ >= bytes_.size()) {
      failed_ = true;
      return 0;
    }
    return bytes_[at_++];
  }
  std::uint64_t take(unsigned count) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < count; ++i) value |= std::uint64_t{take()} << (8 * i);
    return value;
  }
  std::uint64_t take_signed(unsigned count) { return sign_extend(take(count), 8 * count); }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::uint8_t position() const { return static_cast<std::uint8_t>(at_); }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

struct Prefixes {
  bool operand_size = false;
  bool address_size = false;
  bool lock = false;
  std::uint8_t repeat = 0;  ///< 0, 0xf2 or 0xf3: the last one counts
  std::uint8_t rex = 0;
  std::optional<SegmentName> segment;

  [[nodiscard]] bool rex_w() const { return has_bit(rex, 3); }
  [[nodiscard]] std::uint8_t rex_r() const { return has_bit(rex, 2) ? 8 : 0; }
  [[nodiscard]] std::uint8_t rex_x() const { return has_bit(rex, 1) ? 8 : 0; }
  [[nodiscard]] std::uint8_t rex_b() const { return has_bit(rex, 0) ? 8 : 0; }
};

/// Table 1-2: the legacy prefixes in any order, then REX right before the opcode.
Prefixes take_prefixes(Bytes& bytes, bool code64) {
  Prefixes prefixes;
  for (;;) {
    switch (bytes.peek()) {
      case 0x66: prefixes.operand_size = true; break;
      case 0x67: prefixes.address_size = true; break;
      case 0xf0: prefixes.lock = true; break;
      case 0xf2:
      case 0xf3: prefixes.repeat = bytes.peek(); break;
      case 0x26: prefixes.segment = SegmentName::Es; break;
      case 0x2e: prefixes.segment = SegmentName::Cs; break;
      case 0x36: prefixes.segment = SegmentName::Ss; break;
      case 0x3e: prefixes.segment = SegmentName::Ds; break;
      case 0x64: prefixes.segment = SegmentName::Fs; break;
      case 0x65: prefixes.segment = SegmentName::Gs; break;
      default:
        if (code64 && (bytes.peek() & 0xf0) == 0x40) prefixes.rex = bytes.take();
        return prefixes;
    }
    if (bytes.take(); bytes.failed()) return prefixes;
  }
}

Map take_map(Bytes& bytes) {
  if (bytes.peek() != 0x0f) return Map::Primary;
  bytes.take();
  if (bytes.peek() != 0x38) return Map::Secondary;
  bytes.take();
  return Map::Secondary38;
}

bool prefix_fits(Prefix wanted, const Prefixes& prefixes) {
  switch (wanted) {
    case Prefix::Any:  return true;
    case Prefix::None: return prefixes.repeat == 0 && !prefixes.operand_size;
    case Prefix::P66:  return prefixes.repeat == 0 && prefixes.operand_size;
    case Prefix::PF3:  return prefixes.repeat == 0xf3;
    case Prefix::PF2:  return prefixes.repeat == 0xf2;
  }
  return false;
}

const Row* find_row(Map map, std::uint8_t opcode, std::uint8_t modrm, const Prefixes& prefixes) {
  const auto extension = static_cast<std::int8_t>(extract(modrm, 5, 3));
  const std::size_t first = table::kFirstRows[static_cast<std::size_t>(map)][opcode];
  for (std::size_t i = first; i < table::kRows.size(); ++i) {
    const Row& row = table::kRows[i];
    if (!table::has_opcode(row, map, opcode)) continue;
    if (row.extension >= 0 && row.extension != extension) continue;
    if (prefix_fits(row.prefix, prefixes)) return &row;
  }
  return nullptr;
}

std::uint8_t size_of(Size size, std::uint8_t operand_bytes) {
  switch (size) {
    case Size::B: return 1;
    case Size::W: return 2;
    case Size::D: return 4;
    case Size::Q: return 8;
    case Size::V: return operand_bytes;
    case Size::Y: return operand_bytes == 8 ? 8 : 4;
    case Size::X: return 16;
  }
  return 0;
}

constexpr auto kBx = static_cast<std::uint8_t>(Gpr::Rbx);
constexpr auto kBp = static_cast<std::uint8_t>(Gpr::Rbp);
constexpr auto kSi = static_cast<std::uint8_t>(Gpr::Rsi);
constexpr auto kDi = static_cast<std::uint8_t>(Gpr::Rdi);
constexpr auto kSp = static_cast<std::uint8_t>(Gpr::Rsp);
constexpr auto kNone = MemoryOperand::kNone;

/// Table A-33: the eight pairs of 16-bit addressing.
MemoryOperand modrm16(Bytes& bytes, unsigned mod, unsigned rm) {
  constexpr std::array<std::array<std::uint8_t, 2>, 8> kPairs = {{{kBx, kSi},
                                                                  {kBx, kDi},
                                                                  {kBp, kSi},
                                                                  {kBp, kDi},
                                                                  {kSi, kNone},
                                                                  {kDi, kNone},
                                                                  {kBp, kNone},
                                                                  {kBx, kNone}}};
  MemoryOperand operand;
  if (mod == 0 && rm == 6) {
    operand.displacement = bytes.take_signed(2);
    return operand;
  }
  operand.base = kPairs[rm][0];
  operand.index = kPairs[rm][1];
  if (operand.base == kBp) operand.segment = SegmentName::Ss;
  if (mod == 1) operand.displacement = bytes.take_signed(1);
  if (mod == 2) operand.displacement = bytes.take_signed(2);
  return operand;
}

/// Tables: 32- and 64-bit addressing.
MemoryOperand modrm32(Bytes& bytes, unsigned mod, unsigned rm, const Prefixes& prefixes,
                      bool code64) {
  MemoryOperand operand;
  if (rm == 4) {
    const std::uint8_t sib = bytes.take();
    const auto index = static_cast<std::uint8_t>(extract(sib, 5, 3) | prefixes.rex_x());
    const auto base = static_cast<std::uint8_t>(extract(sib, 2, 0));
    operand.scale = static_cast<std::uint8_t>(extract(sib, 7, 6));
    operand.index = index == kSp ? kNone : index;
    if (base == 5 && mod == 0) {
      operand.displacement = bytes.take_signed(4);
    } else {
      operand.base = base | prefixes.rex_b();
    }
  } else if (rm == 5 && mod == 0) {
    operand.rip_relative = code64;
    operand.displacement = bytes.take_signed(4);
  } else {
    operand.base = static_cast<std::uint8_t>(rm) | prefixes.rex_b();
  }
  if (operand.base == kSp || operand.base == kBp) operand.segment = SegmentName::Ss;
  if (mod == 1) operand.displacement = bytes.take_signed(1);
  if (mod == 2) operand.displacement = bytes.take_signed(4);
  return operand;
}

MemoryOperand take_memory(Bytes& bytes, std::uint8_t modrm, unsigned address_bytes,
                          const Prefixes& prefixes, bool code64) {
  const auto mod = static_cast<unsigned>(extract(modrm, 7, 6));
  const auto rm = static_cast<unsigned>(extract(modrm, 2, 0));
  return address_bytes == 2 ? modrm16(bytes, mod, rm) : modrm32(bytes, mod, rm, prefixes, code64);
}

/// The manual's rules for LOCK: only with a memory destination of these.
bool may_lock(const Instruction& instruction) {
  switch (instruction.action) {
    case Action::AluMemory:
    case Action::BitMemory:           return writes_result(instruction.alu);
    case Action::Exchange:
    case Action::CompareExchange:
    case Action::CompareExchangeWide:
    case Action::ExchangeAdd:         return true;
    default:                          return false;
  }
}

bool is_string(Action action) {
  return action == Action::MoveString || action == Action::StoreString ||
         action == Action::LoadString || action == Action::CompareString ||
         action == Action::ScanString;
}

void fix_alu(Instruction& instruction, const Row& row, std::uint8_t opcode, std::uint8_t modrm) {
  instruction.alu = row.alu;
  if (row.map != Map::Primary) return;
  if (row.last < 4) instruction.alu = static_cast<AluOp>(extract(opcode, 5, 3));
  // Group 1: 80, 81, 83.
  if (row.first >= 0x80 && row.last <= 0x83) {
    instruction.alu = static_cast<AluOp>(extract(modrm, 5, 3));
  }
}

void take_immediate(Instruction& instruction, Form form, Bytes& bytes) {
  if (form == Form::EIb) {
    instruction.immediate = bytes.take_signed(1);
    instruction.has_immediate = true;
  }
  if (form == Form::EI) {
    instruction.immediate = bytes.take_signed(std::min<unsigned>(instruction.bytes, 4));
    instruction.has_immediate = true;
  }
}

bool has_modrm(Form form) {
  return form != Form::AO && form != Form::OA && form != Form::Str;
}

}  // namespace

std::optional<Instruction> decode(std::span<const std::uint8_t> code, unsigned code_bytes) {
  Bytes bytes(code);
  const bool code64 = code_bytes == 8;
  const Prefixes prefixes = take_prefixes(bytes, code64);
  const Map map = take_map(bytes);
  const std::uint8_t opcode = bytes.take();
  const Row* row = find_row(map, opcode, bytes.peek(), prefixes);
  if (row == nullptr || bytes.failed()) return std::nullopt;
  if (opcode == 0x63 && map == Map::Primary && !code64) return std::nullopt;  // ARPL

  Instruction out;
  const bool is_16_bit = (code_bytes == 2) != prefixes.operand_size;
  std::uint8_t operand = prefixes.rex_w() ? 8 : is_16_bit ? 2 : 4;
  const bool stack = row->action == Action::Push || row->action == Action::Pop;
  if (stack && code64 && !is_16_bit) operand = 8;
  out.action = row->action;
  out.sign_extends = row->sign_extends;
  out.bytes = size_of(row->memory, operand);
  if (row->action == Action::CompareExchangeWide) out.bytes = prefixes.rex_w() ? 16 : 8;
  out.operand_bytes = size_of(row->operand, operand);
  out.address_bytes = code64 ? (prefixes.address_size ? 4 : 8)
                             : ((code_bytes == 2) != prefixes.address_size ? 2 : 4);
  out.has_rex = prefixes.rex != 0;
  out.lock = prefixes.lock;
  out.condition = opcode & 15;
  const bool repeats = is_string(row->action) && prefixes.repeat != 0;
  if (repeats) {
    out.repeat = prefixes.repeat == 0xf3 ? Repeat::WhileEqual : Repeat::WhileNotEqual;
  }

  std::uint8_t modrm = 0;
  if (has_modrm(row->form)) {
    modrm = bytes.take();
    if (extract(modrm, 7, 6) == 3) return std::nullopt;
    out.reg = static_cast<std::uint8_t>(extract(modrm, 5, 3) | prefixes.rex_r());
    out.memory = take_memory(bytes, modrm, out.address_bytes, prefixes, code64);
  } else if (row->form != Form::Str) {
    out.memory.displacement = bytes.take(out.address_bytes);
  }
  fix_alu(out, *row, opcode, modrm);
  take_immediate(out, row->form, bytes);
  if (prefixes.segment) out.memory.segment = *prefixes.segment;
  if (bytes.failed() || (out.lock && !may_lock(out))) return std::nullopt;
  out.length = bytes.position();
  return out;
}

}  // namespace retrap::x86_64
