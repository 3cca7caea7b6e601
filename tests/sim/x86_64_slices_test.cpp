// The same code in one go and in slices of one instruction: registers, memory, time are equal.
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kCarryFlag = 1, kResumeFlag = 1U << 16;

struct CodeCase {
  std::string name;
  std::vector<std::uint8_t> bytes;  ///< rax points to data, rbx nowhere
  std::uint64_t instructions;
  friend void PrintTo(const CodeCase& c, std::ostream* out) { *out << c.name; }
};

/// Vector 14 and 6 halt. The frame is on the stack then.
void prepare(CpuRig& rig, const std::vector<std::uint8_t>& bytes) {
  rig.gate(6);
  rig.gate(14);
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000 + 0x3000 + 128 * 8, 0);  // kNowhere
  std::uint64_t at = CpuRig::kCode;
  for (const std::uint8_t byte : bytes) rig.store(at++, byte);
  rig.cpu().set_gpr(Gpr::Rax, CpuRig::kData);
  rig.cpu().set_gpr(Gpr::Rbx, CpuRig::kNowhere);
}

class SomeCode : public testing::TestWithParam<CodeCase> {};

TEST_P(SomeCode, IsTheSameInSlicesOfOne) {
  CpuRig whole;
  CpuRig sliced;
  for (CpuRig* const rig : {&whole, &sliced}) {
    prepare(*rig, GetParam().bytes);
    ASSERT_EQ(rig->run(1000, rig == &whole ? ~std::uint64_t{0} : 1).code, SvmExit::Hlt);
    EXPECT_EQ(rig->clock.retired(), GetParam().instructions);
  }

  EXPECT_EQ(sliced.digest(), whole.digest());
}

std::vector<CodeCase> code_cases() {
  return {
      // add bl, 0x7f; rcl byte [rbx], 3
      {"RotateThroughCarryThatFaults", {0x80, 0xc1, 0x7f, 0xc0, 0x13, 0x03}, 1},
      // stc; rcl dword [rax], 4; rcr word [rax], cl; hlt
      {"RotateThroughCarry", {0xf9, 0xc1, 0x10, 0x04, 0x66, 0xd3, 0x18, 0xf4}, 3},
      // mov ecx, 2; 1: cmp eax, ecx; loopne 1b; nop; hlt: the flags are of the comparison
      {"ALoopneWhoseCountEnds", {0xb9, 2, 0, 0, 0, 0x39, 0xc8, 0xe0, 0xfc, 0x90, 0xf4}, 6},
      // mov ecx, 2; 1: cmp cl, cl; addr32 loope 1b, taken once; hlt
      {"ALoopeWithAnEqualComparison", {0xb9, 2, 0, 0, 0, 0x38, 0xc9, 0x67, 0xe1, 0xfb, 0xf4}, 5},
      // mov ecx, 5; cmp cl, cl; loopne to nowhere is not taken; hlt
      {"ALoopneThatIsEqual", {0xb9, 5, 0, 0, 0, 0x38, 0xc9, 0xe0, 0x70, 0xf4}, 3},
      // mov rax, 0x1'0010'0016; push 0x2b; push 0x80000; push 0x23; push rax; retfq to 32-bit code,
      // where RIP has 32 bits: nop; ud2
      {"AFarReturnTo32BitCodeBeyond4GiB",
       {0x48, 0xb8, 0x16, 0, 0x10, 0,    1,    0,    0,    0,    0x6a, 0x2b, 0x68,
        0,    0,    0x08, 0, 0x6a, 0x23, 0x50, 0x48, 0xcb, 0x90, 0x0f, 0x0b},
       7},
      // mov bx, 0x1234 with a REX prefix in front of 66; hlt
      {"RexInFrontOfAnotherPrefix", {0x48, 0x66, 0xbb, 0x34, 0x12, 0x90, 0xf4}, 2},
      // mov byte [rip - 1], 0x55: the byte that it hits is its own immediate; hlt
      {"AStoreIntoItself", {0x90, 0xc6, 0x05, 0xff, 0xff, 0xff, 0xff, 0x55, 0xf4}, 2},
      // jmp into a page that cannot be fetched, in the shadow of sti: push rbx; sti; ret
      {"AJumpToNowhereBehindSti", {0x53, 0xfb, 0xc3}, 3},
  };
}
INSTANTIATE_TEST_SUITE_P(Slices, SomeCode, testing::ValuesIn(code_cases()),
                         [](const auto& row) { return row.param.name; });

