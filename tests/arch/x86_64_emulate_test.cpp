// Instructions whose memory operand is a device, carried out through a port.
#include "arch/x86_64/emulate.h"

#include <gtest/gtest.h>

#include "tests/arch/x86_64_fake_cpu.h"
#include "vmm/base/bytes.h"

namespace retrap::x86_64 {
namespace {

using exits::MmioRead;
using exits::MmioWrite;
using test::FakeCpu;
using test::FakePort;

constexpr std::uint64_t kRbx = 0xd000'0000;

struct EmulateTest : testing::Test {
  Clock clock;
  FakeCpu cpu{clock};
  FakePort port;
  Decoder decoder;

  EmulateTest() {
    cpu.now.rip = 0x1000;
    cpu.set_gpr(Gpr::Rbx, kRbx);
  }
  Emulated run(std::vector<std::uint8_t> code, RawExit exit = {}) {
    cpu.code = std::move(code);
    cpu.last = exit;
    return Emulator(cpu, port).run(exit, decoder);
  }
  MmioWrite last_write() { return port.writes.empty() ? MmioWrite{} : port.writes.back(); }
  static MmioWrite wrote(std::uint64_t at, Width width, std::uint64_t data) {
    return {GuestPhys(at), width, data};
  }
};

TEST_F(EmulateTest, LoadsEveryWidthIntoItsPartOfTheRegister) {
  constexpr std::uint64_t kOld = 0x1111'1111'1111'1111;
  port.value = 0xfedc'ba98'8765'4321;
  const struct {
    std::vector<std::uint8_t> code;
    std::uint64_t rax;
    Width width;
  } rows[] = {
      {{0x8a, 0x03}, 0x1111'1111'1111'1121, Width::Byte},              // mov al, [rbx]
      {{0x8a, 0x23}, 0x1111'1111'1111'2111, Width::Byte},              // mov ah, [rbx]
      {{0x66, 0x8b, 0x03}, 0x1111'1111'1111'4321, Width::Half},        // mov ax, [rbx]
      {{0x8b, 0x03}, 0x8765'4321, Width::Word},                        // mov eax, [rbx]
      {{0x48, 0x8b, 0x03}, 0xfedc'ba98'8765'4321, Width::Double},      // mov rax, [rbx]
      {{0x0f, 0xb6, 0x03}, 0x21, Width::Byte},                         // movzx eax, byte
      {{0x48, 0x0f, 0xbf, 0x03}, 0x4321, Width::Half},                 // movsx rax, word
      {{0x48, 0x63, 0x03}, 0xffff'ffff'8765'4321, Width::Word},        // movsxd rax
      {{0x66, 0x0f, 0xbe, 0x03}, 0x1111'1111'1111'0021, Width::Byte},  // movsx ax, byte
      {{0x0f, 0x38, 0xf0, 0x03}, 0x2143'6587, Width::Word},            // movbe eax
  };
  for (const auto& row : rows) {
    port.reads.clear();
    cpu.now.rip = 0x1000;
    cpu.set_gpr(Gpr::Rax, kOld);

    ASSERT_EQ(run(row.code), Emulated::Retired);

    EXPECT_EQ(cpu.gpr(Gpr::Rax), row.rax);
    ASSERT_EQ(port.reads.size(), 1u);
    EXPECT_EQ(port.reads[0].addr, GuestPhys(kRbx));
    EXPECT_EQ(port.reads[0].width, row.width);
    EXPECT_EQ(cpu.now.rip, 0x1000 + row.code.size());
  }
}

TEST_F(EmulateTest, SaysWhichRegisterALoadFills) {
  (void)run({0x4c, 0x0f, 0xbe, 0x0b});  // movsx r9, byte [rbx]

  EXPECT_EQ(port.reads[0], (MmioRead{GuestPhys(kRbx), Width::Byte, 9, Width::Double, true}));
}

TEST_F(EmulateTest, StoresRegistersAndImmediates) {
  cpu.set_gpr(Gpr::Rcx, 0x1122'3344'5566'7788);
  EXPECT_EQ(run({0x88, 0x0b}), Emulated::Retired);  // mov [rbx], cl
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Byte, 0x88));
  (void)run({0x88, 0x2b});  // mov [rbx], ch
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Byte, 0x77));
  (void)run({0x66, 0x89, 0x0b});  // mov [rbx], cx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Half, 0x7788));
  (void)run({0x48, 0x89, 0x4b, 0x10});  // mov [rbx + 16], rcx
  EXPECT_EQ(last_write(), wrote(kRbx + 16, Width::Double, 0x1122'3344'5566'7788));
  (void)run({0x48, 0xc7, 0x03, 0xfe, 0xff, 0xff, 0xff});  // mov qword [rbx], -2
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Double, ~std::uint64_t{1}));
  (void)run({0x0f, 0xc3, 0x0b});  // movnti [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x5566'7788));
  (void)run({0x66, 0x0f, 0x38, 0xf1, 0x0b});  // movbe [rbx], cx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Half, 0x8877));
  cpu.now.rflags = 2 | flag::kZero;
  (void)run({0x0f, 0x94, 0x03});  // sete [rbx]
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Byte, 1));
}

TEST_F(EmulateTest, ComputesAddresses) {
  cpu.set_gpr(Gpr::Rcx, 4);
  (void)run({0x8b, 0x44, 0x8b, 0x10});  // mov eax, [rbx + rcx*4 + 16]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(kRbx + 32));
  cpu.now.rip = 0x1000;
  (void)run({0x8b, 0x05, 0x10, 0, 0, 0});  // mov eax, [rip + 16]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(0x1016));
  cpu.now.segment(SegmentName::Gs).base = 0x5000;
  (void)run({0x65, 0x8b, 0x03});  // mov eax, gs:[rbx]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(kRbx + 0x5000));
  cpu.set_gpr(Gpr::Rbx, 0x1'0000'0010);
  (void)run({0x67, 0x8b, 0x03});  // mov eax, [ebx]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(0x10));
}

TEST_F(EmulateTest, AddsSegmentBasesOutsideOf64BitMode) {
  cpu.mode = 2;
  cpu.now.segment(SegmentName::Ds).base = 0xa'0000;
  cpu.set_gpr(Gpr::Rbx, 0xdead'fff0);
  cpu.set_gpr(Gpr::Rsi, 0x20);
  (void)run({0x8a, 0x00});  // mov al, [bx + si]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(0xa'0010)) << "16-bit offsets wrap";
  cpu.mode = 4;
  cpu.now.segment(SegmentName::Ds).base = 0xffff'fff0;
  (void)run({0x8b, 0x05, 0x20, 0, 0, 0});  // mov eax, [0x20]
  EXPECT_EQ(port.reads.back().addr, GuestPhys(0x10)) << "and so do linear addresses";
}

TEST_F(EmulateTest, ModifiesMemoryWithFlags) {
  port.value = 0xffff'ffff;
  cpu.set_gpr(Gpr::Rcx, 1);
  EXPECT_EQ(run({0xf0, 0x01, 0x0b}), Emulated::Retired);  // lock add [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0));
  EXPECT_TRUE((cpu.rflags() & flag::kCarry) != 0 && (cpu.rflags() & flag::kZero) != 0);
  port.value = 0x0f;
  (void)run({0x80, 0x0b, 0xf0});  // or byte [rbx], 0xf0
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Byte, 0xff));
  (void)run({0xf6, 0x13});  // not byte [rbx]
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Byte, 0xf0));
  (void)run({0xff, 0x03});  // inc dword [rbx]
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x10));
  (void)run({0x0f, 0xba, 0x33, 1});  // btr dword [rbx], 1
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x0d));
  EXPECT_NE(cpu.rflags() & flag::kCarry, 0u);
}

