// Instruction bytes, each with its assembly, taken apart.
#include "arch/x86_64/decode.h"

#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "arch/x86_64/decode_table.h"
#include "vmm/base/prng.h"

namespace retrap::x86_64 {

void PrintTo(const Instruction& in, std::ostream* out) {
  *out << "action " << static_cast<int>(in.action) << " alu " << static_cast<int>(in.alu)
       << " length " << int{in.length} << " bytes " << int{in.bytes} << '/' << int{in.operand_bytes}
       << " address " << int{in.address_bytes} << " reg " << int{in.reg} << " imm " << std::hex
       << in.immediate << " base " << int{in.memory.base} << " index " << int{in.memory.index}
       << '*' << int{in.memory.scale} << " disp " << in.memory.displacement << " segment "
       << static_cast<int>(in.memory.segment);
}

namespace {

using Code = std::vector<std::uint8_t>;

struct Expected {
  const char* text;
  Code code;
  unsigned mode;
  Action action;
  unsigned bytes, operand_bytes;
  unsigned reg;
  MemoryOperand memory;
};

MemoryOperand at(std::uint8_t base, std::uint64_t displacement = 0,
                 SegmentName segment = SegmentName::Ds) {
  return {.segment = segment, .base = base, .displacement = displacement};
}

TEST(Decode, ReadsTheFormsOfMov) {
  const Expected rows[] = {
      {"mov eax, [rbx]", {0x8b, 0x03}, 8, Action::Load, 4, 4, 0, at(3)},
      {"mov rax, [rbx]", {0x48, 0x8b, 0x03}, 8, Action::Load, 8, 8, 0, at(3)},
      {"mov r9w, [r12]", {0x66, 0x45, 0x8b, 0x0c, 0x24}, 8, Action::Load, 2, 2, 9, at(12)},
      {"mov [rbp - 8], cl",
       {0x88, 0x4d, 0xf8},
       8,
       Action::Store,
       1,
       1,
       1,
       at(5, ~std::uint64_t{7}, SegmentName::Ss)},
      {"mov ax, [bx + si + 4]",
       {0x8b, 0x40, 0x04},
       2,
       Action::Load,
       2,
       2,
       0,
       {.base = 3, .index = 6, .displacement = 4}},
      {"mov eax, [bp + di]",
       {0x66, 0x8b, 0x03},
       2,
       Action::Load,
       4,
       4,
       0,
       {.segment = SegmentName::Ss, .base = 5, .index = 7}},
      {"mov eax, [0x1234] (16 bit)",
       {0x66, 0x8b, 0x06, 0x34, 0x12},
       2,
       Action::Load,
       4,
       4,
       0,
       {.displacement = 0x1234}},
      {"mov eax, [bx + 0x1234]",
       {0x66, 0x8b, 0x87, 0x34, 0x12},
       2,
       Action::Load,
       4,
       4,
       0,
       at(3, 0x1234)},
      {"mov eax, [ebx + ecx*4 + 0x10]",
       {0x8b, 0x44, 0x8b, 0x10},
       4,
       Action::Load,
       4,
       4,
       0,
       {.base = 3, .index = 1, .scale = 2, .displacement = 0x10}},
      {"mov eax, [rip + 0x10]",
       {0x8b, 0x05, 0x10, 0, 0, 0},
       8,
       Action::Load,
       4,
       4,
       0,
       {.rip_relative = true, .displacement = 0x10}},
      {"mov eax, [0xfee00020]",
       {0x8b, 0x04, 0x25, 0x20, 0, 0xe0, 0xfe},
       8,
       Action::Load,
       4,
       4,
       0,
       {.displacement = 0xffff'ffff'fee0'0020}},
      {"mov eax, [r13 + r12*8]",
       {0x43, 0x8b, 0x44, 0xe5, 0},
       8,
       Action::Load,
       4,
       4,
       0,
       {.base = 13, .index = 12, .scale = 3}},
      {"mov eax, gs:[rsp]",
       {0x65, 0x8b, 0x04, 0x24},
       8,
       Action::Load,
       4,
       4,
       0,
       at(4, 0, SegmentName::Gs)},
      {"mov al, [0x1122334455667788]",
       {0xa0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11},
       8,
       Action::Load,
       1,
       1,
       0,
       {.displacement = 0x1122'3344'5566'7788}},
      {"mov eax, [0xfee00020] (moffs)",
       {0xa1, 0x20, 0, 0xe0, 0xfe},
       4,
       Action::Load,
       4,
       4,
       0,
       {.displacement = 0xfee0'0020}},
      {"mov [0x1000], ax (moffs)",
       {0x66, 0xa3, 0, 0x10, 0, 0},
       4,
       Action::Store,
       2,
       2,
       0,
       {.displacement = 0x1000}},
      {"movzx eax, byte [rcx]", {0x0f, 0xb6, 0x01}, 8, Action::Load, 1, 4, 0, at(1)},
      {"movzx rax, word [rcx]", {0x48, 0x0f, 0xb7, 0x01}, 8, Action::Load, 2, 8, 0, at(1)},
      {"movsx rdx, byte [rcx]", {0x48, 0x0f, 0xbe, 0x11}, 8, Action::Load, 1, 8, 2, at(1)},
      {"movsxd rdx, dword [rcx]", {0x48, 0x63, 0x11}, 8, Action::Load, 4, 8, 2, at(1)},
      {"movbe eax, [rbx]", {0x0f, 0x38, 0xf0, 0x03}, 8, Action::LoadSwapped, 4, 4, 0, at(3)},
      {"movnti [rbx], rax", {0x48, 0x0f, 0xc3, 0x03}, 8, Action::Store, 8, 8, 0, at(3)},
      {"cmovne eax, [rbx]", {0x0f, 0x45, 0x03}, 8, Action::ConditionalMove, 4, 4, 0, at(3)},
      {"sete [rbx]", {0x0f, 0x94, 0x03}, 8, Action::ConditionalSet, 1, 1, 0, at(3)},
      {"push [rbx]", {0xff, 0x33}, 8, Action::Push, 8, 8, 6, at(3)},
      {"pop [rbx]", {0x8f, 0x03}, 8, Action::Pop, 8, 8, 0, at(3)},
      {"push word [rbx]", {0x66, 0xff, 0x33}, 8, Action::Push, 2, 2, 6, at(3)},
      {"cmpxchg8b [rbx]", {0x0f, 0xc7, 0x0b}, 8, Action::CompareExchangeWide, 8, 4, 1, at(3)},
      {"cmpxchg16b [rbx]",
       {0x48, 0x0f, 0xc7, 0x0b},
       8,
       Action::CompareExchangeWide,
       16,
       8,
       1,
       at(3)},
      {"movups xmm1, [rbx]", {0x0f, 0x10, 0x0b}, 8, Action::VectorLoad, 16, 16, 1, at(3)},
      {"movaps [rbx], xmm9", {0x44, 0x0f, 0x29, 0x0b}, 8, Action::VectorStore, 16, 16, 9, at(3)},
      {"movdqu xmm0, [rbx]", {0xf3, 0x0f, 0x6f, 0x03}, 8, Action::VectorLoad, 16, 16, 0, at(3)},
      {"movdqa [rbx], xmm0", {0x66, 0x0f, 0x7f, 0x03}, 8, Action::VectorStore, 16, 16, 0, at(3)},
      {"movd xmm0, [rbx]", {0x66, 0x0f, 0x6e, 0x03}, 8, Action::VectorLoad, 4, 16, 0, at(3)},
      {"movq xmm0, [rbx]", {0xf3, 0x0f, 0x7e, 0x03}, 8, Action::VectorLoad, 8, 16, 0, at(3)},
      {"movq [rbx], xmm0", {0x66, 0x0f, 0xd6, 0x03}, 8, Action::VectorStore, 8, 16, 0, at(3)},
      {"movss xmm0, [rbx]", {0xf3, 0x0f, 0x10, 0x03}, 8, Action::VectorLoad, 4, 16, 0, at(3)},
      {"movsd [rbx], xmm0", {0xf2, 0x0f, 0x11, 0x03}, 8, Action::VectorStore, 8, 16, 0, at(3)},
  };
  for (const Expected& row : rows) {
    const auto in = decode(row.code, row.mode);

    ASSERT_TRUE(in) << row.text;
    EXPECT_EQ(in->action, row.action) << row.text;
    EXPECT_EQ(in->length, row.code.size()) << row.text;
    EXPECT_EQ(in->bytes, row.bytes) << row.text;
    EXPECT_EQ(in->operand_bytes, row.operand_bytes) << row.text;
    EXPECT_EQ(in->reg, row.reg) << row.text;
    EXPECT_EQ(in->memory, row.memory) << row.text << ": " << testing::PrintToString(*in);
  }
}

TEST(Decode, ReadsImmediatesSignExtended) {
  // mov dword [rbx], 0x80000000; mov qword [rbx], -1; mov byte [rbx], 0x7f; mov word [rbx], 0x1234
  EXPECT_EQ(decode(Code{0xc7, 0x03, 0, 0, 0, 0x80}, 8)->immediate, 0xffff'ffff'8000'0000u);
  EXPECT_EQ(decode(Code{0x48, 0xc7, 0x03, 0xff, 0xff, 0xff, 0xff}, 8)->immediate,
            ~std::uint64_t{0});
  EXPECT_EQ(decode(Code{0xc6, 0x03, 0x7f}, 8)->immediate, 0x7fu);
  EXPECT_EQ(decode(Code{0x66, 0xc7, 0x03, 0x34, 0x12}, 8)->immediate, 0x1234u);
  // or dword [rbx], -2 (group 1, 83)
  const auto group = decode(Code{0x83, 0x0b, 0xfe}, 8);
  EXPECT_EQ(group->alu, AluOp::Or);
  EXPECT_EQ(group->immediate, ~std::uint64_t{1});
  // bts dword [rbx], 5
  const auto bts = decode(Code{0x0f, 0xba, 0x2b, 5}, 8);
  EXPECT_EQ(bts->alu, AluOp::Bts);
  EXPECT_EQ(bts->immediate, 5u);
}

TEST(Decode, FindsEveryAluOperationInItsThreePlaces) {
  for (std::uint8_t op = 0; op < 8; ++op) {
    const auto opcode = static_cast<std::uint8_t>(op << 3);
    const auto modrm = static_cast<std::uint8_t>(op << 3 | 3);
    const auto to_memory = decode(Code{static_cast<std::uint8_t>(opcode | 1), 0x03}, 8);
    const auto to_register = decode(Code{static_cast<std::uint8_t>(opcode | 3), 0x03}, 8);
    const auto immediate = decode(Code{0x81, modrm, 1, 0, 0, 0}, 8);

    EXPECT_EQ(to_memory->action, Action::AluMemory);
    EXPECT_EQ(to_register->action, Action::AluRegister);
    EXPECT_EQ(immediate->action, Action::AluMemory);
    for (const auto& in : {to_memory, to_register, immediate}) {
      EXPECT_EQ(static_cast<std::uint8_t>(in->alu), op);
    }
  }
}

TEST(Decode, ReadsStringsWithTheirRepeats) {
  const auto movs = decode(Code{0xf3, 0xa5}, 8);  // rep movsd
  EXPECT_EQ(movs->action, Action::MoveString);
  EXPECT_EQ(movs->repeat, Repeat::WhileEqual);
  const auto scas = decode(Code{0xf2, 0x48, 0xaf}, 8);  // repne scasq
  EXPECT_EQ(scas->repeat, Repeat::WhileNotEqual);
  EXPECT_EQ(scas->bytes, 8);
  const auto stos = decode(Code{0x67, 0xaa}, 8);  // stosb with 32-bit addresses
  EXPECT_EQ(stos->address_bytes, 4);
  const auto lods = decode(Code{0x64, 0xac}, 8);  // lodsb from FS
  EXPECT_EQ(lods->memory.segment, SegmentName::Fs);
  EXPECT_EQ(decode(Code{0xf3, 0x8b, 0x03}, 8)->repeat, Repeat::None) << "no string, no repeat";
}

TEST(Decode, TakesLockOnlyWhereTheManualDoes) {
  EXPECT_TRUE(decode(Code{0xf0, 0x01, 0x03}, 8)) << "lock add [rbx], eax";
  EXPECT_TRUE(decode(Code{0xf0, 0x0f, 0xb1, 0x0b}, 8)) << "lock cmpxchg [rbx], ecx";
  EXPECT_TRUE(decode(Code{0xf0, 0x0f, 0xc1, 0x0b}, 8)) << "lock xadd [rbx], ecx";
  EXPECT_FALSE(decode(Code{0xf0, 0x8b, 0x03}, 8)) << "lock mov";
  EXPECT_FALSE(decode(Code{0xf0, 0x39, 0x03}, 8)) << "lock cmp";
  EXPECT_FALSE(decode(Code{0xf0, 0x03, 0x03}, 8)) << "lock add eax, [rbx]";
}

TEST(Decode, SaysNothingToWhatItDoesNotKnow) {
  EXPECT_FALSE(decode(Code{}, 8));
  EXPECT_FALSE(decode(Code{0x8b}, 8)) << "cut short";
  EXPECT_FALSE(decode(Code{0x8b, 0x04}, 8)) << "SIB cut off";
  EXPECT_FALSE(decode(Code{0xc7, 0x03, 0}, 8)) << "immediate cut off";
  EXPECT_FALSE(decode(Code{0x89, 0xc0}, 8)) << "register form";
  EXPECT_FALSE(decode(Code{0x90}, 8)) << "nop";
  EXPECT_FALSE(decode(Code{0xd3, 0x23}, 8)) << "shl [rbx], cl";
  EXPECT_FALSE(decode(Code{0x63, 0x03}, 4)) << "arpl";
  EXPECT_FALSE(decode(Code{0x66, 0x66, 0x66, 0x66}, 8)) << "only prefixes";
  EXPECT_FALSE(decode(Code(16, 0x66), 8)) << "longer than 15 bytes";
}

TEST(Decode, CountsTheBytesOfHighRegistersByRex) {
  EXPECT_FALSE(decode(Code{0x88, 0x23}, 8)->has_rex) << "mov [rbx], ah";
  EXPECT_TRUE(decode(Code{0x40, 0x88, 0x23}, 8)->has_rex) << "mov [rbx], spl";
}

/// Capstone on one instruction: its length, or 0.
class Disassembler {
 public:
  explicit Disassembler(unsigned mode) {
    const cs_mode bits = mode == 8 ? CS_MODE_64 : mode == 4 ? CS_MODE_32 : CS_MODE_16;
    EXPECT_EQ(cs_open(CS_ARCH_X86, bits, &handle_), CS_ERR_OK);
  }
  Disassembler(const Disassembler&) = delete;
  Disassembler& operator=(const Disassembler&) = delete;
  ~Disassembler() { cs_close(&handle_); }

  struct Answer {
    std::size_t length = 0;
    std::string text;
  };
  [[nodiscard]] Answer look(const Code& code) const {
    cs_insn* found = nullptr;
    if (cs_disasm(handle_, code.data(), code.size(), 0, 1, &found) == 0) return {};
    const Answer answer{found->size, std::string(found->mnemonic) + " " + found->op_str};
    cs_free(found, 1);
    return answer;
  }

 private:
  csh handle_{};
};

TEST(Decode, AgreesWithCapstoneOnTheLengthOfRandomInstructions) {
  Prng prng(7);
  for (const unsigned mode : {8U, 4U, 2U}) {
    const Disassembler capstone(mode);
    unsigned both = 0;
    for (unsigned round = 0; round < 60'000; ++round) {
      Code code(15);
      for (auto& byte : code) byte = static_cast<std::uint8_t>(prng.next());
      // Every other one begins with an opcode of ours.
      if (round % 2 == 0) {
        const auto& row = table::kRows[prng.next() % table::kRows.size()];
        std::size_t i = 0;
        if (row.map != table::Map::Primary) code[i++] = 0x0f;
        if (row.map == table::Map::Secondary38) code[i++] = 0x38;
        code[i] = row.first;
      }
      const auto in = decode(code, mode);
      if (!in) continue;
      const auto theirs = capstone.look(code);
      // Capstone refuses some prefixes (LOCK where it has none, F2/F3 with SSE) that are only odd.
      if (theirs.length == 0) continue;
      ++both;
      ASSERT_EQ(in->length, theirs.length)
          << theirs.text << ' ' << testing::PrintToString(code) << " mode " << mode;
    }
    EXPECT_GT(both, 10'000u);
  }
}

}  // namespace
}  // namespace retrap::x86_64
