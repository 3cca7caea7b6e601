// Tables of RV64GC's loads, stores and atomics.
#include "arch/riscv64/decode.h"

#include <array>

#include "arch/decode_table.h"
#include "vmm/base/bits.h"

namespace retrap::riscv64 {
namespace {

using Decoded = std::optional<MemoryInstruction>;

constexpr std::uint32_t bits_of(std::uint32_t word, unsigned high, unsigned low) {
  return static_cast<std::uint32_t>(extract(word, high, low));
}

constexpr std::uint8_t reg(std::uint32_t word, unsigned low) {
  return static_cast<std::uint8_t>(bits_of(word, low + 4, low));
}

constexpr std::int64_t signed_bits(std::uint32_t value, unsigned count) {
  return static_cast<std::int64_t>(sign_extend(value, count));
}

constexpr std::int64_t i_immediate(std::uint32_t word) {
  return signed_bits(word >> 20, 12);
}

constexpr std::int64_t s_immediate(std::uint32_t word) {
  return signed_bits(bits_of(word, 31, 25) << 5 | bits_of(word, 11, 7), 12);
}

template <MemoryKind kKind, Width kWidth, bool kSigned = false>
Decoded load(std::uint32_t word) {
  MemoryInstruction out;
  out.kind = kKind;
  out.width = kWidth;
  out.signed_ext = kSigned;
  out.rd = reg(word, 7);
  out.rs1 = reg(word, 15);
  out.offset = i_immediate(word);
  out.word = word;
  return out;
}

template <MemoryKind kKind, Width kWidth>
Decoded store(std::uint32_t word) {
  MemoryInstruction out;
  out.kind = kKind;
  out.width = kWidth;
  out.rs1 = reg(word, 15);
  out.rs2 = reg(word, 20);
  out.offset = s_immediate(word);
  out.word = word;
  return out;
}

template <MemoryKind kKind, AmoOperation kOperation = AmoOperation::Add>
Decoded atomic(std::uint32_t word) {
  MemoryInstruction out;
  out.kind = kKind;
  out.width = bits_of(word, 12, 12) == 0 ? Width::Word : Width::Double;
  out.signed_ext = true;
  out.amo = kOperation;
  out.rd = reg(word, 7);
  out.rs1 = reg(word, 15);
  out.rs2 = reg(word, 20);
  out.word = word;
  return out;
}

using enum MemoryKind;

// Unprivileged Architecture, "RV32/64G Instruction Set Listings".
// Letters: i immediate, n rs1, t rs2, d rd, a aq, l rl, w width of an atomic.
// clang-format off
constexpr std::array<DecodeRow<Decoded>, 26> kTable = {{
    {"lb",      "iiii iiii iiii nnnn n000 dddd d000 0011", load<Load, Width::Byte, true>},
    {"lh",      "iiii iiii iiii nnnn n001 dddd d000 0011", load<Load, Width::Half, true>},
    {"lw",      "iiii iiii iiii nnnn n010 dddd d000 0011", load<Load, Width::Word, true>},
    {"ld",      "iiii iiii iiii nnnn n011 dddd d000 0011", load<Load, Width::Double>},
    {"lbu",     "iiii iiii iiii nnnn n100 dddd d000 0011", load<Load, Width::Byte>},
    {"lhu",     "iiii iiii iiii nnnn n101 dddd d000 0011", load<Load, Width::Half>},
    {"lwu",     "iiii iiii iiii nnnn n110 dddd d000 0011", load<Load, Width::Word>},
    {"sb",      "iiii iiit tttt nnnn n000 iiii i010 0011", store<Store, Width::Byte>},
    {"sh",      "iiii iiit tttt nnnn n001 iiii i010 0011", store<Store, Width::Half>},
    {"sw",      "iiii iiit tttt nnnn n010 iiii i010 0011", store<Store, Width::Word>},
    {"sd",      "iiii iiit tttt nnnn n011 iiii i010 0011", store<Store, Width::Double>},
    {"flw",     "iiii iiii iiii nnnn n010 dddd d000 0111", load<LoadFloat, Width::Word>},
    {"fld",     "iiii iiii iiii nnnn n011 dddd d000 0111", load<LoadFloat, Width::Double>},
    {"fsw",     "iiii iiit tttt nnnn n010 iiii i010 0111", store<StoreFloat, Width::Word>},
    {"fsd",     "iiii iiit tttt nnnn n011 iiii i010 0111", store<StoreFloat, Width::Double>},
    {"lr",      "0001 0al0 0000 nnnn n01w dddd d010 1111", atomic<LoadReserved>},
    {"sc",      "0001 1alt tttt nnnn n01w dddd d010 1111", atomic<StoreConditional>},
    {"amoswap", "0000 1alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Swap>},
    {"amoadd",  "0000 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Add>},
    {"amoxor",  "0010 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Xor>},
    {"amoand",  "0110 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::And>},
    {"amoor",   "0100 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Or>},
    {"amomin",  "1000 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Min>},
    {"amomax",  "1010 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::Max>},
    {"amominu", "1100 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::MinU>},
    {"amomaxu", "1110 0alt tttt nnnn n01w dddd d010 1111", atomic<Amo, AmoOperation::MaxU>},
}};
// clang-format on
static_assert(is_unambiguous(kTable));

// Opcodes and funct3 of the 32-bit forms that compressed instructions stand for.
constexpr std::uint32_t kLoadWord = 0x2003;
constexpr std::uint32_t kLoadDouble = 0x3003;
constexpr std::uint32_t kLoadFloatDouble = 0x3007;
constexpr std::uint32_t kStoreWord = 0x2023;
constexpr std::uint32_t kStoreDouble = 0x3023;
constexpr std::uint32_t kStoreFloatDouble = 0x3027;

struct Operands {
  std::uint32_t base;
  std::uint32_t data;
  std::uint32_t offset;
};

constexpr std::uint32_t make_load(std::uint32_t opcode, Operands in) {
  return opcode | in.data << 7 | in.base << 15 | in.offset << 20;
}

constexpr std::uint32_t make_store(std::uint32_t opcode, Operands in) {
  return opcode | (in.offset & 31) << 7 | in.base << 15 | in.data << 20 | (in.offset >> 5) << 25;
}

// Compressed offsets are scattered ("16-Bit Compressed Instructions", formats CL, CS, CI, CSS).
constexpr Operands register_form(std::uint32_t half, bool is_double) {
  const std::uint32_t high = bits_of(half, 12, 10) << 3;
  const std::uint32_t rest =
      is_double ? bits_of(half, 6, 5) << 6 : bits_of(half, 6, 6) << 2 | bits_of(half, 5, 5) << 6;
  return {8 + bits_of(half, 9, 7), 8 + bits_of(half, 4, 2), high | rest};
}

constexpr Operands stack_load_form(std::uint32_t half, bool is_double) {
  const std::uint32_t top = bits_of(half, 12, 12) << 5;
  const std::uint32_t rest = is_double ? bits_of(half, 6, 5) << 3 | bits_of(half, 4, 2) << 6
                                       : bits_of(half, 6, 4) << 2 | bits_of(half, 3, 2) << 6;
  return {2, bits_of(half, 11, 7), top | rest};
}

constexpr Operands stack_store_form(std::uint32_t half, bool is_double) {
  const std::uint32_t offset = is_double ? bits_of(half, 12, 10) << 3 | bits_of(half, 9, 7) << 6
                                         : bits_of(half, 12, 9) << 2 | bits_of(half, 8, 7) << 6;
  return {2, bits_of(half, 6, 2), offset};
}

using Form = Operands (*)(std::uint32_t, bool);

constexpr bool is_double_form(std::uint32_t opcode) {
  return (opcode & 0x7000) == 0x3000;
}

template <std::uint32_t kOpcode, Form kForm>
Decoded compressed_load(std::uint32_t half) {
  const std::uint32_t word = make_load(kOpcode, kForm(half, is_double_form(kOpcode)));
  return find_row(kTable, word)->build(word);
}

template <std::uint32_t kOpcode, Form kForm>
Decoded compressed_store(std::uint32_t half) {
  const std::uint32_t word = make_store(kOpcode, kForm(half, is_double_form(kOpcode)));
  return find_row(kTable, word)->build(word);
}

Decoded reserved(std::uint32_t) {
  return std::nullopt;
}

// "RVC Instruction Set Listings", quadrants 0 and 2. Letters: i offset, n base, d rd, t rs2.
// clang-format off
constexpr std::array<DecodeRow<Decoded, 16>, 14> kCompressed = {{
    {"c.fld",    "001i iinn niid dd00", compressed_load<kLoadFloatDouble, register_form>},
    {"c.lw",     "010i iinn niid dd00", compressed_load<kLoadWord, register_form>},
    {"c.ld",     "011i iinn niid dd00", compressed_load<kLoadDouble, register_form>},
    {"c.fsd",    "101i iinn niit tt00", compressed_store<kStoreFloatDouble, register_form>},
    {"c.sw",     "110i iinn niit tt00", compressed_store<kStoreWord, register_form>},
    {"c.sd",     "111i iinn niit tt00", compressed_store<kStoreDouble, register_form>},
    {"c.fldsp",  "001i dddd diii ii10", compressed_load<kLoadFloatDouble, stack_load_form>},
    {"reserved", "010i 0000 0iii ii10", reserved},
    {"c.lwsp",   "010i dddd diii ii10", compressed_load<kLoadWord, stack_load_form>},
    {"reserved", "011i 0000 0iii ii10", reserved},
    {"c.ldsp",   "011i dddd diii ii10", compressed_load<kLoadDouble, stack_load_form>},
    {"c.fsdsp",  "101i iiii ittt tt10", compressed_store<kStoreFloatDouble, stack_store_form>},
    {"c.swsp",   "110i iiii ittt tt10", compressed_store<kStoreWord, stack_store_form>},
    {"c.sdsp",   "111i iiii ittt tt10", compressed_store<kStoreDouble, stack_store_form>},
}};
// clang-format on
static_assert(is_unambiguous(kCompressed));

/// Where in `table` to begin with a word whose bits `key_bits` have been packed into a key: at the
/// first row that has any word of that key.
template <std::size_t kKeys, int kBits, std::size_t N, class Unpack>
consteval std::array<std::uint8_t, kKeys> first_rows(
    const std::array<DecodeRow<Decoded, kBits>, N>& table, std::uint32_t key_bits, Unpack unpack) {
  std::array<std::uint8_t, kKeys> first{};
  for (std::uint32_t key = 0; key < kKeys; ++key) {
    std::size_t row = 0;
    const auto differs = [&](const BasicPattern<kBits>& pattern) {
      return (pattern.mask & key_bits & (pattern.match ^ unpack(key))) != 0;
    };
    while (row < N && differs(table[row].pattern)) ++row;
    first[key] = static_cast<std::uint8_t>(row);
  }
  return first;
}

// funct3 and opcode.
constexpr std::uint32_t key_of_word(std::uint32_t word) {
  return (word >> 2 & 0x1f) | (word >> 12 & 7) << 5;
}
constexpr auto kFirst = first_rows<256>(
    kTable, 0x707f, [](std::uint32_t key) { return 3 | (key & 0x1f) << 2 | (key >> 5) << 12; });
constexpr std::uint32_t key_of_half(std::uint32_t half) {
  return (half & 3) | (half >> 13 & 7) << 2;
}
constexpr auto kFirstCompressed = first_rows<32>(
    kCompressed, 0xe003, [](std::uint32_t key) { return (key & 3) | (key >> 2) << 13; });

/// The first row from `first` on that matches.
template <int kBits, std::size_t N>
const DecodeRow<Decoded, kBits>* row_from(const std::array<DecodeRow<Decoded, kBits>, N>& table,
                                          std::size_t first, std::uint32_t word) {
  for (; first < N; ++first) {
    if (table[first].pattern.matches(word)) return &table[first];
  }
  return nullptr;
}

}  // namespace

std::optional<MemoryInstruction> decode_memory(std::uint32_t instruction) {
  if (instruction_length(instruction) == 4) {
    const auto* row = row_from(kTable, kFirst[key_of_word(instruction)], instruction);
    if (row == nullptr) return std::nullopt;
    Decoded out = row->build(instruction);
    out->name = row->name;
    return out;
  }
  const std::uint32_t half = instruction & 0xffff;
  const auto* row = row_from(kCompressed, kFirstCompressed[key_of_half(half)], half);
  if (row == nullptr) return std::nullopt;
  Decoded out = row->build(half);
  if (!out) return std::nullopt;
  out->name = row->name;
  out->length = 2;
  return out;
}

std::uint32_t transformed(const MemoryInstruction& instruction, std::uint64_t address_offset) {
  constexpr std::uint32_t kRs1 = 31u << 15;
  constexpr std::uint32_t kLoadImmediate = 0xfffu << 20;
  constexpr std::uint32_t kStoreImmediate = 0x7fu << 25 | 31u << 7;
  std::uint32_t out = instruction.word & ~kRs1;
  switch (instruction.kind) {
    case Load:
    case LoadFloat:        out &= ~kLoadImmediate; break;
    case Store:
    case StoreFloat:       out &= ~kStoreImmediate; break;
    case LoadReserved:
    case StoreConditional:
    case Amo:              break;
  }
  out |= (static_cast<std::uint32_t>(address_offset) & 31) << 15;
  return instruction.length == 2 ? out & ~2u : out;
}

std::optional<TransformedInstruction> decode_transformed(std::uint64_t htinst) {
  if (htinst >> 32 != 0 || (htinst & 1) == 0) return std::nullopt;
  const auto word = static_cast<std::uint32_t>(htinst);
  std::optional<MemoryInstruction> out = decode_memory(word | 2);
  if (!out) return std::nullopt;
  if ((word & 2) == 0) out->length = 2;
  const std::uint64_t address_offset = out->rs1;
  out->rs1 = 0;
  out->offset = 0;
  return TransformedInstruction{*out, address_offset};
}

}  // namespace retrap::riscv64