TEST_F(EmulateTest, ComparesWithoutWriting) {
  port.value = 5;
  (void)run({0x83, 0x3b, 0x05});  // cmp dword [rbx], 5
  EXPECT_NE(cpu.rflags() & flag::kZero, 0u);
  (void)run({0xf7, 0x03, 2, 0, 0, 0});  // test dword [rbx], 2
  EXPECT_NE(cpu.rflags() & flag::kZero, 0u);
  EXPECT_TRUE(port.writes.empty());
  cpu.set_gpr(Gpr::Rax, 7);
  (void)run({0x2b, 0x03});  // sub eax, [rbx]
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 2u);
  (void)run({0x3b, 0x03});  // cmp eax, [rbx]
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 2u);
  EXPECT_NE(cpu.rflags() & flag::kCarry, 0u);
}

TEST_F(EmulateTest, MovesTheAddressWithABitIndex) {
  cpu.set_gpr(Gpr::Rcx, 70);
  (void)run({0x0f, 0xab, 0x0b});  // bts [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx + 8, Width::Word, 1 << 6));
  cpu.set_gpr(Gpr::Rcx, ~std::uint64_t{0});
  (void)run({0x48, 0x0f, 0xa3, 0x0b});  // bt [rbx], rcx
  EXPECT_EQ(port.reads.back().addr, GuestPhys(kRbx - 8));
  cpu.set_gpr(Gpr::Rcx, 0xffff);
  (void)run({0x66, 0x0f, 0xbb, 0x0b});  // btc [rbx], cx
  EXPECT_EQ(last_write(), wrote(kRbx - 2, Width::Half, 0x8000));
}

