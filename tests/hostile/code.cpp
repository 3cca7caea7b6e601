// Code of a hostile guest: random bytes, and random instructions that decode.
#include <array>
#include <cstring>

#include "tests/hostile/world.h"

namespace retrap::hostile {
namespace {

/// Random bits where `mask` is zero, `value` elsewhere.
struct Form {
  std::uint32_t mask;
  std::uint32_t value;
};

// clang-format off
constexpr std::array<Form, 45> kAarch64 = {{
    {0x1f000000, 0x0b000000},  // add, sub (register)
    {0x1f800000, 0x11000000},  // add, sub (immediate)
    {0x1f800000, 0x12000000},  // logical (immediate)
    {0x1f800000, 0x12800000},  // move wide
    {0x1f000000, 0x10000000},  // adr, adrp
    {0x1fe00000, 0x1a800000},  // conditional select
    {0xff000010, 0x54000000},  // b.cond
    {0x7e000000, 0x34000000},  // cbz, cbnz
    {0xffffffe0, 0x14000000},  // b, near
    {0xfffffe1f, 0xd61f0000},  // br
    {0xfffffe1f, 0xd63f0000},  // blr
    {0xfffffc1f, 0xd65f0000},  // ret
    {0xffffffff, 0xd69f03e0},  // eret
    {0xffe0001f, 0xd4000001},  // svc
    {0xffe0001f, 0xd4000002},  // hvc
    {0xffe0001f, 0xd4000003},  // smc
    {0xffe0001f, 0xd4200000},  // brk
    {0xfffff01f, 0xd503201f},  // hints: wfi, wfe, yield, sev
    {0xfffff000, 0xd5033000},  // barriers, clrex
    {0xfff8f01f, 0xd500401f},  // msr (immediate)
    {0xfff80000, 0xd5080000},  // sys: tlbi, dc, ic, at
    {0xfff00000, 0xd5100000},  // msr
    {0xfff00000, 0xd5300000},  // mrs
    {0xfff8f000, 0xd5180000},  // msr, op1 0, id registers and control
    {0xffffffe0, 0xd5184000},  // msr spsr_el1: where an eret goes
    {0xfffff000, 0xd5381000},  // mrs, control registers
    {0xfffff000, 0xd518c000},  // msr, vectors and the interrupt controller
    {0xfff8f000, 0xd53bf000},  // mrs, implementation defined
    {0xffffff00, 0xd53be000},  // mrs, counters and timers
    {0xffffff00, 0xd51be300},  // msr, the virtual timer
    {0x3b000000, 0x39000000},  // load, store (unsigned immediate)
    {0x3b200c00, 0x38000400},  // load, store, post-index
    {0x3b200c00, 0x38000c00},  // load, store, pre-index
    {0x3b200c00, 0x38000800},  // load, store, unprivileged
    {0x3b200c00, 0x38200800},  // load, store, register offset
    {0x3b000000, 0x18000000},  // load literal
    {0x3a000000, 0x28000000},  // load, store pair
    {0x3f000000, 0x08000000},  // exclusives, acquire and release
    {0xbf000000, 0x0c000000},  // SIMD multiple structures
    {0xbf000000, 0x0d000000},  // SIMD single structure
    {0x3b200c00, 0x38200000},  // atomics (not on this CPU)
    {0xff20fc00, 0x1e202800},  // floating point
    {0xffe08000, 0x9b000000},  // madd
    {0xffe0fc00, 0x9ac00800},  // udiv
    {0xffffffe0, 0xd50b7420},  // dc zva
}};

constexpr std::array<Form, 34> kRiscv64 = {{
    {0x0000007f, 0x13},        // op-imm
    {0x0000007f, 0x1b},        // op-imm-32
    {0x0000007f, 0x37},        // lui
    {0x0000007f, 0x17},        // auipc
    {0xfe00007f, 0x33},        // op
    {0xfe00007f, 0x02000033},  // mul, div
    {0xf800007f, 0x63},        // branches, near
    {0xff8ff07f, 0x6f},        // jal, near
    {0x0000707f, 0x67},        // jalr
    {0x0000007f, 0x03},        // loads
    {0x0000007f, 0x23},        // stores
    {0x0000007f, 0x07},        // fp loads
    {0x0000007f, 0x27},        // fp stores
    {0x0000507f, 0x0000002f},  // atomics, odd widths
    {0x0000607f, 0x0000202f},  // atomics
    {0xf9f0607f, 0x1000202f},  // lr
    {0xf800607f, 0x1800202f},  // sc
    {0x0000007f, 0x53},        // fp
    {0x0000007f, 0x43},        // fmadd
    {0x0000707f, 0x0f},        // fence
    {0x0000707f, 0x100f},      // fence.i
    {0xffffffff, 0x73},        // ecall
    {0xffffffff, 0x00100073},  // ebreak
    {0xffffffff, 0x10200073},  // sret
    {0xffffffff, 0x30200073},  // mret
    {0xffffffff, 0x10500073},  // wfi
    {0xfe007fff, 0x12000073},  // sfence.vma
    {0xfe007fff, 0x22000073},  // hfence
    {0x0000007f, 0x73},        // system
    {0xff00007f, 0x10000073},  // csr, supervisor
    {0xff00007f, 0x18000073},  // csr, satp
    {0xff00007f, 0xc0000073},  // csr, counters
    {0xf000007f, 0x60000073},  // csr, hypervisor; hlv, hsv
    {0xf000007f, 0x30000073},  // csr, machine
}};
// clang-format on

/// The start of an instruction; random bytes (mod r/m, displacement, immediate) follow.
using Bytes = std::array<std::uint8_t, 4>;
struct Opcode {
  std::uint8_t size;
  Bytes bytes;
};

// clang-format off
constexpr std::array<Opcode, 86> kX86 = {{
    {1, {0x01}}, {1, {0x03}}, {1, {0x11}}, {1, {0x21}}, {1, {0x29}}, {1, {0x31}}, {1, {0x39}},
    {1, {0x80}}, {1, {0x81}}, {1, {0x83}}, {1, {0x84}}, {1, {0x86}}, {1, {0x87}}, {1, {0x88}},
    {1, {0x89}}, {1, {0x8a}}, {1, {0x8b}}, {1, {0x8c}}, {1, {0x8d}}, {1, {0x8e}}, {1, {0x8f}},
    {1, {0xa4}}, {1, {0xa5}}, {1, {0xa6}}, {1, {0xaa}}, {1, {0xab}}, {1, {0xac}}, {1, {0xae}},
    {1, {0x6c}}, {1, {0x6d}}, {1, {0x6e}}, {1, {0x6f}}, {1, {0xe4}}, {1, {0xe5}}, {1, {0xe6}},
    {1, {0xec}}, {1, {0xed}}, {1, {0xee}}, {1, {0xef}}, {1, {0xc6}}, {1, {0xc7}}, {1, {0xf6}},
    {1, {0xf7}}, {1, {0xfe}}, {1, {0xff}}, {1, {0xcc}}, {1, {0xcd}}, {1, {0xcf}}, {1, {0xf4}},
    {1, {0xfa}}, {1, {0xfb}}, {1, {0x9c}}, {1, {0x9d}}, {1, {0x74}}, {1, {0xeb}}, {1, {0xe8}},
    {1, {0xca}}, {1, {0xcb}}, {1, {0xc8}}, {1, {0xc9}}, {1, {0xd8}}, {1, {0xdb}}, {1, {0xdd}},
    {2, {0x0f, 0x00}}, {2, {0x0f, 0x01}}, {2, {0x0f, 0x05}}, {2, {0x0f, 0x07}},
    {2, {0x0f, 0x08}}, {2, {0x0f, 0x20}}, {2, {0x0f, 0x21}}, {2, {0x0f, 0x22}},
    {2, {0x0f, 0x23}}, {2, {0x0f, 0x30}}, {2, {0x0f, 0x31}}, {2, {0x0f, 0x32}},
    {2, {0x0f, 0x34}}, {2, {0x0f, 0xa2}}, {2, {0x0f, 0xae}}, {2, {0x0f, 0xb1}},
    {2, {0x0f, 0xc1}}, {2, {0x0f, 0xc7}}, {2, {0x0f, 0x28}}, {2, {0x0f, 0x29}},
    {3, {0x0f, 0x01, 0xd9}}, {3, {0x0f, 0x01, 0xf8}}, {3, {0x0f, 0x38, 0xf0}},
}};
constexpr std::array<std::uint8_t, 12> kPrefixes = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0xf3,
                                                    0x64, 0x65, 0x48, 0x48, 0x41, 0x4f};
// clang-format on

template <std::size_t kCount>
std::uint32_t word_from(const std::array<Form, kCount>& forms, Prng& prng) {
  const Form& form = forms[prng.below(kCount)];
  return (static_cast<std::uint32_t>(prng.next()) & ~form.mask) | form.value;
}

void write_words(ArchId arch, Prng& prng, std::span<std::byte> page) {
  for (std::size_t at = 0; at + 4 <= page.size(); at += 4) {
    std::uint32_t word = static_cast<std::uint32_t>(prng.next());
    // Half of the riscv words are two compressed instructions where their low bits say so.
    if (arch == ArchId::Aarch64) {
      word = word_from(kAarch64, prng);
    } else if (prng.chance(3, 4)) {
      word = word_from(kRiscv64, prng);
    }
    std::memcpy(page.data() + at, &word, sizeof word);
  }
}

void write_x86(Prng& prng, std::span<std::byte> page) {
  std::size_t at = 0;
  const auto put = [&](std::uint64_t byte) {
    if (at < page.size()) page[at++] = static_cast<std::byte>(byte);
  };
  while (at < page.size()) {
    while (prng.chance(1, 3)) put(kPrefixes[prng.below(kPrefixes.size())]);
    if (prng.chance(1, 6)) {  // mov ecx, an MSR or a leaf that means something
      put(0xb9);
      const std::uint64_t value = prng.chance(1, 2)   ? 0xc000'0080 + prng.below(8)
                                  : prng.chance(1, 2) ? prng.below(0x20)
                                                      : 0x800 + prng.below(0x40);
      for (unsigned i = 0; i < 4; ++i) put(value >> (8 * i));
    }
    const Opcode& opcode = kX86[prng.below(kX86.size())];
    for (std::size_t i = 0; i < opcode.size; ++i) put(opcode.bytes[i]);
    // mod r/m: simple forms more often than displacements.
    put(prng.chance(1, 2) ? prng.below(64) : prng.below(256));
    while (prng.chance(1, 3)) put(prng.below(256));
  }
}

void write_random(Prng& prng, std::span<std::byte> page) {
  for (std::size_t at = 0; at + 8 <= page.size(); at += 8) store64(page, at, prng.next());
}

}  // namespace

void write_code(ArchId arch, Prng& prng, std::span<std::byte> page) {
  if (prng.chance(1, 4)) {
    write_random(prng, page);
  } else if (arch == ArchId::X86_64) {
    write_x86(prng, page);
  } else {
    write_words(arch, prng, page);
  }
}

}  // namespace retrap::hostile
