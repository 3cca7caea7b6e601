// Instructions that the engine leaves to us, or gets wrong.
#include "sim/unicorn/x86_64/core.h"

namespace retrap::unicorn::x86_64 {
namespace {

// Segments that SYSCALL and SYSENTER load without looking at a descriptor.
constexpr std::uint32_t kFlatData =
    descriptor::kG | descriptor::kB | descriptor::kP | descriptor::kS | 0x300;
constexpr std::uint32_t kFlatCode = descriptor::kG | descriptor::kP | descriptor::kS | 0xb00;

/// CR4 without VMXE, SMXE, LA57, PCIDE, OSXSAVE, PKE, UMIP and CET: CPUID must not offer them.
constexpr std::uint64_t kCr4Allowed = 0x7ff | bit(16) | bit(20) | bit(21);

EnvSegment flat(std::uint32_t selector, std::uint32_t flags) {
  return {.selector = selector & 0xffff, .padding = 0, .base = 0, .limit = ~0U, .flags = flags};
}

unsigned length_of(const Instruction& in) {
  return in.length;
}

/// The general register of MOV to and from CR and DR.
unsigned moved_register(const Instruction& in) {
  return in.rm() | ((in.rex & 1) != 0 ? 8U : 0U);
}

/// What RCL and RCR turn: an operand and the carry in front of it.
struct Rotation {
  std::uint64_t value;
  bool carry;
  bool moved = false;
};

Rotation rotate_through_carry(Rotation at, unsigned bits, bool left, std::uint64_t count) {
  count &= bits == 64 ? 63 : 31;
  if (bits < 32) count %= bits + 1;
  at.moved = count != 0;
  for (; count != 0; --count) {
    const bool out = has_bit(at.value, left ? bits - 1 : 0);
    at.value = left ? at.value << 1 | (at.carry ? 1 : 0)
                    : at.value >> 1 | std::uint64_t{at.carry} << (bits - 1);
    at.value &= low_bits(bits);
    at.carry = out;
  }
  return at;
}

}  // namespace

Core::Next Core::do_syscall(Vcpu& cpu) {
  settle_count(cpu.env);
  EnvHead& head = cpu.env.head();
  const EnvMsrs& msrs = cpu.env.msrs();
  if ((head.efer & efer::kSce) == 0 || !cpu.env.protected_mode()) {
    return raise(cpu, Event::exception(kInvalidOpcode));
  }
  const std::uint64_t next = head.eip + length_of(decode_at_rip(cpu.env));
  const auto selector = static_cast<std::uint32_t>(msrs.star >> 32) & 0xfffc;
  std::uint64_t target = msrs.star & 0xffff'ffff;
  std::uint32_t code = kFlatCode | descriptor::kB;
  if (cpu.env.long_mode()) {
    target = cpu.env.code64() ? msrs.lstar : msrs.cstar;
    code = kFlatCode | descriptor::kL;
    head.regs[static_cast<unsigned>(Gpr::Rcx)] = next;
    head.regs[static_cast<unsigned>(Gpr::R11)] = head.eflags & ~rflags::kRf;
    head.eflags = (head.eflags & ~msrs.fmask & ~rflags::kRf) | 2;
  } else {
    head.regs[static_cast<unsigned>(Gpr::Rcx)] = next & 0xffff'ffff;
    head.eflags &= ~(rflags::kIf | rflags::kVm | rflags::kRf);
  }
  cpu.env.load_segment(SegmentName::Ss, flat(selector + 8, kFlatData));
  cpu.env.load_segment(SegmentName::Cs, flat(selector, code));
  retire(cpu, target);
  return Next::Resume;
}

Core::Next Core::do_sysenter(Vcpu& cpu) {
  settle_count(cpu.env);
  EnvHead& head = cpu.env.head();
  const EnvMsrs& msrs = cpu.env.msrs();
  const std::uint32_t selector = msrs.sysenter_cs & 0xfffc;
  if (selector == 0 || !cpu.env.protected_mode()) {
    return raise(cpu, Event::exception(kGeneralProtection, 0));
  }
  const bool lm = cpu.env.long_mode();
  const std::uint64_t mask = lm ? ~std::uint64_t{0} : 0xffff'ffff;
  head.eflags &= ~(rflags::kIf | rflags::kVm | rflags::kRf);
  cpu.env.load_segment(SegmentName::Ss, flat(selector + 8, kFlatData));
  cpu.env.load_segment(SegmentName::Cs,
                       flat(selector, kFlatCode | (lm ? descriptor::kL : descriptor::kB)));
  head.regs[static_cast<unsigned>(Gpr::Rsp)] = msrs.sysenter_esp & mask;
  retire(cpu, msrs.sysenter_eip & mask);
  return Next::Resume;
}

Core::Next Core::do_trapped(Vcpu& cpu) {
  settle_count(cpu.env);
  const Instruction in = decode_at_rip(cpu.env);
  if (is_rotate_through_carry(in)) return do_rotate_through_carry(cpu, in);
  if (is_conditional_loop(in)) return do_conditional_loop(cpu, in);
  if (is_port_to_string(in)) return do_port_to_string(cpu, in);
  if (is_trapped(in) && in.has_memory_operand()) return do_cmpxchg_wide(cpu, in);
  return raise(cpu, Event::exception(kInvalidOpcode));  // CPUID has neither RDRAND nor RDSEED
}

Core::Next Core::do_cmpxchg_wide(Vcpu& cpu, const Instruction& in) {
  EnvHead& head = cpu.env.head();
  const bool wide = in.operand_bytes == 8;
  const std::size_t half = wide ? 8 : 4;
  const std::uint64_t mask = wide ? ~std::uint64_t{0} : 0xffff'ffff;
  const std::uint64_t next = head.eip + in.length;
  const std::uint64_t linear = operand_address(in, head, next);
  if (wide && (linear & 15) != 0) return raise(cpu, Event::exception(kGeneralProtection, 0));

  LinearMemory memory(mmu_, cpu.env);
  const Privilege privilege = cpu.env.cpl() == 3 ? Privilege::User : Privilege::Supervisor;
  std::array<std::uint64_t, 2> old{};
  std::array<std::byte, 16> bytes{};
  const auto operand = std::span(bytes).first(2 * half);
  if (!memory.read_for_write(linear, operand, privilege)) {
    return fault_in_instruction(cpu, memory.fault());
  }
  for (std::size_t i = 0; i < 2; ++i) {
    std::memcpy(&old[i], bytes.data() + i * half, half);
    old[i] = little_endian(old[i]);
  }
  const auto reg = [&](Gpr name) -> std::uint64_t& {
    return head.regs[static_cast<unsigned>(name)];
  };
  const bool equal = (reg(Gpr::Rax) & mask) == old[0] && (reg(Gpr::Rdx) & mask) == old[1];
  if (equal) {
    const std::array fresh = {little_endian(reg(Gpr::Rbx)), little_endian(reg(Gpr::Rcx))};
    for (std::size_t i = 0; i < 2; ++i) std::memcpy(bytes.data() + i * half, &fresh[i], half);
    if (!memory.write(linear, operand, privilege)) {
      return fault_in_instruction(cpu, memory.fault());
    }
    head.eflags |= rflags::kZf;
  } else {
    reg(Gpr::Rax) = old[0];
    reg(Gpr::Rdx) = old[1];
    head.eflags &= ~rflags::kZf;
  }
  retire(cpu, cpu.env.code64() ? next : next & 0xffff'ffff);
  return Next::Resume;
}

Core::Next Core::do_rotate_through_carry(Vcpu& cpu, const Instruction& in) {
  if (in.lock) return raise(cpu, Event::exception(kInvalidOpcode));
  EnvHead& head = cpu.env.head();
  const std::uint64_t next = head.eip + in.length;
  const std::uint64_t linear = operand_address(in, head, next);
  const Privilege privilege = cpu.env.cpl() == 3 ? Privilege::User : Privilege::Supervisor;
  const std::size_t size = (in.opcode & 1) == 0 ? 1 : in.operand_bytes;
  std::array<std::byte, 8> bytes{};
  const auto operand = std::span(bytes).first(size);
  LinearMemory memory(mmu_, cpu.env);
  if (!memory.read_for_write(linear, operand, privilege)) {
    return fault_in_instruction(cpu, memory.fault());
  }
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  value = little_endian(value);
  const bool left = in.reg() == 2;
  const std::uint64_t rcx = head.regs[static_cast<unsigned>(Gpr::Rcx)];
  const std::uint64_t given = in.opcode < 0xd0 ? in.immediate8 : in.opcode < 0xd2 ? 1 : rcx;
  const Rotation done = rotate_through_carry({value, (head.eflags & rflags::kCf) != 0},
                                             static_cast<unsigned>(8 * size), left, given);
  const std::uint64_t result = little_endian(done.value);
  std::memcpy(bytes.data(), &result, sizeof result);
  if (!memory.write(linear, operand, privilege)) return fault_in_instruction(cpu, memory.fault());
  if (done.moved) {
    const bool overflow = has_bit(done.value ^ value, static_cast<unsigned>(8 * size - 1));
    head.eflags &= ~(rflags::kCf | rflags::kOf);
    head.eflags |= (done.carry ? rflags::kCf : 0) | (overflow ? rflags::kOf : 0);
  }
  retire(cpu, cpu.env.code64() ? next : next & 0xffff'ffff);
  return Next::Resume;
}

// The count is as wide as addresses are; a 16-bit operand size cuts RIP.
Core::Next Core::do_conditional_loop(Vcpu& cpu, const Instruction& in) {
  EnvHead& head = cpu.env.head();
  std::uint64_t& rcx = head.regs[static_cast<unsigned>(Gpr::Rcx)];
  const std::uint64_t mask = low_bits(8 * in.address_bytes);
  const std::uint64_t left = (rcx - 1) & mask;
  rcx = in.address_bytes == 2 ? (rcx & ~mask) | left : left;
  const bool wanted = (in.opcode & 1) != 0;  // LOOPE
  std::uint64_t next = head.eip + in.length;
  if (left != 0 && ((head.eflags & rflags::kZf) != 0) == wanted) {
    next += static_cast<std::uint64_t>(std::int64_t{static_cast<std::int8_t>(in.immediate8)});
    if (in.operand_bytes == 2) next &= 0xffff;
  }
  retire(cpu, cpu.env.code64() ? next : next & 0xffff'ffff);
  return Next::Resume;
}

// REP with nothing left to do asks for no port.
Core::Next Core::do_port_to_string(Vcpu& cpu, const Instruction& in) {
  const EnvHead& head = cpu.env.head();
  const std::uint64_t left =
      head.regs[static_cast<unsigned>(Gpr::Rcx)] & low_bits(8 * in.address_bytes);
  if (in.repeat == 0 || left != 0) return on_port_io(cpu);
  const std::uint64_t next = head.eip + in.length;
  retire(cpu, cpu.env.code64() ? next : next & 0xffff'ffff);
  return Next::Resume;
}

// The rules are checked here; the write itself is left to the engine, one instruction long.
Core::Next Core::do_write_cr(Vcpu& cpu, unsigned number, const Instruction& in) {
  const EnvHead& head = cpu.env.head();
  if (in.is(OpcodeMap::Two, 0x22)) {  // else LMSW or CLTS, which cannot be wrong
    std::uint64_t value = head.regs[moved_register(in)];
    if (!cpu.env.code64()) value &= 0xffff'ffff;
    bool bad = false;
    if (number == 0) {
      const bool paging = (value & cr0::kPg) != 0;
      const bool long_mode = (head.efer & efer::kLme) != 0;
      bad =
          value >> 32 != 0 || (paging && (value & cr0::kPe) == 0) ||
          ((value & cr0::kNw) != 0 && (value & cr0::kCd) == 0) ||
          (paging && (head.cr[0] & cr0::kPg) == 0 && long_mode && (head.cr[4] & cr4::kPae) == 0) ||
          (!paging && cpu.env.code64());
    } else {
      bad = (value & ~kCr4Allowed) != 0 || (cpu.env.long_mode() && (value & cr4::kPae) == 0);
    }
    if (bad) return raise(cpu, Event::exception(kGeneralProtection, 0));
  }
  cpu.env.tail().intercept_cr_write = 0;
  cr_writes_open_ = true;
  step_once_ = true;
  return Next::Resume;
}

// Breakpoints are kept and never hit: the engine has none.
Core::Next Core::do_write_dr(Vcpu& cpu, unsigned number, const Instruction& in) {
  constexpr std::uint64_t kDebugExtensions = 1U << 3;
  const EnvHead& head = cpu.env.head();
  std::uint64_t value = head.regs[moved_register(in)];
  if (!cpu.env.code64()) value &= 0xffff'ffff;
  if (number > 7 || ((number == 4 || number == 5) && (head.cr[4] & kDebugExtensions) != 0)) {
    return raise(cpu, Event::exception(kInvalidOpcode));
  }
  if (number == 4 || number == 5) number += 2;
  if (number >= 6 && value >> 32 != 0) {
    return raise(cpu, Event::exception(kGeneralProtection, 0));
  }
  if (number == 6) value = (value & 0xe00f) | 0xffff'0ff0;
  if (number == 7) value = (value & 0xffff'23ff) | 0x400;
  cpu.env.tail().dr[number] = value;
  const std::uint64_t next = head.eip + in.length;
  retire(cpu, cpu.env.code64() ? next : next & 0xffff'ffff);
  return Next::Resume;
}

}  // namespace retrap::unicorn::x86_64