TEST_F(EmulateTest, Exchanges) {
  port.value = 0x11;
  cpu.set_gpr(Gpr::Rcx, 0x22);
  (void)run({0x87, 0x0b});  // xchg [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x22));
  EXPECT_EQ(cpu.gpr(Gpr::Rcx), 0x11u);
  (void)run({0xf0, 0x0f, 0xc1, 0x0b});  // lock xadd [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x22));
  EXPECT_EQ(cpu.gpr(Gpr::Rcx), 0x11u);
}

TEST_F(EmulateTest, ComparesAndExchanges) {
  port.value = 5;
  cpu.set_gpr(Gpr::Rax, 5);
  cpu.set_gpr(Gpr::Rcx, 9);
  (void)run({0xf0, 0x0f, 0xb1, 0x0b});  // lock cmpxchg [rbx], ecx
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 9));
  EXPECT_NE(cpu.rflags() & flag::kZero, 0u);
  cpu.set_gpr(Gpr::Rax, 6);
  (void)run({0x0f, 0xb1, 0x0b});
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 5)) << "memory is written in any case";
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 5u);
  EXPECT_EQ(cpu.rflags() & flag::kZero, 0u);
}

TEST_F(EmulateTest, ComparesAndExchangesTwoWords) {
  port.values = {1, 2};
  cpu.set_gpr(Gpr::Rax, 1);
  cpu.set_gpr(Gpr::Rdx, 2);
  cpu.set_gpr(Gpr::Rcx, 4);
  cpu.set_gpr(Gpr::Rbx, kRbx);
  (void)run({0xf0, 0x48, 0x0f, 0xc7, 0x0b});  // lock cmpxchg16b [rbx]
  ASSERT_EQ(port.writes.size(), 2u);
  EXPECT_EQ(port.writes[0], wrote(kRbx, Width::Double, kRbx));
  EXPECT_EQ(port.writes[1], wrote(kRbx + 8, Width::Double, 4));
  EXPECT_NE(cpu.rflags() & flag::kZero, 0u);
  port.values = {7, 8};
  (void)run({0x0f, 0xc7, 0x0b});  // cmpxchg8b [rbx]
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 7u);
  EXPECT_EQ(cpu.gpr(Gpr::Rdx), 8u);
  EXPECT_EQ(cpu.rflags() & flag::kZero, 0u);
  cpu.set_gpr(Gpr::Rbx, kRbx + 8);
  EXPECT_EQ(run({0xf0, 0x48, 0x0f, 0xc7, 0x0b}), Emulated::GuestFault) << "16-byte alignment";
  EXPECT_EQ(cpu.pending, Event::exception(13, 0));
}