TEST(AnOverflow, RetiresWhatIsInFrontOfIntoAndNothingBehind) {
  std::uint64_t digests[2] = {};
  for (const bool sliced : {false, true}) {
    CpuRig rig;
    // mov eax, 0x7fffffff; add eax, 1; into; nop; nop; hlt
    prepare(rig, {0xb8, 0xff, 0xff, 0xff, 0x7f, 0x83, 0xc0, 0x01, 0xce, 0x90, 0x90, 0xf4});
    rig.gate(4);
    CpuState state = CpuRig::long_mode();
    state.segment(SegmentName::Cs).attributes = 0xc9b;  // 32-bit code
    rig.cpu().set_state(state);

    ASSERT_EQ(rig.run(1000, sliced ? 1 : ~std::uint64_t{0}).code, SvmExit::Hlt);
    EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(4));
    EXPECT_EQ(rig.clock.retired(), 3u);
    digests[sliced ? 1 : 0] = rig.digest();
  }
  EXPECT_EQ(digests[0], digests[1]);
}

struct FlagsCase {
  std::string name;
  std::vector<std::uint8_t> before;
};

/// SETcc for each of the sixteen conditions behind instructions that leave flags in several ways.
class ASetccThatFaults : public testing::TestWithParam<std::tuple<FlagsCase, int>> {};

TEST_P(ASetccThatFaults, LeavesTheFlagsAlone) {
  const auto& [flags, condition] = GetParam();
  std::vector<std::uint8_t> code = flags.before;
  for (const int byte : {0x0f, 0x90 + condition, 0x03}) {  // setcc [rbx]
    code.push_back(static_cast<std::uint8_t>(byte));
  }
  std::uint64_t seen[2] = {};
  for (const bool sliced : {false, true}) {
    CpuRig rig;
    prepare(rig, code);
    rig.cpu().set_gpr(Gpr::Rdx, 0x8000'0001);

    ASSERT_EQ(rig.run(1000, sliced ? 1 : ~std::uint64_t{0}).code, SvmExit::Hlt);

    EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(14));
    seen[sliced ? 1 : 0] = rig.load(rig.cpu().gpr(Gpr::Rsp) + 24);
  }
  EXPECT_EQ(seen[0], seen[1]);
}

std::vector<FlagsCase> flags_cases() {
  return {
      {"Add", {0x01, 0xd2}},                          // add edx, edx
      {"AddMov", {0x01, 0xd2, 0x89, 0xc1}},           // add edx, edx; mov ecx, eax
      {"Compare", {0x83, 0xfa, 0x01}},                // cmp edx, 1
      {"Logic", {0x21, 0xd2}},                        // and edx, edx
      {"Increment", {0xf9, 0xff, 0xc2}},              // stc; inc edx
      {"ShiftByCl", {0x83, 0xfa, 1, 0xd3, 0xe2}},     // cmp edx, 1; shl edx, cl
      {"NextBlock", {0x83, 0xfa, 0x01, 0xeb, 0x00}},  // cmp edx, 1; jmp
      {"NextBlockMov", {0x01, 0xd2, 0xeb, 0x00, 0x89, 0xc1}},
      {"SetAgain", {0x83, 0xfa, 0x01, 0x0f, 0x9f, 0xc1}},  // cmp edx, 1; setg cl
      {"Multiply", {0x0f, 0xaf, 0xd2}},                    // imul edx, edx
  };
}
INSTANTIATE_TEST_SUITE_P(Flags, ASetccThatFaults,
                         testing::Combine(testing::ValuesIn(flags_cases()), testing::Range(0, 16)),
                         [](const auto& row) {
                           return std::get<0>(row.param).name +
                                  std::to_string(std::get<1>(row.param));
                         });

