// Prefixes, opcode maps and ModRM, as far as a length needs them.
#include "sim/unicorn/x86_64/instruction.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace retrap::unicorn::x86_64 {
namespace {

// What follows the opcode, one letter each:
//   .  nothing              m  ModRM              c  one ModRM byte that is always registers
//   1  imm8                 b  ModRM, imm8        w  imm16       e  imm16, imm8
//   z  imm16/32             y  ModRM, imm16/32    v  imm16/32/64
//   o  an address           f  a far pointer      p  (a prefix)  x  (an escape)
//   g  ModRM, imm8 for /0 /1                      G  ModRM, imm16/32 for /0 /1
constexpr std::string_view kMapOne =
    "mmmm1z..mmmm1z.x"
    "mmmm1z..mmmm1z.."
    "mmmm1zp.mmmm1zp."
    "mmmm1zp.mmmm1zp."
    "................"
    "................"
    "..mmppppzy1b...."
    "1111111111111111"
    "bybbmmmmmmmmmmmm"
    "..........f....."
    "oooo....1z......"
    "11111111vvvvvvvv"
    "bbw.mmbye.w..1.."
    "mmmm11..mmmmmmmm"
    "11111111zzf1...."
    "p.pp..gG......mm";
constexpr std::string_view kMapTwo =
    "mmmm.........m.b"
    "mmmmmmmmmmmmmmmm"
    "ccccccccmmmmmmmm"
    "........x.x....."
    "mmmmmmmmmmmmmmmm"
    "mmmmmmmmmmmmmmmm"
    "mmmmmmmmmmmmmmmm"
    "bbbbmmm.mmmmmmmm"
    "zzzzzzzzzzzzzzzz"
    "mmmmmmmmmmmmmmmm"
    "...mbmmm...mbmmm"
    "mmmmmmmmmmbmmmmm"
    "mmbmbbbm........"
    "mmmmmmmmmmmmmmmm"
    "mmmmmmmmmmmmmmmm"
    "mmmmmmmmmmmmmmmm";
static_assert(kMapOne.size() == 256 && kMapTwo.size() == 256);

constexpr unsigned kMaxLength = 15;

/// Takes bytes one after the other; remembers running out.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes)
      : bytes_(bytes.first(std::min<std::size_t>(bytes.size(), kMaxLength))),
        limited_(bytes.size() >= kMaxLength) {}

  std::uint8_t next() {
    if (at_ < bytes_.size()) return bytes_[at_++];
    over_ = true;
    return 0;
  }
  [[nodiscard]] std::uint8_t peek() const { return at_ < bytes_.size() ? bytes_[at_] : 0; }
  std::int32_t number(unsigned count) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < count && i < 4; ++i) {
      value |= static_cast<std::uint32_t>(next()) << (8 * i);
    }
    for (unsigned i = 4; i < count; ++i) next();
    if (count == 1) return static_cast<std::int8_t>(value);
    if (count == 2) return static_cast<std::int16_t>(value);
    return static_cast<std::int32_t>(value);
  }
  /// Too long for any instruction counts as 15 bytes; too few bytes as 0.
  [[nodiscard]] std::uint8_t length() const {
    if (over_) return limited_ ? kMaxLength : 0;
    return static_cast<std::uint8_t>(at_);
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool limited_;
  std::size_t at_ = 0;
  bool over_ = false;
};

struct Prefixes {
  bool operand = false;
  bool address = false;
};

/// Consumes legacy prefixes and REX; gives the opcode byte.
std::uint8_t read_prefixes(Reader& reader, unsigned code_bytes, Instruction& out, Prefixes& seen) {
  for (unsigned i = 0; i < kMaxLength; ++i) {
    const std::uint8_t byte = reader.next();
    if (code_bytes == 8 && (byte & 0xf0) == 0x40) {
      out.rex = byte;
      continue;
    }
    // A REX prefix counts only directly in front of the opcode (APM volume 3, 1.2.7).
    const std::uint8_t rex = std::exchange(out.rex, std::uint8_t{0});
    switch (byte) {
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
        // In 64-bit mode these four mean nothing.
        if (code_bytes != 8) out.segment = byte >> 3 & 3;
        continue;
      case 0x64:
      case 0x65: out.segment = byte & 7; continue;
      case 0x66: seen.operand = true; continue;
      case 0x67: seen.address = true; continue;
      case 0xf0: out.lock = true; continue;
      case 0xf2:
      case 0xf3: out.repeat = byte; continue;
      default:   break;
    }
    out.rex = rex;
    return byte;
  }
  return 0x90;
}

