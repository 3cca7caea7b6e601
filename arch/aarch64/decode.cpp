// The tables of loads and stores, a table for each group of the manual, and what their rows build.
#include "arch/aarch64/decode.h"

#include <array>

#include "arch/decode_table.h"

namespace retrap::aarch64 {
namespace {

using Insn = MemoryInstruction;
using Row = DecodeRow<Insn>;

constexpr std::uint8_t field(std::uint32_t word, unsigned high, unsigned low) {
  return static_cast<std::uint8_t>(extract(word, high, low));
}
constexpr std::int64_t signed_field(std::uint32_t word, unsigned high, unsigned low) {
  return static_cast<std::int64_t>(sign_extend(extract(word, high, low), high - low + 1));
}

/// Rt at [4:0], Rn at [9:5]: all but literals.
constexpr Insn with_base(std::uint32_t word, MemoryOp op) {
  Insn insn;
  insn.op = op;
  insn.rt = field(word, 4, 0);
  insn.rn = field(word, 9, 5);
  return insn;
}

constexpr void set_direction(Insn& insn, bool load) {
  insn.op = load ? MemoryOp::Load : MemoryOp::Store;
  insn.load = load;
  insn.store = !load;
}

// Loads and stores of one general register: size [31:30], opc [23:22] (store, load, sign-extending
// load to 64 and to 32 bits).
constexpr Insn one_gpr(std::uint32_t word) {
  Insn insn = with_base(word, MemoryOp::Unallocated);
  const unsigned size = field(word, 31, 30);
  const unsigned opc = field(word, 23, 22);
  if (size == 3 && opc >= 2) {
    if (opc == 2) insn.op = MemoryOp::Prefetch;
    insn.size_log2 = 3;  // of its offset
    return insn;
  }
  if (size == 2 && opc == 3) return insn;
  set_direction(insn, opc != 0);
  insn.size_log2 = static_cast<std::uint8_t>(size);
  insn.sign_extend = opc >= 2;
  insn.wide = opc == 2 || (opc < 2 && size == 3);
  insn.syndrome = true;
  return insn;
}

// The same for a SIMD register: opc[1] makes size 16 bytes.
constexpr Insn one_vector(std::uint32_t word) {
  Insn insn = with_base(word, MemoryOp::Unallocated);
  const unsigned size = field(word, 31, 30);
  const bool quad = field(word, 23, 23) != 0;
  if (quad && size != 0) return insn;
  set_direction(insn, field(word, 22, 22) != 0);
  insn.vector = true;
  insn.size_log2 = static_cast<std::uint8_t>(quad ? 4 : size);
  return insn;
}

template <Insn (*kOne)(std::uint32_t)>
Insn unsigned_offset(std::uint32_t word) {
  Insn insn = kOne(word);
  insn.offset = static_cast<std::int64_t>(extract(word, 21, 10) << insn.size_log2);
  return insn;
}
template <Insn (*kOne)(std::uint32_t)>
Insn unscaled(std::uint32_t word) {
  Insn insn = kOne(word);
  insn.offset = signed_field(word, 20, 12);
  return insn;
}
template <Insn (*kOne)(std::uint32_t), Addressing kMode>
Insn indexed(std::uint32_t word) {
  Insn insn = unscaled<kOne>(word);
  if (insn.op == MemoryOp::Prefetch) insn.op = MemoryOp::Unallocated;
  insn.addressing = kMode;
  insn.syndrome = false;
  return insn;
}
Insn unprivileged(std::uint32_t word) {
  Insn insn = unscaled<one_gpr>(word);
  if (insn.op == MemoryOp::Prefetch) insn.op = MemoryOp::Unallocated;
  insn.unprivileged = true;
  return insn;
}
template <Insn (*kOne)(std::uint32_t)>
Insn register_offset(std::uint32_t word) {
  Insn insn = kOne(word);
  insn.addressing = Addressing::Register;
  insn.rm = field(word, 20, 16);
  insn.extend = field(word, 15, 13);
  insn.shift = field(word, 12, 12) != 0 ? insn.size_log2 : std::uint8_t{0};
  if ((insn.extend & 2) == 0) insn.op = MemoryOp::Unallocated;
  return insn;
}
// LDAPUR and STLUR.
Insn ordered_unscaled(std::uint32_t word) {
  Insn insn = unscaled<one_gpr>(word);
  if (insn.op == MemoryOp::Prefetch) insn.op = MemoryOp::Unallocated;
  insn.ordered = true;
  return insn;
}

// Atomic memory operations: o3 [15], opc [14:12].
Insn atomic(std::uint32_t word) {
  constexpr std::array kOps = {
      MemoryOp::AtomicAdd,         MemoryOp::AtomicClear,       MemoryOp::AtomicEor,
      MemoryOp::AtomicSet,         MemoryOp::AtomicSignedMax,   MemoryOp::AtomicSignedMin,
      MemoryOp::AtomicUnsignedMax, MemoryOp::AtomicUnsignedMin,
  };
  Insn insn = with_base(word, kOps[field(word, 14, 12)]);
  insn.load = insn.store = true;
  insn.size_log2 = field(word, 31, 30);
  insn.wide = insn.size_log2 == 3;
  insn.rs = field(word, 20, 16);
  insn.ordered = field(word, 23, 22) != 0;
  return insn;
}
Insn swap(std::uint32_t word) {
  Insn insn = atomic(word);
  insn.op = MemoryOp::Swap;
  return insn;
}
Insn ordered_load(std::uint32_t word) {  // LDAPR
  Insn insn = with_base(word, MemoryOp::Load);
  insn.load = true;
  insn.size_log2 = field(word, 31, 30);
  insn.wide = insn.size_log2 == 3;
  insn.ordered = insn.syndrome = true;
  return insn;
}

// Load/store exclusive, ordered, compare and swap: L [22], o0 [15].
Insn exclusive(std::uint32_t word) {
  const bool load = field(word, 22, 22) != 0;
  Insn insn = with_base(word, load ? MemoryOp::LoadExclusive : MemoryOp::StoreExclusive);
  insn.load = load;
  insn.store = !load;
  insn.size_log2 = field(word, 31, 30);
  insn.wide = insn.size_log2 == 3;
  insn.rs = field(word, 20, 16);
  insn.rt2 = field(word, 14, 10);
  insn.registers = field(word, 21, 21) != 0 ? 2 : 1;
  insn.ordered = field(word, 15, 15) != 0;
  return insn;
}
Insn ordered(std::uint32_t word) {
  Insn insn = with_base(word, MemoryOp::Unallocated);
  set_direction(insn, field(word, 22, 22) != 0);
  insn.size_log2 = field(word, 31, 30);
  insn.wide = insn.size_log2 == 3;
  insn.ordered = insn.syndrome = true;
  return insn;
}
Insn compare_swap(std::uint32_t word) {
  Insn insn = with_base(word, MemoryOp::CompareSwap);
  insn.load = insn.store = true;
  insn.size_log2 = field(word, 31, 30);
  insn.wide = insn.size_log2 == 3;
  insn.rs = field(word, 20, 16);
  insn.ordered = true;
  return insn;
}
Insn compare_swap_pair(std::uint32_t word) {
  Insn insn = compare_swap(word);
  insn.size_log2 = static_cast<std::uint8_t>(2 + field(word, 30, 30));
  insn.wide = insn.size_log2 == 3;
  insn.registers = 2;
  if ((insn.rs & 1) != 0 || (insn.rt & 1) != 0) insn.op = MemoryOp::Unallocated;
  return insn;
}

// Load register (literal): opc [31:30].
template <bool kVector>
Insn literal(std::uint32_t word) {
  Insn insn;
  const unsigned opc = field(word, 31, 30);
  insn.addressing = Addressing::Literal;
  insn.rt = field(word, 4, 0);
  insn.offset = signed_field(word, 23, 5) * 4;
  if (kVector && opc == 3) return insn;
  if (!kVector && opc == 3) {
    insn.op = MemoryOp::Prefetch;
    return insn;
  }
  set_direction(insn, true);
  insn.vector = kVector;
  insn.size_log2 = static_cast<std::uint8_t>(kVector ? 2 + opc : (opc == 1 ? 3 : 2));
  insn.sign_extend = !kVector && opc == 2;
  insn.wide = !kVector && opc != 0;
  insn.syndrome = !kVector;
  return insn;
}

// Pairs: opc [31:30], mode [24:23] (no-allocate, post-index, offset, pre-index), L [22].
template <bool kVector>
Insn pair(std::uint32_t word) {
  constexpr std::array kModes = {Addressing::Offset, Addressing::PostIndex, Addressing::Offset,
                                 Addressing::PreIndex};
  Insn insn = with_base(word, MemoryOp::Unallocated);
  const unsigned opc = field(word, 31, 30);
  const unsigned mode = field(word, 24, 23);
  const bool load = field(word, 22, 22) != 0;
  const bool is_ldpsw = !kVector && opc == 1;
  if (opc == 3 || (is_ldpsw && (!load || mode == 0))) return insn;
  set_direction(insn, load);
  insn.vector = kVector;
  insn.registers = 2;
  insn.size_log2 = static_cast<std::uint8_t>(kVector ? 2 + opc : (opc == 2 ? 3 : 2));
  insn.sign_extend = is_ldpsw;
  insn.wide = !kVector && opc != 0;
  insn.addressing = kModes[mode];
  insn.rt2 = field(word, 14, 10);
  insn.offset = signed_field(word, 21, 15) * (std::int64_t{1} << insn.size_log2);
  return insn;
}

void finish_structures(Insn& insn, std::uint32_t word) {
  insn.op = MemoryOp::Structures;
  insn.vector = true;
  insn.load = field(word, 22, 22) != 0;
  insn.store = !insn.load;
  if (field(word, 23, 23) == 0) return;
  insn.rm = field(word, 20, 16);
  const bool immediate = insn.rm == 31;
  insn.addressing = immediate ? Addressing::PostIndex : Addressing::PostRegister;
  if (immediate) insn.offset = static_cast<std::int64_t>(insn.bytes());
}

// LD1-LD4, ST1-ST4 (multiple structures): opcode [15:12], size [11:10].
Insn multiple_structures(std::uint32_t word) {
  struct Shape {
    std::uint8_t opcode, repeats, elements;
  };
  constexpr std::array<Shape, 7> kShapes = {
      {{0, 1, 4}, {2, 4, 1}, {4, 1, 3}, {6, 3, 1}, {7, 1, 1}, {8, 1, 2}, {10, 2, 1}}};
  Insn insn = with_base(word, MemoryOp::Unallocated);
  for (const Shape& shape : kShapes) {
    if (shape.opcode != field(word, 15, 12)) continue;
    insn.size_log2 = field(word, 11, 10);
    insn.structure.quad = field(word, 30, 30) != 0;
    if (insn.size_log2 == 3 && !insn.structure.quad && shape.elements != 1) return insn;
    insn.structure.repeats = shape.repeats;
    insn.structure.elements = shape.elements;
    insn.structure.lanes =
        static_cast<std::uint8_t>((insn.structure.quad ? 16u : 8u) >> insn.size_log2);
    finish_structures(insn, word);
  }
  return insn;
}

// LD1-LD4, ST1-ST4 (single structure): Q [30], R [21], opcode [15:13], S [12], size [11:10].
Insn single_structure(std::uint32_t word) {
  Insn insn = with_base(word, MemoryOp::Unallocated);
  const unsigned opcode = field(word, 15, 13);
  const unsigned scale = opcode >> 1;
  const unsigned q = field(word, 30, 30);
  const unsigned s = field(word, 12, 12);
  const unsigned size = field(word, 11, 10);
  const bool load = field(word, 22, 22) != 0;
  unsigned index = q << 3 | s << 2 | size;
  switch (scale) {
    case 0: insn.size_log2 = 0; break;
    case 1:
      if ((size & 1) != 0) return insn;
      insn.size_log2 = 1;
      index >>= 1;
      break;
    case 2:
      if (size > 1 || (size == 1 && s != 0)) return insn;
      insn.size_log2 = size == 0 ? 2 : 3;
      index = size == 0 ? index >> 2 : q;
      break;
    default:
      if (!load || s != 0) return insn;
      insn.size_log2 = static_cast<std::uint8_t>(size);
      insn.structure.replicate = true;
      index = 0;
  }
  insn.structure.quad = q != 0;
  insn.structure.single = true;
  insn.structure.lane = static_cast<std::uint8_t>(index);
  insn.structure.elements =
      static_cast<std::uint8_t>(1 + ((opcode & 1) << 1 | field(word, 21, 21)));
  finish_structures(insn, word);
  return insn;
}

// SYS with CRn 7: op1 [18:16], CRm [11:8], op2 [7:5].
Insn zero_block(std::uint32_t word) {
  Insn insn;
  insn.op = MemoryOp::ZeroBlock;
  insn.addressing = Addressing::Operand;
  insn.store = true;
  insn.rt = field(word, 4, 0);
  return insn;
}
Insn maintain(std::uint32_t word) {
  Insn insn = zero_block(word);
  insn.op = MemoryOp::Maintain;
  return insn;
}

// The drawings name fields by letters: s size or scale, o opcode, L load, i immediate, m Rm,
// w Rs, 2 Rt2 (drawn as r), n Rn, t Rt, x option, a acquire/release, q Q, k shift.
// clang-format off
constexpr std::array<Row, 8> kExclusive = {{
    {"stxr",  "ss00 1000 000w wwww arrr rrnn nnnt tttt", exclusive},
    {"ldxr",  "ss00 1000 010w wwww arrr rrnn nnnt tttt", exclusive},
    {"casp",  "0s00 1000 0L1w wwww a111 11nn nnnt tttt", compare_swap_pair},
    {"stxp",  "1s00 1000 001w wwww arrr rrnn nnnt tttt", exclusive},
    {"ldxp",  "1s00 1000 011w wwww arrr rrnn nnnt tttt", exclusive},
    {"stlr",  "ss00 1000 100w wwww arrr rrnn nnnt tttt", ordered},
    {"ldar",  "ss00 1000 110w wwww arrr rrnn nnnt tttt", ordered},
    {"cas",   "ss00 1000 1L1w wwww a111 11nn nnnt tttt", compare_swap},
}};
constexpr std::array<Row, 4> kStructures = {{
    {"ld/st multiple",       "0q00 1100 0L00 0000 oooo ssnn nnnt tttt", multiple_structures},
    {"ld/st multiple, post", "0q00 1100 1L0m mmmm oooo ssnn nnnt tttt", multiple_structures},
    {"ld/st single",         "0q00 1101 0Lo0 0000 ooos ssnn nnnt tttt", single_structure},
    {"ld/st single, post",   "0q00 1101 1Lom mmmm ooos ssnn nnnt tttt", single_structure},
}};
constexpr std::array<Row, 3> kLiteral = {{
    {"ldr literal",          "oo01 1000 iiii iiii iiii iiii iiit tttt", literal<false>},
    {"ldr literal, simd",    "oo01 1100 iiii iiii iiii iiii iiit tttt", literal<true>},
    {"ldapur/stlur",         "ss01 1001 oo0i iiii iiii 00nn nnnt tttt", ordered_unscaled},
}};
constexpr std::array<Row, 2> kPairs = {{
    {"ldp/stp",              "oo10 100o oLii iiii irrr rrnn nnnt tttt", pair<false>},
    {"ldp/stp simd",         "oo10 110o oLii iiii irrr rrnn nnnt tttt", pair<true>},
}};
constexpr std::array<Row, 9> kGeneral = {{
    {"ldr/str unsigned",     "ss11 1001 ooii iiii iiii iinn nnnt tttt", unsigned_offset<one_gpr>},
    {"ldur/stur",            "ss11 1000 oo0i iiii iiii 00nn nnnt tttt", unscaled<one_gpr>},
    {"ldr/str post",         "ss11 1000 oo0i iiii iiii 01nn nnnt tttt", indexed<one_gpr, Addressing::PostIndex>},
    {"ldtr/sttr",            "ss11 1000 oo0i iiii iiii 10nn nnnt tttt", unprivileged},
    {"ldr/str pre",          "ss11 1000 oo0i iiii iiii 11nn nnnt tttt", indexed<one_gpr, Addressing::PreIndex>},
    {"ldr/str register",     "ss11 1000 oo1m mmmm xxxk 10nn nnnt tttt", register_offset<one_gpr>},
    {"atomic",               "ss11 1000 aa1w wwww 0ooo 00nn nnnt tttt", atomic},
    {"swp",                  "ss11 1000 aa1w wwww 1000 00nn nnnt tttt", swap},
    {"ldapr",                "ss11 1000 1011 1111 1100 00nn nnnt tttt", ordered_load},
}};
constexpr std::array<Row, 5> kVector = {{
    {"ldr/str unsigned, simd", "ss11 1101 ooii iiii iiii iinn nnnt tttt", unsigned_offset<one_vector>},
    {"ldur/stur simd",         "ss11 1100 oo0i iiii iiii 00nn nnnt tttt", unscaled<one_vector>},
    {"ldr/str post, simd",     "ss11 1100 oo0i iiii iiii 01nn nnnt tttt", indexed<one_vector, Addressing::PostIndex>},
    {"ldr/str pre, simd",      "ss11 1100 oo0i iiii iiii 11nn nnnt tttt", indexed<one_vector, Addressing::PreIndex>},
    {"ldr/str register, simd", "ss11 1100 oo1m mmmm xxxk 10nn nnnt tttt", register_offset<one_vector>},
}};
constexpr std::array<Row, 4> kSystem = {{
    {"dc zva",               "1101 0101 0000 1011 0111 0100 001t tttt", zero_block},
    {"ic ivau",              "1101 0101 0000 1011 0111 0101 001t tttt", maintain},
    {"dc el0",               "1101 0101 0000 1011 0111 1ooo 001t tttt", maintain},
    {"dc ivac",              "1101 0101 0000 1000 0111 0110 001t tttt", maintain},
}};
// clang-format on

static_assert(is_unambiguous(kExclusive) && is_unambiguous(kStructures));
static_assert(is_unambiguous(kLiteral) && is_unambiguous(kPairs));
static_assert(is_unambiguous(kGeneral) && is_unambiguous(kVector) && is_unambiguous(kSystem));

template <std::size_t N>
std::optional<Insn> look_up(const std::array<Row, N>& table, std::uint32_t word) {
  for (const Row& row : table) {
    if (!row.pattern.matches(word)) continue;
    Insn insn = row.build(word);
    if (insn.op == MemoryOp::Unallocated) return std::nullopt;
    insn.name = row.name;
    return insn;
  }
  return std::nullopt;
}

}  // namespace

std::optional<MemoryInstruction> decode_memory(std::uint32_t word) {
  if (extract(word, 31, 20) == 0xd50) return look_up(kSystem, word);
  if (!has_bit(word, 27) || has_bit(word, 25)) return std::nullopt;
  const bool vector = has_bit(word, 26);
  switch (extract(word, 29, 28)) {
    case 0:  return vector ? look_up(kStructures, word) : look_up(kExclusive, word);
    case 1:  return look_up(kLiteral, word);
    case 2:  return look_up(kPairs, word);
    default: return vector ? look_up(kVector, word) : look_up(kGeneral, word);
  }
}

}  // namespace retrap::aarch64