TEST_F(EmulateTest, MovesConditionally) {
  port.value = 0x55;
  cpu.set_gpr(Gpr::Rax, 0xffff'ffff'0000'0001);
  cpu.now.rflags = 2;
  (void)run({0x0f, 0x44, 0x03});  // cmove eax, [rbx]
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 1u) << "not moved, but the upper half is cleared";
  EXPECT_EQ(port.reads.size(), 1u) << "and memory was read";
  (void)run({0x0f, 0x45, 0x03});  // cmovne eax, [rbx]
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x55u);
}

TEST_F(EmulateTest, SplitsAccessesAtPages) {
  cpu.set_gpr(Gpr::Rbx, 0xd000'0ffd);
  port.values = {0x11, 0x22, 0x33};
  EXPECT_EQ(run({0x8b, 0x03}), Emulated::Retired);  // mov eax, [rbx]
  ASSERT_EQ(port.reads.size(), 3u);
  EXPECT_EQ(port.reads[0].addr, GuestPhys(0xd000'0ffd));
  EXPECT_EQ(port.reads[0].width, Width::Half);
  EXPECT_EQ(port.reads[1].width, Width::Byte);
  EXPECT_EQ(port.reads[2].addr, GuestPhys(0xd000'1000));
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x3322'0011u);
  cpu.set_gpr(Gpr::Rax, 0x8877'6655'4433'2211);
  (void)run({0x48, 0x89, 0x03});  // mov [rbx], rax
  ASSERT_EQ(port.writes.size(), 4u);
  EXPECT_EQ(port.writes[0], wrote(0xd000'0ffd, Width::Half, 0x2211));
  EXPECT_EQ(port.writes[1], wrote(0xd000'0fff, Width::Byte, 0x33));
  EXPECT_EQ(port.writes[2], wrote(0xd000'1000, Width::Word, 0x7766'5544));
  EXPECT_EQ(port.writes[3], wrote(0xd000'1004, Width::Byte, 0x88));
}

TEST_F(EmulateTest, MovesStringsOneElementATime) {
  cpu.set_gpr(Gpr::Rsi, 0x100);
  cpu.set_gpr(Gpr::Rdi, 0x200);
  cpu.set_gpr(Gpr::Rcx, 2);
  port.value = 0x77;
  EXPECT_EQ(run({0xf3, 0x66, 0xa5}), Emulated::Retired);  // rep movsw
  EXPECT_EQ(last_write(), wrote(0x200, Width::Half, 0x77));
  EXPECT_EQ(cpu.gpr(Gpr::Rsi), 0x102u);
  EXPECT_EQ(cpu.gpr(Gpr::Rdi), 0x202u);
  EXPECT_EQ(cpu.gpr(Gpr::Rcx), 1u);
  EXPECT_EQ(cpu.now.rip, 0x1000u) << "the instruction goes on";
  (void)run({0xf3, 0x66, 0xa5});
  (void)run({0xf3, 0x66, 0xa5});
  EXPECT_EQ(cpu.now.rip, 0x1003u) << "the pass that finds zero ends it";
  EXPECT_EQ(port.writes.size(), 2u);
}

TEST_F(EmulateTest, GoesDownWithTheDirectionFlag) {
  cpu.now.rflags = 2 | flag::kDirection;
  cpu.set_gpr(Gpr::Rdi, 0x200);
  cpu.set_gpr(Gpr::Rax, 0x1234);
  (void)run({0xaa});  // stosb
  EXPECT_EQ(last_write(), wrote(0x200, Width::Byte, 0x34));
  EXPECT_EQ(cpu.gpr(Gpr::Rdi), 0x1ffu);
}

TEST_F(EmulateTest, LoadsStrings) {
  cpu.set_gpr(Gpr::Rsi, 0x100);
  port.value = 0x99;
  (void)run({0xac});  // lodsb
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x99u);
  EXPECT_EQ(cpu.gpr(Gpr::Rsi), 0x101u);
}

TEST_F(EmulateTest, EndsComparisonsByTheZeroFlag) {
  cpu.set_gpr(Gpr::Rcx, 5);
  cpu.set_gpr(Gpr::Rdi, 0x200);
  cpu.set_gpr(Gpr::Rax, 1);
  port.values = {0, 1};
  (void)run({0xf2, 0xae});  // repne scasb
  EXPECT_EQ(cpu.now.rip, 0x1000u);
  (void)run({0xf2, 0xae});
  EXPECT_EQ(cpu.now.rip, 0x1002u) << "found";
  EXPECT_EQ(cpu.gpr(Gpr::Rcx), 3u);
  port.values = {3, 4};
  (void)run({0xf3, 0xa6});  // repe cmpsb
  EXPECT_EQ(cpu.now.rip, 0x1004u) << "3 is not 4";
  EXPECT_NE(cpu.rflags() & flag::kCarry, 0u) << "[rsi] - [rdi]";
}

TEST_F(EmulateTest, PushesAndPopsMemory) {
  cpu.set_gpr(Gpr::Rsp, 0x8000);
  port.value = 0x1234;
  EXPECT_EQ(run({0xff, 0x33}), Emulated::Retired);  // push qword [rbx]
  EXPECT_EQ(last_write(), wrote(0x7ff8, Width::Double, 0x1234));
  EXPECT_EQ(cpu.gpr(Gpr::Rsp), 0x7ff8u);
  EXPECT_EQ(run({0x8f, 0x44, 0x24, 0x08}), Emulated::Retired);  // pop qword [rsp + 8]
  EXPECT_EQ(last_write(), wrote(0x8008, Width::Double, 0x1234)) << "RSP as after the pop";
  port.refuse_writes = true;
  EXPECT_EQ(run({0x8f, 0x03}), Emulated::NoAccess);
  EXPECT_EQ(cpu.gpr(Gpr::Rsp), 0x8000u) << "nothing has changed";
}

TEST_F(EmulateTest, UsesTheStackWidthOfTheSegment) {
  cpu.mode = 2;
  cpu.set_gpr(Gpr::Rbx, 0x10);
  cpu.set_gpr(Gpr::Rsp, 0x5555'0000);
  port.value = 0xabcd;
  (void)run({0xff, 0x37});  // push word [bx]
  EXPECT_EQ(last_write(), wrote(0xfffe, Width::Half, 0xabcd));
  EXPECT_EQ(cpu.gpr(Gpr::Rsp), 0x5555'fffeu);
  cpu.now.segment(SegmentName::Ss).attributes = 0xc93;
  (void)run({0xff, 0x37});
  EXPECT_EQ(last_write(), wrote(0x5555'fffc, Width::Half, 0xabcd));
}

TEST_F(EmulateTest, GivesTheGuestItsPageFault) {
  cpu.translations[kRbx] = {.kind = Translation::Kind::PageFault, .gpa = {}, .error = 7};
  EXPECT_EQ(run({0x8b, 0x43, 0x10}), Emulated::GuestFault);
  EXPECT_EQ(cpu.pending, Event::page_fault(7, kRbx + 0x10));
  EXPECT_EQ(cpu.now.rip, 0x1000u);
  cpu.translations[kRbx].kind = Translation::Kind::NonCanonical;
  (void)run({0x8b, 0x03});
  EXPECT_EQ(cpu.pending, Event::exception(13, 0));
  cpu.set_gpr(Gpr::Rbp, kRbx);
  (void)run({0x8b, 0x45, 0x00});  // mov eax, [rbp]
  EXPECT_EQ(cpu.pending, Event::exception(12, 0)) << "through the stack segment";
}

TEST_F(EmulateTest, ChecksTheTargetBeforeItReadsTheDevice) {
  cpu.set_gpr(Gpr::Rsi, kRbx);
  cpu.set_gpr(Gpr::Rdi, 0x3000);
  cpu.translations[0x3000] = {.kind = Translation::Kind::PageFault, .gpa = {}, .error = 2};
  EXPECT_EQ(run({0xa4}), Emulated::GuestFault);  // movsb
  EXPECT_TRUE(port.reads.empty());
  EXPECT_EQ(cpu.gpr(Gpr::Rsi), kRbx);
}

TEST_F(EmulateTest, AsksForStageTwoOfTheGuestsTables) {
  cpu.translations[kRbx] = {
      .kind = Translation::Kind::NestedFault, .gpa = GuestPhys(0x7000), .error = npf::kGuestTable};
  cpu.code = {0x8b, 0x03};
  Emulator emulator(cpu, port);
  EXPECT_EQ(emulator.run({}, decoder), Emulated::NestedFault);
  EXPECT_EQ(emulator.nested_fault().gpa, GuestPhys(0x7000));
}

TEST_F(EmulateTest, ReportsWhatThePortRefuses) {
  port.refuse_reads = true;
  for (const std::vector<std::uint8_t>& code : {std::vector<std::uint8_t>{0x8b, 0x03},
                                                {0x01, 0x03},
                                                {0x87, 0x03},
                                                {0x0f, 0xb1, 0x03},
                                                {0x0f, 0xc7, 0x0b},
                                                {0xa4},
                                                {0xff, 0x33},
                                                {0x8f, 0x03},
                                                {0x0f, 0x10, 0x03}}) {
    EXPECT_EQ(run(code), Emulated::NoAccess) << int{code[0]};
    EXPECT_EQ(cpu.now.rip, 0x1000u);
  }
  port.refuse_reads = false;
  port.refuse_writes = true;
  for (const std::vector<std::uint8_t>& code : {std::vector<std::uint8_t>{0x89, 0x03},
                                                {0x01, 0x03},
                                                {0x87, 0x03},
                                                {0x0f, 0xb1, 0x03},
                                                {0x0f, 0xc7, 0x0b},
                                                {0xaa},
                                                {0xff, 0x33}}) {
    EXPECT_EQ(run(code), Emulated::NoAccess) << int{code[0]};
    EXPECT_EQ(cpu.now.rip, 0x1000u);
  }
}

TEST_F(EmulateTest, UsesTheRightsOfTheRing) {
  cpu.ring = 3;
  (void)run({0x01, 0x03});  // add [rbx], eax
  EXPECT_EQ(cpu.asked.back().privilege, Privilege::User);
  EXPECT_EQ(cpu.asked.back().access, retrap::x86_64::Access::Write) << "a modify is a write";
}

TEST_F(EmulateTest, LetsTheCpuMoveVectorsOnAScratchPage) {
  port.values = {0x1111, 0x2222};
  cpu.on_scratch = [](std::span<const ScratchPage> pages) {
    EXPECT_EQ(pages.size(), 1u);
    EXPECT_EQ(pages[0].page, GuestPhys(0xd000'0000));
    EXPECT_EQ(load_le<std::uint64_t>(pages[0].bytes, 0x10), 0x1111u);
    EXPECT_EQ(load_le<std::uint64_t>(pages[0].bytes, 0x18), 0x2222u);
    return Completion::Retired;
  };
  EXPECT_EQ(run({0x0f, 0x10, 0x43, 0x10}), Emulated::Retired);  // movups xmm0, [rbx + 16]
  EXPECT_TRUE(port.writes.empty());
}

TEST_F(EmulateTest, WritesBackWhatTheCpuStored) {
  cpu.on_scratch = [](std::span<const ScratchPage> pages) {
    EXPECT_TRUE(store_le<std::uint64_t>(pages[0].bytes, 0, 0xaaaa));
    EXPECT_TRUE(store_le<std::uint64_t>(pages[0].bytes, 8, 0xbbbb));
    return Completion::Retired;
  };
  EXPECT_EQ(run({0x66, 0x0f, 0x7f, 0x03}), Emulated::Retired);  // movdqa [rbx], xmm0
  EXPECT_TRUE(port.reads.empty()) << "a store reads nothing";
  ASSERT_EQ(port.writes.size(), 2u);
  EXPECT_EQ(port.writes[1], wrote(kRbx + 8, Width::Double, 0xbbbb));
}

TEST_F(EmulateTest, GivesTwoPagesToAVectorThatCrosses) {
  cpu.set_gpr(Gpr::Rbx, 0xd000'0ff8);
  cpu.on_scratch = [](std::span<const ScratchPage> pages) {
    EXPECT_EQ(pages.size(), 2u);
    EXPECT_EQ(pages[1].page, GuestPhys(0xd000'1000));
    return Completion::Retired;
  };
  EXPECT_EQ(run({0x0f, 0x10, 0x03}), Emulated::Retired);
}

TEST_F(EmulateTest, LetsTheCpuDoFormsThatItDoesNotKnow) {
  port.value = 0x40;
  cpu.on_scratch = [](std::span<const ScratchPage> pages) {
    EXPECT_EQ(load_le<std::uint32_t>(pages[0].bytes, 0), 0x40u);
    EXPECT_TRUE(store_le<std::uint32_t>(pages[0].bytes, 0, 0x80));
    return Completion::Retired;
  };
  const RawExit exit{.code = SvmExit::NestedPageFault, .linear = kRbx, .size = 4};
  EXPECT_EQ(run({0xd1, 0x23}, exit), Emulated::Retired);  // shl dword [rbx], 1
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Word, 0x80));
  cpu.on_scratch = [](std::span<const ScratchPage>) { return Completion::Retired; };
  port.writes.clear();
  const RawExit store{
      .code = SvmExit::NestedPageFault, .info1 = npf::kWrite, .linear = kRbx, .size = 8};
  EXPECT_EQ(run({0xdd, 0x1b}, store), Emulated::Retired);  // fstp qword [rbx]
  EXPECT_EQ(last_write(), wrote(kRbx, Width::Double, 0));
}

TEST_F(EmulateTest, ReadsSixteenBytesForPackedForms) {
  const RawExit exit{.code = SvmExit::NestedPageFault, .linear = kRbx, .size = 8};
  (void)run({0x66, 0x0f, 0xfe, 0x03}, exit);  // paddd xmm0, [rbx]
  EXPECT_EQ(port.reads.size(), 2u);
  port.reads.clear();
  (void)run({0x0f, 0x58, 0x03}, exit);  // addps xmm0, [rbx]
  EXPECT_EQ(port.reads.size(), 2u);
  port.reads.clear();
  (void)run({0xf2, 0x0f, 0x58, 0x03}, exit);  // addsd xmm0, [rbx]
  EXPECT_EQ(port.reads.size(), 1u);
}

TEST_F(EmulateTest, PassesOnHowTheCpuEnded) {
  const RawExit exit{.code = SvmExit::NestedPageFault, .linear = kRbx, .size = 4};
  cpu.on_scratch = [](std::span<const ScratchPage>) { return Completion::Exception; };
  EXPECT_EQ(run({0xd1, 0x23}, exit), Emulated::GuestFault);
  cpu.on_scratch = [](std::span<const ScratchPage>) { return Completion::Intercepted; };
  EXPECT_EQ(run({0xd1, 0x23}, exit), Emulated::Unknown);
  cpu.on_scratch = [this](std::span<const ScratchPage>) {
    cpu.last = {.code = SvmExit::NestedPageFault, .info1 = npf::kWrite, .info2 = 0x9000};
    return Completion::NestedFault;
  };
  cpu.code = {0xd1, 0x23};
  Emulator emulator(cpu, port);
  EXPECT_EQ(emulator.run(exit, decoder), Emulated::NestedFault);
  EXPECT_EQ(emulator.nested_fault().gpa, GuestPhys(0x9000));
  EXPECT_EQ(run({0xd1, 0x23}, {}), Emulated::Unknown) << "an access of no size";
  cpu.translations[kRbx] = {.kind = Translation::Kind::PageFault, .gpa = {}, .error = 0};
  EXPECT_EQ(run({0xd1, 0x23}, exit), Emulated::GuestFault);
}

}  // namespace
}  // namespace retrap::x86_64
