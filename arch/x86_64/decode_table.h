// The opcodes that the decoder knows: AMD64 APM volume 3, tables, in their order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "arch/x86_64/decode.h"

namespace retrap::x86_64::table {

/// Opcode maps: one byte, 0f, 0f 38.
enum class Map : std::uint8_t { Primary, Secondary, Secondary38 };

/// The manual's operand-size letters: b a byte, w 16 bits, v 16, 32 or 64, y 32 or 64, then fixed.
enum class Size : std::uint8_t { B, W, D, Q, V, Y, X };  // X: 16 bytes

/// Where the operands are. E and M are the ModRM memory operand, G the register of ModRM.reg, O an
/// absolute offset, A the accumulator, I an immediate (Ib sign-extended), X and Y the strings.
enum class Form : std::uint8_t { EG, GE, EI, EIb, E, AO, OA, Str };

/// The mandatory prefix of SSE forms.
enum class Prefix : std::uint8_t { Any, None, P66, PF3, PF2 };

/// A row stands for opcodes first to last (the low bits select a condition or an ALU operation).
struct Row {
  std::string_view name;
  Map map;
  std::uint8_t first;
  std::uint8_t last;
  std::int8_t extension;  ///< ModRM.reg, or -1 where that is an operand
  Prefix prefix;
  Form form;
  Size memory;
  Size operand;
  Action action;
  AluOp alu = AluOp::Add;
  bool sign_extends = false;
};

namespace rows {
using enum Prefix;
using enum Form;
using enum Size;
using enum Action;
using enum AluOp;
inline constexpr auto k1 = Map::Primary;
inline constexpr auto k0f = Map::Secondary;
inline constexpr auto k0f38 = Map::Secondary38;
inline constexpr auto kNoExt = std::int8_t{-1};

// clang-format off
inline constexpr std::array kRows = {
    // Primary map. Rows of the ALU block: opcode bits [5:3] select the operation.
    Row{"alu E,G",   k1,    0x00, 0x00, kNoExt, Any,  EG,  B, B, AluMemory},
    Row{"alu E,G",   k1,    0x01, 0x01, kNoExt, Any,  EG,  V, V, AluMemory},
    Row{"alu G,E",   k1,    0x02, 0x02, kNoExt, Any,  GE,  B, B, AluRegister},
    Row{"alu G,E",   k1,    0x03, 0x03, kNoExt, Any,  GE,  V, V, AluRegister},
    Row{"movsxd",    k1,    0x63, 0x63, kNoExt, Any,  GE,  D, V, Load,                Add,  true},
    Row{"alu E,I",   k1,    0x80, 0x80, kNoExt, Any,  EIb, B, B, AluMemory},
    Row{"alu E,I",   k1,    0x81, 0x81, kNoExt, Any,  EI,  V, V, AluMemory},
    Row{"alu E,I",   k1,    0x83, 0x83, kNoExt, Any,  EIb, V, V, AluMemory},
    Row{"test",      k1,    0x84, 0x84, kNoExt, Any,  EG,  B, B, AluMemory,           Test},
    Row{"test",      k1,    0x85, 0x85, kNoExt, Any,  EG,  V, V, AluMemory,           Test},
    Row{"xchg",      k1,    0x86, 0x86, kNoExt, Any,  EG,  B, B, Exchange},
    Row{"xchg",      k1,    0x87, 0x87, kNoExt, Any,  EG,  V, V, Exchange},
    Row{"mov",       k1,    0x88, 0x88, kNoExt, Any,  EG,  B, B, Store},
    Row{"mov",       k1,    0x89, 0x89, kNoExt, Any,  EG,  V, V, Store},
    Row{"mov",       k1,    0x8a, 0x8a, kNoExt, Any,  GE,  B, B, Load},
    Row{"mov",       k1,    0x8b, 0x8b, kNoExt, Any,  GE,  V, V, Load},
    Row{"pop",       k1,    0x8f, 0x8f, 0,      Any,  E,   V, V, Pop},
    Row{"mov",       k1,    0xa0, 0xa0, kNoExt, Any,  AO,  B, B, Load},
    Row{"mov",       k1,    0xa1, 0xa1, kNoExt, Any,  AO,  V, V, Load},
    Row{"mov",       k1,    0xa2, 0xa2, kNoExt, Any,  OA,  B, B, Store},
    Row{"mov",       k1,    0xa3, 0xa3, kNoExt, Any,  OA,  V, V, Store},
    Row{"movs",      k1,    0xa4, 0xa4, kNoExt, Any,  Str, B, B, MoveString},
    Row{"movs",      k1,    0xa5, 0xa5, kNoExt, Any,  Str, V, V, MoveString},
    Row{"cmps",      k1,    0xa6, 0xa6, kNoExt, Any,  Str, B, B, CompareString},
    Row{"cmps",      k1,    0xa7, 0xa7, kNoExt, Any,  Str, V, V, CompareString},
    Row{"stos",      k1,    0xaa, 0xaa, kNoExt, Any,  Str, B, B, StoreString},
    Row{"stos",      k1,    0xab, 0xab, kNoExt, Any,  Str, V, V, StoreString},
    Row{"lods",      k1,    0xac, 0xac, kNoExt, Any,  Str, B, B, LoadString},
    Row{"lods",      k1,    0xad, 0xad, kNoExt, Any,  Str, V, V, LoadString},
    Row{"scas",      k1,    0xae, 0xae, kNoExt, Any,  Str, B, B, ScanString},
    Row{"scas",      k1,    0xaf, 0xaf, kNoExt, Any,  Str, V, V, ScanString},
    Row{"mov",       k1,    0xc6, 0xc6, 0,      Any,  EI,  B, B, Store},
    Row{"mov",       k1,    0xc7, 0xc7, 0,      Any,  EI,  V, V, Store},
    Row{"test",      k1,    0xf6, 0xf6, 0,      Any,  EI,  B, B, AluMemory,           Test},
    Row{"test",      k1,    0xf6, 0xf6, 1,      Any,  EI,  B, B, AluMemory,           Test},
    Row{"not",       k1,    0xf6, 0xf6, 2,      Any,  E,   B, B, AluMemory,           Not},
    Row{"neg",       k1,    0xf6, 0xf6, 3,      Any,  E,   B, B, AluMemory,           Neg},
    Row{"test",      k1,    0xf7, 0xf7, 0,      Any,  EI,  V, V, AluMemory,           Test},
    Row{"test",      k1,    0xf7, 0xf7, 1,      Any,  EI,  V, V, AluMemory,           Test},
    Row{"not",       k1,    0xf7, 0xf7, 2,      Any,  E,   V, V, AluMemory,           Not},
    Row{"neg",       k1,    0xf7, 0xf7, 3,      Any,  E,   V, V, AluMemory,           Neg},
    Row{"inc",       k1,    0xfe, 0xfe, 0,      Any,  E,   B, B, AluMemory,           Inc},
    Row{"dec",       k1,    0xfe, 0xfe, 1,      Any,  E,   B, B, AluMemory,           Dec},
    Row{"inc",       k1,    0xff, 0xff, 0,      Any,  E,   V, V, AluMemory,           Inc},
    Row{"dec",       k1,    0xff, 0xff, 1,      Any,  E,   V, V, AluMemory,           Dec},
    Row{"push",      k1,    0xff, 0xff, 6,      Any,  E,   V, V, Push},
    // Secondary map, 0f.
    Row{"movups",    k0f,   0x10, 0x10, kNoExt, None, GE,  X, X, VectorLoad},
    Row{"movupd",    k0f,   0x10, 0x10, kNoExt, P66,  GE,  X, X, VectorLoad},
    Row{"movss",     k0f,   0x10, 0x10, kNoExt, PF3,  GE,  D, X, VectorLoad},
    Row{"movsd",     k0f,   0x10, 0x10, kNoExt, PF2,  GE,  Q, X, VectorLoad},
    Row{"movups",    k0f,   0x11, 0x11, kNoExt, None, EG,  X, X, VectorStore},
    Row{"movupd",    k0f,   0x11, 0x11, kNoExt, P66,  EG,  X, X, VectorStore},
    Row{"movss",     k0f,   0x11, 0x11, kNoExt, PF3,  EG,  D, X, VectorStore},
    Row{"movsd",     k0f,   0x11, 0x11, kNoExt, PF2,  EG,  Q, X, VectorStore},
    Row{"movlps",    k0f,   0x12, 0x12, kNoExt, Any,  GE,  Q, X, VectorLoad},
    Row{"movlps",    k0f,   0x13, 0x13, kNoExt, Any,  EG,  Q, X, VectorStore},
    Row{"movhps",    k0f,   0x16, 0x16, kNoExt, Any,  GE,  Q, X, VectorLoad},
    Row{"movhps",    k0f,   0x17, 0x17, kNoExt, Any,  EG,  Q, X, VectorStore},
    Row{"movaps",    k0f,   0x28, 0x28, kNoExt, Any,  GE,  X, X, VectorLoad},
    Row{"movaps",    k0f,   0x29, 0x29, kNoExt, Any,  EG,  X, X, VectorStore},
    Row{"movntps",   k0f,   0x2b, 0x2b, kNoExt, Any,  EG,  X, X, VectorStore},
    Row{"cmovcc",    k0f,   0x40, 0x4f, kNoExt, Any,  GE,  V, V, ConditionalMove},
    Row{"movd",      k0f,   0x6e, 0x6e, kNoExt, Any,  GE,  Y, X, VectorLoad},
    Row{"movq",      k0f,   0x6f, 0x6f, kNoExt, None, GE,  Q, Q, VectorLoad},
    Row{"movdqa",    k0f,   0x6f, 0x6f, kNoExt, P66,  GE,  X, X, VectorLoad},
    Row{"movdqu",    k0f,   0x6f, 0x6f, kNoExt, PF3,  GE,  X, X, VectorLoad},
    Row{"movd",      k0f,   0x7e, 0x7e, kNoExt, None, EG,  Y, X, VectorStore},
    Row{"movd",      k0f,   0x7e, 0x7e, kNoExt, P66,  EG,  Y, X, VectorStore},
    Row{"movq",      k0f,   0x7e, 0x7e, kNoExt, PF3,  GE,  Q, X, VectorLoad},
    Row{"movq",      k0f,   0x7f, 0x7f, kNoExt, None, EG,  Q, Q, VectorStore},
    Row{"movdqa",    k0f,   0x7f, 0x7f, kNoExt, P66,  EG,  X, X, VectorStore},
    Row{"movdqu",    k0f,   0x7f, 0x7f, kNoExt, PF3,  EG,  X, X, VectorStore},
    Row{"setcc",     k0f,   0x90, 0x9f, kNoExt, Any,  E,   B, B, ConditionalSet},
    Row{"bt",        k0f,   0xa3, 0xa3, kNoExt, Any,  EG,  V, V, BitMemory,           Bt},
    Row{"bts",       k0f,   0xab, 0xab, kNoExt, Any,  EG,  V, V, BitMemory,           Bts},
    Row{"cmpxchg",   k0f,   0xb0, 0xb0, kNoExt, Any,  EG,  B, B, CompareExchange},
    Row{"cmpxchg",   k0f,   0xb1, 0xb1, kNoExt, Any,  EG,  V, V, CompareExchange},
    Row{"btr",       k0f,   0xb3, 0xb3, kNoExt, Any,  EG,  V, V, BitMemory,           Btr},
    Row{"movzx",     k0f,   0xb6, 0xb6, kNoExt, Any,  GE,  B, V, Load},
    Row{"movzx",     k0f,   0xb7, 0xb7, kNoExt, Any,  GE,  W, V, Load},
    Row{"bt",        k0f,   0xba, 0xba, 4,      Any,  EIb, V, V, AluMemory,           Bt},
    Row{"bts",       k0f,   0xba, 0xba, 5,      Any,  EIb, V, V, AluMemory,           Bts},
    Row{"btr",       k0f,   0xba, 0xba, 6,      Any,  EIb, V, V, AluMemory,           Btr},
    Row{"btc",       k0f,   0xba, 0xba, 7,      Any,  EIb, V, V, AluMemory,           Btc},
    Row{"btc",       k0f,   0xbb, 0xbb, kNoExt, Any,  EG,  V, V, BitMemory,           Btc},
    Row{"movsx",     k0f,   0xbe, 0xbe, kNoExt, Any,  GE,  B, V, Load,                Add,  true},
    Row{"movsx",     k0f,   0xbf, 0xbf, kNoExt, Any,  GE,  W, V, Load,                Add,  true},
    Row{"xadd",      k0f,   0xc0, 0xc0, kNoExt, Any,  EG,  B, B, ExchangeAdd},
    Row{"xadd",      k0f,   0xc1, 0xc1, kNoExt, Any,  EG,  V, V, ExchangeAdd},
    Row{"movnti",    k0f,   0xc3, 0xc3, kNoExt, None, EG,  Y, Y, Store},
    Row{"cmpxchg8b", k0f,   0xc7, 0xc7, 1,      Any,  E,   Y, Y, CompareExchangeWide},
    Row{"movq",      k0f,   0xd6, 0xd6, kNoExt, P66,  EG,  Q, X, VectorStore},
    Row{"movntq",    k0f,   0xe7, 0xe7, kNoExt, None, EG,  Q, Q, VectorStore},
    Row{"movntdq",   k0f,   0xe7, 0xe7, kNoExt, P66,  EG,  X, X, VectorStore},
    Row{"lddqu",     k0f,   0xf0, 0xf0, kNoExt, PF2,  GE,  X, X, VectorLoad},
    // Secondary map 0f 38.
    Row{"movntdqa",  k0f38, 0x2a, 0x2a, kNoExt, P66,  GE,  X, X, VectorLoad},
    Row{"movbe",     k0f38, 0xf0, 0xf0, kNoExt, Any,  GE,  V, V, LoadSwapped},
    Row{"movbe",     k0f38, 0xf1, 0xf1, kNoExt, Any,  EG,  V, V, StoreSwapped},
};
// clang-format on
}  // namespace rows
using rows::kRows;

/// Whether opcode `byte` belongs to the row. The ALU block repeats every eight opcodes to 0x3f.
[[nodiscard]] constexpr bool has_opcode(const Row& row, Map map, std::uint8_t byte) {
  if (row.map != map) return false;
  if (map == Map::Primary && row.last < 4 && byte < 0x40) return (byte & 7) == row.first;
  return byte >= row.first && byte <= row.last;
}

/// No two rows take the same opcode, extension and prefix.
[[nodiscard]] consteval bool is_unambiguous() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    for (std::size_t j = i + 1; j < kRows.size(); ++j) {
      const Row& a = kRows[i];
      const Row& b = kRows[j];
      const bool share = a.map == b.map && a.first <= b.last && b.first <= a.last;
      const bool extensions = a.extension < 0 || b.extension < 0 || a.extension == b.extension;
      const bool prefixes =
          a.prefix == Prefix::Any || b.prefix == Prefix::Any || a.prefix == b.prefix;
      if (share && extensions && prefixes) return false;
    }
  }
  return true;
}
static_assert(is_unambiguous(), "an opcode means one thing");

/// For each opcode of each map the first row that may take it, or kNoRow.
inline constexpr std::uint8_t kNoRow = 0xff;
static_assert(kRows.size() < kNoRow);
using FirstRows = std::array<std::array<std::uint8_t, 256>, 3>;
[[nodiscard]] consteval FirstRows make_first_rows() {
  FirstRows first{};
  for (auto& map : first) map.fill(kNoRow);
  for (std::size_t i = kRows.size(); i-- > 0;) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const Map map = kRows[i].map;
      if (!has_opcode(kRows[i], map, static_cast<std::uint8_t>(byte))) continue;
      first[static_cast<std::size_t>(map)][byte] = static_cast<std::uint8_t>(i);
    }
  }
  return first;
}
inline constexpr FirstRows kFirstRows = make_first_rows();

}  // namespace retrap::x86_64::table
