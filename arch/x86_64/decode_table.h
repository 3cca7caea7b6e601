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

inline constexpr auto kNoExt = std::int8_t{-1};

// clang-format off
inline constexpr std::array kRows = {
    // Primary map. Rows of the ALU block: opcode bits [5:3] select the operation.
    Row{"alu E,G",  Map::Primary, 0x00, 0x00, kNoExt, Prefix::Any, Form::EG,  Size::B, Size::B, Action::AluMemory},
    Row{"alu E,G",  Map::Primary, 0x01, 0x01, kNoExt, Prefix::Any, Form::EG,  Size::V, Size::V, Action::AluMemory},
    Row{"alu G,E",  Map::Primary, 0x02, 0x02, kNoExt, Prefix::Any, Form::GE,  Size::B, Size::B, Action::AluRegister},
    Row{"alu G,E",  Map::Primary, 0x03, 0x03, kNoExt, Prefix::Any, Form::GE,  Size::V, Size::V, Action::AluRegister},
    Row{"movsxd",   Map::Primary, 0x63, 0x63, kNoExt, Prefix::Any, Form::GE,  Size::D, Size::V, Action::Load, AluOp::Add, true},
    Row{"alu E,I",  Map::Primary, 0x80, 0x80, kNoExt, Prefix::Any, Form::EIb, Size::B, Size::B, Action::AluMemory},
    Row{"alu E,I",  Map::Primary, 0x81, 0x81, kNoExt, Prefix::Any, Form::EI,  Size::V, Size::V, Action::AluMemory},
    Row{"alu E,I",  Map::Primary, 0x83, 0x83, kNoExt, Prefix::Any, Form::EIb, Size::V, Size::V, Action::AluMemory},
    Row{"test",     Map::Primary, 0x84, 0x84, kNoExt, Prefix::Any, Form::EG,  Size::B, Size::B, Action::AluMemory, AluOp::Test},
    Row{"test",     Map::Primary, 0x85, 0x85, kNoExt, Prefix::Any, Form::EG,  Size::V, Size::V, Action::AluMemory, AluOp::Test},
    Row{"xchg",     Map::Primary, 0x86, 0x86, kNoExt, Prefix::Any, Form::EG,  Size::B, Size::B, Action::Exchange},
    Row{"xchg",     Map::Primary, 0x87, 0x87, kNoExt, Prefix::Any, Form::EG,  Size::V, Size::V, Action::Exchange},
    Row{"mov",      Map::Primary, 0x88, 0x88, kNoExt, Prefix::Any, Form::EG,  Size::B, Size::B, Action::Store},
    Row{"mov",      Map::Primary, 0x89, 0x89, kNoExt, Prefix::Any, Form::EG,  Size::V, Size::V, Action::Store},
    Row{"mov",      Map::Primary, 0x8a, 0x8a, kNoExt, Prefix::Any, Form::GE,  Size::B, Size::B, Action::Load},
    Row{"mov",      Map::Primary, 0x8b, 0x8b, kNoExt, Prefix::Any, Form::GE,  Size::V, Size::V, Action::Load},
    Row{"pop",      Map::Primary, 0x8f, 0x8f, 0,      Prefix::Any, Form::E,   Size::V, Size::V, Action::Pop},
    Row{"mov",      Map::Primary, 0xa0, 0xa0, kNoExt, Prefix::Any, Form::AO,  Size::B, Size::B, Action::Load},
    Row{"mov",      Map::Primary, 0xa1, 0xa1, kNoExt, Prefix::Any, Form::AO,  Size::V, Size::V, Action::Load},
    Row{"mov",      Map::Primary, 0xa2, 0xa2, kNoExt, Prefix::Any, Form::OA,  Size::B, Size::B, Action::Store},
    Row{"mov",      Map::Primary, 0xa3, 0xa3, kNoExt, Prefix::Any, Form::OA,  Size::V, Size::V, Action::Store},
    Row{"movs",     Map::Primary, 0xa4, 0xa4, kNoExt, Prefix::Any, Form::Str, Size::B, Size::B, Action::MoveString},
    Row{"movs",     Map::Primary, 0xa5, 0xa5, kNoExt, Prefix::Any, Form::Str, Size::V, Size::V, Action::MoveString},
    Row{"cmps",     Map::Primary, 0xa6, 0xa6, kNoExt, Prefix::Any, Form::Str, Size::B, Size::B, Action::CompareString},
    Row{"cmps",     Map::Primary, 0xa7, 0xa7, kNoExt, Prefix::Any, Form::Str, Size::V, Size::V, Action::CompareString},
    Row{"stos",     Map::Primary, 0xaa, 0xaa, kNoExt, Prefix::Any, Form::Str, Size::B, Size::B, Action::StoreString},
    Row{"stos",     Map::Primary, 0xab, 0xab, kNoExt, Prefix::Any, Form::Str, Size::V, Size::V, Action::StoreString},
    Row{"lods",     Map::Primary, 0xac, 0xac, kNoExt, Prefix::Any, Form::Str, Size::B, Size::B, Action::LoadString},
    Row{"lods",     Map::Primary, 0xad, 0xad, kNoExt, Prefix::Any, Form::Str, Size::V, Size::V, Action::LoadString},
    Row{"scas",     Map::Primary, 0xae, 0xae, kNoExt, Prefix::Any, Form::Str, Size::B, Size::B, Action::ScanString},
    Row{"scas",     Map::Primary, 0xaf, 0xaf, kNoExt, Prefix::Any, Form::Str, Size::V, Size::V, Action::ScanString},
    Row{"mov",      Map::Primary, 0xc6, 0xc6, 0,      Prefix::Any, Form::EI,  Size::B, Size::B, Action::Store},
    Row{"mov",      Map::Primary, 0xc7, 0xc7, 0,      Prefix::Any, Form::EI,  Size::V, Size::V, Action::Store},
    Row{"test",     Map::Primary, 0xf6, 0xf6, 0,      Prefix::Any, Form::EI,  Size::B, Size::B, Action::AluMemory, AluOp::Test},
    Row{"test",     Map::Primary, 0xf6, 0xf6, 1,      Prefix::Any, Form::EI,  Size::B, Size::B, Action::AluMemory, AluOp::Test},
    Row{"not",      Map::Primary, 0xf6, 0xf6, 2,      Prefix::Any, Form::E,   Size::B, Size::B, Action::AluMemory, AluOp::Not},
    Row{"neg",      Map::Primary, 0xf6, 0xf6, 3,      Prefix::Any, Form::E,   Size::B, Size::B, Action::AluMemory, AluOp::Neg},
    Row{"test",     Map::Primary, 0xf7, 0xf7, 0,      Prefix::Any, Form::EI,  Size::V, Size::V, Action::AluMemory, AluOp::Test},
    Row{"test",     Map::Primary, 0xf7, 0xf7, 1,      Prefix::Any, Form::EI,  Size::V, Size::V, Action::AluMemory, AluOp::Test},
    Row{"not",      Map::Primary, 0xf7, 0xf7, 2,      Prefix::Any, Form::E,   Size::V, Size::V, Action::AluMemory, AluOp::Not},
    Row{"neg",      Map::Primary, 0xf7, 0xf7, 3,      Prefix::Any, Form::E,   Size::V, Size::V, Action::AluMemory, AluOp::Neg},
    Row{"inc",      Map::Primary, 0xfe, 0xfe, 0,      Prefix::Any, Form::E,   Size::B, Size::B, Action::AluMemory, AluOp::Inc},
    Row{"dec",      Map::Primary, 0xfe, 0xfe, 1,      Prefix::Any, Form::E,   Size::B, Size::B, Action::AluMemory, AluOp::Dec},
    Row{"inc",      Map::Primary, 0xff, 0xff, 0,      Prefix::Any, Form::E,   Size::V, Size::V, Action::AluMemory, AluOp::Inc},
    Row{"dec",      Map::Primary, 0xff, 0xff, 1,      Prefix::Any, Form::E,   Size::V, Size::V, Action::AluMemory, AluOp::Dec},
    Row{"push",     Map::Primary, 0xff, 0xff, 6,      Prefix::Any, Form::E,   Size::V, Size::V, Action::Push},
    // Secondary map, 0f.
    Row{"movups",   Map::Secondary, 0x10, 0x10, kNoExt, Prefix::None, Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movupd",   Map::Secondary, 0x10, 0x10, kNoExt, Prefix::P66,  Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movss",    Map::Secondary, 0x10, 0x10, kNoExt, Prefix::PF3,  Form::GE, Size::D, Size::X, Action::VectorLoad},
    Row{"movsd",    Map::Secondary, 0x10, 0x10, kNoExt, Prefix::PF2,  Form::GE, Size::Q, Size::X, Action::VectorLoad},
    Row{"movups",   Map::Secondary, 0x11, 0x11, kNoExt, Prefix::None, Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"movupd",   Map::Secondary, 0x11, 0x11, kNoExt, Prefix::P66,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"movss",    Map::Secondary, 0x11, 0x11, kNoExt, Prefix::PF3,  Form::EG, Size::D, Size::X, Action::VectorStore},
    Row{"movsd",    Map::Secondary, 0x11, 0x11, kNoExt, Prefix::PF2,  Form::EG, Size::Q, Size::X, Action::VectorStore},
    Row{"movlps",   Map::Secondary, 0x12, 0x12, kNoExt, Prefix::Any,  Form::GE, Size::Q, Size::X, Action::VectorLoad},
    Row{"movlps",   Map::Secondary, 0x13, 0x13, kNoExt, Prefix::Any,  Form::EG, Size::Q, Size::X, Action::VectorStore},
    Row{"movhps",   Map::Secondary, 0x16, 0x16, kNoExt, Prefix::Any,  Form::GE, Size::Q, Size::X, Action::VectorLoad},
    Row{"movhps",   Map::Secondary, 0x17, 0x17, kNoExt, Prefix::Any,  Form::EG, Size::Q, Size::X, Action::VectorStore},
    Row{"movaps",   Map::Secondary, 0x28, 0x28, kNoExt, Prefix::Any,  Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movaps",   Map::Secondary, 0x29, 0x29, kNoExt, Prefix::Any,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"movntps",  Map::Secondary, 0x2b, 0x2b, kNoExt, Prefix::Any,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"cmovcc",   Map::Secondary, 0x40, 0x4f, kNoExt, Prefix::Any,  Form::GE, Size::V, Size::V, Action::ConditionalMove},
    Row{"movd",     Map::Secondary, 0x6e, 0x6e, kNoExt, Prefix::Any,  Form::GE, Size::Y, Size::X, Action::VectorLoad},
    Row{"movq",     Map::Secondary, 0x6f, 0x6f, kNoExt, Prefix::None, Form::GE, Size::Q, Size::Q, Action::VectorLoad},
    Row{"movdqa",   Map::Secondary, 0x6f, 0x6f, kNoExt, Prefix::P66,  Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movdqu",   Map::Secondary, 0x6f, 0x6f, kNoExt, Prefix::PF3,  Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movd",     Map::Secondary, 0x7e, 0x7e, kNoExt, Prefix::None, Form::EG, Size::Y, Size::X, Action::VectorStore},
    Row{"movd",     Map::Secondary, 0x7e, 0x7e, kNoExt, Prefix::P66,  Form::EG, Size::Y, Size::X, Action::VectorStore},
    Row{"movq",     Map::Secondary, 0x7e, 0x7e, kNoExt, Prefix::PF3,  Form::GE, Size::Q, Size::X, Action::VectorLoad},
    Row{"movq",     Map::Secondary, 0x7f, 0x7f, kNoExt, Prefix::None, Form::EG, Size::Q, Size::Q, Action::VectorStore},
    Row{"movdqa",   Map::Secondary, 0x7f, 0x7f, kNoExt, Prefix::P66,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"movdqu",   Map::Secondary, 0x7f, 0x7f, kNoExt, Prefix::PF3,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"setcc",    Map::Secondary, 0x90, 0x9f, kNoExt, Prefix::Any,  Form::E,  Size::B, Size::B, Action::ConditionalSet},
    Row{"bt",       Map::Secondary, 0xa3, 0xa3, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::BitMemory, AluOp::Bt},
    Row{"bts",      Map::Secondary, 0xab, 0xab, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::BitMemory, AluOp::Bts},
    Row{"cmpxchg",  Map::Secondary, 0xb0, 0xb0, kNoExt, Prefix::Any,  Form::EG, Size::B, Size::B, Action::CompareExchange},
    Row{"cmpxchg",  Map::Secondary, 0xb1, 0xb1, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::CompareExchange},
    Row{"btr",      Map::Secondary, 0xb3, 0xb3, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::BitMemory, AluOp::Btr},
    Row{"movzx",    Map::Secondary, 0xb6, 0xb6, kNoExt, Prefix::Any,  Form::GE, Size::B, Size::V, Action::Load},
    Row{"movzx",    Map::Secondary, 0xb7, 0xb7, kNoExt, Prefix::Any,  Form::GE, Size::W, Size::V, Action::Load},
    Row{"bt",       Map::Secondary, 0xba, 0xba, 4,      Prefix::Any,  Form::EIb, Size::V, Size::V, Action::AluMemory, AluOp::Bt},
    Row{"bts",      Map::Secondary, 0xba, 0xba, 5,      Prefix::Any,  Form::EIb, Size::V, Size::V, Action::AluMemory, AluOp::Bts},
    Row{"btr",      Map::Secondary, 0xba, 0xba, 6,      Prefix::Any,  Form::EIb, Size::V, Size::V, Action::AluMemory, AluOp::Btr},
    Row{"btc",      Map::Secondary, 0xba, 0xba, 7,      Prefix::Any,  Form::EIb, Size::V, Size::V, Action::AluMemory, AluOp::Btc},
    Row{"btc",      Map::Secondary, 0xbb, 0xbb, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::BitMemory, AluOp::Btc},
    Row{"movsx",    Map::Secondary, 0xbe, 0xbe, kNoExt, Prefix::Any,  Form::GE, Size::B, Size::V, Action::Load, AluOp::Add, true},
    Row{"movsx",    Map::Secondary, 0xbf, 0xbf, kNoExt, Prefix::Any,  Form::GE, Size::W, Size::V, Action::Load, AluOp::Add, true},
    Row{"xadd",     Map::Secondary, 0xc0, 0xc0, kNoExt, Prefix::Any,  Form::EG, Size::B, Size::B, Action::ExchangeAdd},
    Row{"xadd",     Map::Secondary, 0xc1, 0xc1, kNoExt, Prefix::Any,  Form::EG, Size::V, Size::V, Action::ExchangeAdd},
    Row{"movnti",   Map::Secondary, 0xc3, 0xc3, kNoExt, Prefix::None, Form::EG, Size::Y, Size::Y, Action::Store},
    Row{"cmpxchg8b", Map::Secondary, 0xc7, 0xc7, 1,     Prefix::Any,  Form::E,  Size::Y, Size::Y, Action::CompareExchangeWide},
    Row{"movq",     Map::Secondary, 0xd6, 0xd6, kNoExt, Prefix::P66,  Form::EG, Size::Q, Size::X, Action::VectorStore},
    Row{"movntq",   Map::Secondary, 0xe7, 0xe7, kNoExt, Prefix::None, Form::EG, Size::Q, Size::Q, Action::VectorStore},
    Row{"movntdq",  Map::Secondary, 0xe7, 0xe7, kNoExt, Prefix::P66,  Form::EG, Size::X, Size::X, Action::VectorStore},
    Row{"lddqu",    Map::Secondary, 0xf0, 0xf0, kNoExt, Prefix::PF2,  Form::GE, Size::X, Size::X, Action::VectorLoad},
    // Secondary map 0f 38.
    Row{"movntdqa", Map::Secondary38, 0x2a, 0x2a, kNoExt, Prefix::P66, Form::GE, Size::X, Size::X, Action::VectorLoad},
    Row{"movbe",    Map::Secondary38, 0xf0, 0xf0, kNoExt, Prefix::Any, Form::GE, Size::V, Size::V, Action::LoadSwapped},
    Row{"movbe",    Map::Secondary38, 0xf1, 0xf1, kNoExt, Prefix::Any, Form::EG, Size::V, Size::V, Action::StoreSwapped},
};
// clang-format on

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