void read_modrm(Reader& reader, Instruction& out) {
  out.has_modrm = true;
  out.modrm = reader.next();
  if (out.mod() == 3) return;
  if (out.address_bytes == 2) {
    if (out.mod() == 1) {
      out.displacement = reader.number(1);
    } else if (out.mod() == 2 || out.rm() == 6) {
      out.displacement = reader.number(2);
    }
    return;
  }
  unsigned base = out.rm();
  if (base == 4) {
    out.sib = reader.next();
    base = out.sib & 7;
  }
  if (out.mod() == 1) {
    out.displacement = reader.number(1);
  } else if (out.mod() == 2 || base == 5) {
    out.displacement = reader.number(4);
  }
}

void read_operands(Reader& reader, char letter, Instruction& out) {
  const unsigned immediate = out.operand_bytes == 2 ? 2 : 4;
  switch (letter) {
    case 'm': read_modrm(reader, out); break;
    case 'c':
      out.has_modrm = true;
      out.modrm = reader.next() | 0xc0;
      break;
    case '1': out.immediate8 = static_cast<std::uint8_t>(reader.number(1)); break;
    case 'b':
      read_modrm(reader, out);
      out.immediate8 = static_cast<std::uint8_t>(reader.number(1));
      break;
    case 'w': reader.number(2); break;
    case 'e': reader.number(3); break;
    case 'z': reader.number(immediate); break;
    case 'y':
      read_modrm(reader, out);
      reader.number(immediate);
      break;
    case 'v': reader.number(out.operand_bytes); break;
    case 'o': reader.number(out.address_bytes); break;
    case 'f': reader.number(immediate + 2); break;
    case 'g':
      read_modrm(reader, out);
      if (out.reg() < 2) reader.number(1);
      break;
    case 'G':
      read_modrm(reader, out);
      if (out.reg() < 2) reader.number(immediate);
      break;
    default: break;
  }
}

/// C4 and C5 where they are no LES and LDS. False where they are.
bool read_vex(Reader& reader, unsigned code_bytes, Instruction& out) {
  if (code_bytes != 8 && reader.peek() < 0xc0) return false;
  if (out.opcode == 0xc5) {
    reader.next();
    out.map = OpcodeMap::Two;
  } else {
    const unsigned select = reader.next() & 0x1f;
    if ((reader.next() & 0x80) != 0 && code_bytes == 8) out.operand_bytes = 8;
    out.map = select == 2 ? OpcodeMap::Three38 : select == 3 ? OpcodeMap::Three3a : OpcodeMap::Two;
  }
  out.opcode = reader.next();
  return true;
}

char letter_of(const Instruction& in) {
  switch (in.map) {
    case OpcodeMap::One:     return kMapOne[in.opcode];
    case OpcodeMap::Two:     return kMapTwo[in.opcode];
    case OpcodeMap::Three38: return 'm';
    case OpcodeMap::Three3a: return 'b';
  }
  return '.';
}

// Near jumps and returns write nothing; the accessed bit that a far jump may set is left out.
bool is_jump(const Instruction& in) {
  const std::uint8_t op = in.opcode;
  if (in.map == OpcodeMap::Two) return (op & 0xf0) == 0x80;
  if (in.map != OpcodeMap::One) return false;
  const bool indirect = op == 0xff && (in.reg() == 4 || in.reg() == 5);
  return indirect || (op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0 || (op >= 0xe9 && op <= 0xeb) ||
         (op & 0xfe) == 0xc2;
}

// Calls of what is not known, and far returns, which may write to a descriptor.
bool moves_the_stack_and_jumps(const Instruction& in) {
  if (in.map != OpcodeMap::One) return false;
  const bool indirect_call = in.opcode == 0xff && (in.reg() == 2 || in.reg() == 3);
  return indirect_call || in.opcode == 0x9a || (in.opcode & 0xfe) == 0xca || in.opcode == 0xcf;
}

// A near call. With prefixes it may be anything.
bool may_call_itself(const Instruction& in, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < in.length || bytes.front() != 0xe8) return true;
  const auto last = static_cast<std::uint8_t>(-in.length);
  return bytes[1] == last && std::ranges::all_of(bytes.subspan(2, in.length - 2U),
                                                 [](std::uint8_t byte) { return byte == 0xff; });
}

}  // namespace