TEST(TheResumeFlag, EndsWithTheFirstInstruction) {
  // iretq to: nop; ud2
  for (const std::uint64_t slice : {~std::uint64_t{0}, std::uint64_t{1}}) {
    CpuRig rig;
    prepare(rig, {0x48, 0xcf, 0x90, 0xeb, 0x00, 0x0f, 0x0b});
    const std::uint64_t frame[] = {CpuRig::kCode + 2, 0x10, 2 | kResumeFlag, CpuRig::kStack, 0x18};
    for (std::size_t i = 0; i < 5; ++i) rig.store(CpuRig::kStack - 40 + i * 8, frame[i]);
    rig.cpu().set_gpr(Gpr::Rsp, CpuRig::kStack - 40);

    ASSERT_EQ(rig.run(1000, slice).code, SvmExit::Hlt);

    EXPECT_EQ(rig.load(rig.cpu().gpr(Gpr::Rsp)), CpuRig::kCode + 5);
    EXPECT_EQ(rig.load(rig.cpu().gpr(Gpr::Rsp) + 16) & kResumeFlag, 0u);
    EXPECT_EQ(rig.clock.retired(), 3u);
  }
}

struct RotateCase {
  std::vector<std::uint8_t> bytes;  ///< ... [rax]
  std::uint64_t before;
  bool carry_in;
  std::uint64_t after;
  bool carry_out;
};

TEST(ARotationThroughCarry, InMemoryTurnsAllBitsAndTheCarry) {
  const RotateCase rows[] = {
      {{0xd0, 0x10}, 0x81, false, 0x02, true},                       // rcl byte, 1
      {{0xd0, 0x18}, 0x80, true, 0xc0, false},                       // rcr byte, 1
      {{0xc0, 0x10, 0x09}, 0x5a, true, 0x5a, true},                  // rcl byte, 9
      {{0x66, 0xc1, 0x10, 0x04}, 0xf001, true, 0x001f, true},        // rcl word, 4
      {{0xc1, 0x18, 0x01}, 1, false, 0, true},                       // rcr dword, 1
      {{0x48, 0xd3, 0x10}, std::uint64_t{1} << 61, false, 0, true},  // rcl qword, cl
      {{0xc1, 0x10, 0x20}, 0x1234, true, 0x1234, true},              // rcl dword, 32: none
  };
  for (const RotateCase& row : rows) {
    CpuRig rig;
    std::vector<std::uint8_t> code = {static_cast<std::uint8_t>(row.carry_in ? 0xf9 : 0xf8)};
    code.insert(code.end(), row.bytes.begin(), row.bytes.end());
    code.push_back(0xf4);
    prepare(rig, code);
    rig.cpu().set_gpr(Gpr::Rcx, 3);
    rig.store(CpuRig::kData, row.before);

    ASSERT_EQ(rig.run(100).code, SvmExit::Hlt);

    EXPECT_EQ(rig.load(CpuRig::kData), row.after) << std::hex << row.before;
    EXPECT_EQ((rig.cpu().rflags() & kCarryFlag) != 0, row.carry_out) << std::hex << row.before;
    EXPECT_EQ(rig.clock.retired(), 2u);
  }
}

TEST(ScratchPages, ServeAnInstructionInFrontOfOneThatCannotBeFetched) {
  CpuRig rig;
  constexpr std::uint64_t kEnd = 0x20'0000;  // the next 2 MiB are not there
  rig.gate(14);
  rig.code({0xc6, 0x03, 0x77}, kEnd - 3);  // mov byte [rbx], 0x77
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000 + 8, 0);
  rig.cpu().flush_tlb();
  rig.cpu().set_gpr(Gpr::Rbx, CpuRig::kNowhere);
  rig.cpu().set_rip(kEnd - 3);
  ASSERT_EQ(rig.run(10).code, SvmExit::NestedPageFault);
  std::array<std::byte, 4096> page{};
  const std::array pages = {ScratchPage{GuestPhys(CpuRig::kNowhere), page}};

  EXPECT_EQ(rig.cpu().complete_on(pages), Completion::Retired);

  EXPECT_EQ(page[0], std::byte{0x77});
  EXPECT_EQ(rig.clock.retired(), 1u);
  EXPECT_EQ(rig.cpu().rip(), kEnd);
}

}  // namespace
}  // namespace retrap::test