Instruction decode(std::span<const std::uint8_t> bytes, unsigned code_bytes) {
  Reader reader(bytes);
  Instruction out;
  Prefixes seen;
  out.opcode = read_prefixes(reader, code_bytes, out, seen);
  const bool wide = (out.rex & 8) != 0;
  if (code_bytes == 8) {
    out.operand_bytes = wide ? 8 : seen.operand ? 2 : 4;
    out.address_bytes = seen.address ? 4 : 8;
  } else {
    out.operand_bytes = (code_bytes == 2) != seen.operand ? 2 : 4;
    out.address_bytes = (code_bytes == 2) != seen.address ? 2 : 4;
  }
  if (out.opcode == 0x0f) {
    out.map = OpcodeMap::Two;
    out.opcode = reader.next();
    if (out.opcode == 0x38 || out.opcode == 0x3a) {
      out.map = out.opcode == 0x38 ? OpcodeMap::Three38 : OpcodeMap::Three3a;
      out.opcode = reader.next();
    }
  } else if (out.opcode == 0xc4 || out.opcode == 0xc5) {
    static_cast<void>(read_vex(reader, code_bytes, out));
  }
  read_operands(reader, letter_of(out), out);
  out.length = reader.length();
  return out;
}

bool is_read_modify_write(const Instruction& in) {
  if (!in.has_memory_operand()) return false;
  const unsigned reg = in.reg();
  if (in.map == OpcodeMap::One) {
    if (in.opcode < 0x38) return (in.opcode & 6) == 0;  // ADD OR ADC SBB AND SUB XOR to r/m
    switch (in.opcode) {
      case 0x80:
      case 0x81:
      case 0x82:
      case 0x83: return reg != 7;
      case 0x86:
      case 0x87: return true;
      case 0xc0:
      case 0xc1:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3: return true;
      case 0xf6:
      case 0xf7: return reg == 2 || reg == 3;
      case 0xfe:
      case 0xff: return reg < 2;
      default:   return false;
    }
  }
  if (in.map != OpcodeMap::Two) return false;
  switch (in.opcode) {
    case 0xa4:
    case 0xa5:
    case 0xac:
    case 0xad: return true;
    case 0xab:
    case 0xb3:
    case 0xbb: return true;
    case 0xba: return reg >= 5;
    case 0xb0:
    case 0xb1:
    case 0xc0:
    case 0xc1: return true;
    case 0xc7: return reg == 1;
    default:   return false;
  }
}

bool is_system_reader(const Instruction& in) {
  if (in.map == OpcodeMap::Two) {
    switch (in.opcode) {
      case 0x00:
      case 0x02:
      case 0x03:
      case 0xa1:
      case 0xa9:
      case 0xb2:
      case 0xb4:
      case 0xb5: return true;
      default:   return false;
    }
  }
  if (in.map != OpcodeMap::One) return false;
  switch (in.opcode) {
    case 0x07:
    case 0x17:
    case 0x1f:
    case 0x8e:
    case 0x9a:
    case 0xc4:
    case 0xc5:
    case 0xca:
    case 0xcb:
    case 0xcf:
    case 0xea: return true;
    case 0xff: return in.reg() == 3 || in.reg() == 5;
    default:   return false;
  }
}

bool begins_shadow(const Instruction& in) {
  if (in.map != OpcodeMap::One) return false;
  return in.opcode == 0xfb || in.opcode == 0x17 || (in.opcode == 0x8e && in.reg() == 2);
}

bool uses_stack(const Instruction& in) {
  if (in.map == OpcodeMap::Two) {
    const bool pushes =
        in.opcode == 0xa0 || in.opcode == 0xa1 || in.opcode == 0xa8 || in.opcode == 0xa9;
    if (pushes) return true;
  } else if (in.map == OpcodeMap::One) {
    switch (in.opcode) {
      case 0x68:
      case 0x6a:
      case 0x9c:
      case 0x9d:
      case 0xc2:
      case 0xc3:
      case 0xc8:
      case 0xc9:
      case 0xca:
      case 0xcb:
      case 0xcf:
      case 0xe8: return true;
      default:
        if (in.opcode >= 0x50 && in.opcode <= 0x5f) return true;
        break;
    }
  }
  if (!in.has_memory_operand() || in.segment != Instruction::kNoSegment) return false;
  if (in.address_bytes == 2) return in.rm() == 2 || in.rm() == 3 || (in.rm() == 6 && in.mod() != 0);
  if ((in.rex & 1) != 0) return false;
  const unsigned base = in.rm() == 4 ? in.sib & 7U : in.rm();
  return (base == 4 && in.rm() == 4) || (base == 5 && in.mod() != 0);
}

bool is_repeated_string(const Instruction& in) {
  if (in.repeat == 0 || in.map != OpcodeMap::One) return false;
  return (in.opcode >= 0x6c && in.opcode <= 0x6f) || (in.opcode >= 0xa4 && in.opcode <= 0xa7) ||
         (in.opcode >= 0xaa && in.opcode <= 0xaf);
}

Store store_of(const Instruction& in, std::span<const std::uint8_t> bytes) {
  if (is_jump(in)) return Store::None;
  if (is_repeated_string(in) || moves_the_stack_and_jumps(in)) return Store::Loops;
  const bool call = in.is(OpcodeMap::One, 0xe8);
  return call && may_call_itself(in, bytes) ? Store::Loops : Store::Onward;
}

std::uint64_t operand_address(const Instruction& in, const EnvHead& head, std::uint64_t next_rip) {
  const auto gpr = [&](unsigned low, unsigned rex_bit) {
    return head.regs[low | ((in.rex & rex_bit) != 0 ? 8U : 0U)];
  };
  auto offset = static_cast<std::uint64_t>(std::int64_t{in.displacement});
  bool stack = false;
  if (in.address_bytes == 2) {
    constexpr std::array<std::array<unsigned, 2>, 8> kPairs = {
        {{3, 6}, {3, 7}, {5, 6}, {5, 7}, {6, 16}, {7, 16}, {5, 16}, {3, 16}}};
    if (in.mod() != 0 || in.rm() != 6) {
      for (const unsigned part : kPairs[in.rm()]) offset += part < 16 ? head.regs[part] : 0;
      stack = in.rm() == 2 || in.rm() == 3 || in.rm() == 6;
    }
    offset &= 0xffff;
  } else if (in.rm() == 4) {
    const unsigned base = in.sib & 7;
    const unsigned index = in.sib >> 3 & 7;
    if (base != 5 || in.mod() != 0) {
      offset += gpr(base, 1);
      stack = (in.rex & 1) == 0 && (base == 4 || base == 5);
    }
    if (index != 4 || (in.rex & 2) != 0) offset += gpr(index, 2) << (in.sib >> 6);
  } else if (in.mod() == 0 && in.rm() == 5) {
    if (head.hflags & hf::kCs64) offset += next_rip;
  } else {
    offset += gpr(in.rm(), 1);
    stack = (in.rex & 1) == 0 && in.rm() == 5;
  }
  if (in.address_bytes == 4) offset &= 0xffff'ffff;

  constexpr unsigned kSs = 2;
  constexpr unsigned kDs = 3;
  unsigned segment = stack ? kSs : kDs;
  if (in.segment != Instruction::kNoSegment) segment = in.segment;
  const bool flat = (head.hflags & hf::kCs64) != 0 && segment < 4;
  const std::uint64_t linear = offset + (flat ? 0 : head.segs[segment].base);
  return (head.hflags & hf::kCs64) != 0 ? linear : linear & 0xffff'ffff;
}

}  // namespace retrap::unicorn::x86_64
