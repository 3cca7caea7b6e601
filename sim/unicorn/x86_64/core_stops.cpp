// What it means that the engine stopped: an exit, an event for the guest, or nothing.
#include "sim/unicorn/x86_64/core.h"
#include "sim/unicorn/x86_64/lazy_flags.h"
#include "sim/unicorn/x86_64/port_io.h"

namespace retrap::unicorn::x86_64 {
namespace {

constexpr std::uint32_t kVmexit = 0x100;

constexpr std::uint64_t page_of(std::uint64_t address) {
  return address & ~(kPageSize - 1);
}

constexpr bool has_error_code(std::uint8_t vector) {
  return vector == kDoubleFault || (vector >= kInvalidTss && vector <= kPageFault) ||
         vector == kAlignmentCheck;
}

constexpr unsigned number_of(SvmExit code, SvmExit first) {
  return static_cast<unsigned>(code) - static_cast<unsigned>(first);
}

constexpr bool in_range(SvmExit code, SvmExit first, unsigned count) {
  return code >= first && number_of(code, first) < count;
}

std::uint64_t next_rip(const Env& env, unsigned length) {
  const std::uint64_t next = env.head().eip + length;
  return env.code64() ? next : next & 0xffff'ffff;
}

}  // namespace

Core::Next Core::raise(Vcpu& cpu, const Event& event, std::uint8_t length) {
  cpu.pending = PendingEvent{.event = event, .length = length};
  return Next::Resume;
}

Core::Next Core::on_memory_stop(Vcpu& cpu) {
  MemoryFault fault = mmu_.pending();
  mmu_.clear_pending();
  if (fault.fetch) {
    counter_.leave();  // whole blocks have run up to here
    if (fault.kind == MemoryFault::Kind::CodeBase) return Next::Resume;
    return on_fetch_fault(cpu, fault);
  }
  if (!fault.exact) repair_flags(cpu.env);
  settle_count(cpu.env);
  if (fault.kind == MemoryFault::Kind::OwnCode) return Next::Resume;
  if (fault.kind == MemoryFault::Kind::StaleCode) {
    mmu_.drop_code(fault.page);
    return Next::Resume;
  }
  // What is read first and then written faults as a write.
  if (!fault.exact && is_read_modify_write(decode_at_rip(cpu.env))) fault.error |= npf::kWrite;
  return fault_in_instruction(cpu, fault);
}

void Core::repair_flags(Env& env) {
  const Instruction in = decode_at_rip(env);
  if (!is_setcc_to_memory(in)) return;
  EnvHead& head = env.head();
  const Block& block = counter_.current();
  const std::uint64_t rip = env.linear_rip();
  std::array<std::uint8_t, kPageSize + 16> bytes;
  std::size_t count = 0;
  if (block.holds(rip)) {
    const std::size_t wanted = std::min<std::size_t>(rip - block.pc, bytes.size());
    count = mmu_.read_code(head, block.pc, std::span(bytes).first(wanted));
  }
  if (!has_flags_in_source(in, head.cc_op, std::span(bytes).first(count), env.code_bytes())) return;
  head.eflags = (head.eflags & ~rflags::kStatus) | (head.cc_src & rflags::kStatus);
}

Core::Next Core::fault_in_instruction(Vcpu& cpu, const MemoryFault& fault) {
  switch (fault.kind) {
    case MemoryFault::Kind::PageFault:
      return raise(cpu, Event::page_fault(static_cast<std::uint32_t>(fault.error), fault.linear));
    case MemoryFault::Kind::NonCanonical: {
      const bool stack = uses_stack(decode_at_rip(cpu.env));
      return raise(cpu, Event::exception(stack ? kStackFault : kGeneralProtection, 0));
    }
    default: return on_nested_fault(cpu, fault);
  }
}

// The translator goes on across the end of a page, and finds the next page missing with RIP still
// at the start of the straight line. Whole instructions in front of the end must run first.
Core::Next Core::on_fetch_fault(Vcpu& cpu, const MemoryFault& fault) {
  const std::uint64_t rip = cpu.env.linear_rip();
  if (page_of(fault.linear) != page_of(rip)) {
    std::array<std::uint8_t, 15> bytes{};
    const std::size_t room = std::min<std::size_t>(bytes.size(), kPageSize - (rip & 0xfff));
    const std::size_t count = mmu_.read_code(cpu.env.head(), rip, std::span(bytes).first(room));
    if (decode(std::span(bytes).first(count), cpu.env.code_bytes()).length != 0) {
      step_once_ = true;
      return Next::Resume;
    }
  }
  const std::uint64_t at = page_of(fault.linear) == page_of(rip) ? rip : page_of(fault.linear);
  MemoryFault exact = fault;
  exact.linear = at;
  if ((fault.error & npf::kGuestTable) == 0) exact.gpa = fault.gpa | (at & (kPageSize - 1));
  if (exact.kind == MemoryFault::Kind::NonCanonical) {
    return raise(cpu, Event::exception(kGeneralProtection, 0));
  }
  return fault_in_instruction(cpu, exact);
}

Core::Next Core::on_nested_fault(Vcpu& cpu, const MemoryFault& fault) {
  return leave(cpu, {.code = SvmExit::NestedPageFault,
                     .info1 = fault.error,
                     .info2 = fault.gpa,
                     .next_rip = 0,
                     .linear = fault.linear,
                     .size = fault.size,
                     .whole_operand = fault.exact,
                     .during_delivery = false});
}

Core::Next Core::on_interrupt_stop(Vcpu& cpu) {
  if (interrupt_ < kVmexit)
    return on_software_interrupt(cpu, static_cast<std::uint8_t>(interrupt_));
  const auto code = SvmExit(interrupt_ - kVmexit);
  if (in_range(code, SvmExit::Exception0, 32)) {
    const auto info = static_cast<std::uint32_t>(cpu.env.tail().error_code);
    return on_exception(cpu, static_cast<std::uint8_t>(number_of(code, SvmExit::Exception0)), info);
  }
  settle_count(cpu.env);
  return on_intercept(cpu, code);
}

// INT n, INT3, INTO: RIP is behind the instruction already, which need not be the last of its
// block: an INTO may go on. RIP goes back, for the delivery may fault.
Core::Next Core::on_software_interrupt(Vcpu& cpu, std::uint8_t vector) {
  const Block block = counter_.current();
  EnvHead& head = cpu.env.head();
  std::array<std::uint8_t, kPageSize + 16> bytes;
  const std::uint64_t rip = cpu.env.linear_rip();
  const std::size_t done = block.holds(rip - 1) ? rip - block.pc : block.size;
  const std::size_t wanted = std::min<std::size_t>(done, bytes.size());
  const std::size_t count = mmu_.read_code(head, block.pc, std::span(bytes).first(wanted));
  std::uint8_t length = 0;
  std::uint32_t before = 0;
  for (std::size_t at = 0; at < count; at += length) {
    if (length != 0) ++before;
    length = decode(std::span(bytes).subspan(at, count - at), cpu.env.code_bytes()).length;
    if (length == 0) break;
  }
  counter_.take_back(before);
  head.eip -= length;
  if (!cpu.env.code64()) head.eip &= 0xffff'ffff;
  return raise(cpu, {.vector = vector, .type = Event::Type::Software}, length);
}

Core::Next Core::on_exception(Vcpu& cpu, std::uint8_t vector, std::uint32_t error) {
  constexpr std::uint64_t kSingleStep = 1U << 14;
  if (vector == kDebug && (cpu.env.tail().dr[6] & kSingleStep) != 0) {
    counter_.leave();  // a trap: the block, one instruction, has retired
    return raise(cpu, Event::exception(kDebug));
  }
  settle_count(cpu.env);
  if (vector == kInvalidOpcode) {
    const Instruction in = decode_at_rip(cpu.env);
    // VMCALL is Intel's, and no hypercall of this CPU; guests that ask for one get it all the same.
    if (in.is(OpcodeMap::Two, 0x01) && in.modrm == 0xc1) {
      return leave(cpu, {.code = SvmExit::Vmmcall, .next_rip = next_rip(cpu.env, in.length)});
    }
    if (in.is(OpcodeMap::One, 0xf1)) return raise(cpu, Event::exception(kDebug), in.length);
  }
  return raise(cpu,
               has_error_code(vector) ? Event::exception(vector, error) : Event::exception(vector));
}

Core::Next Core::on_intercept(Vcpu& cpu, SvmExit code) {
  const Instruction in = decode_at_rip(cpu.env);
  if (code == SvmExit::Icebp) return raise(cpu, Event::exception(kDebug), in.length);
  if (in_range(code, SvmExit::WriteDr0, 16)) {
    return do_write_dr(cpu, number_of(code, SvmExit::WriteDr0), in);
  }
  const bool cr_write = in_range(code, SvmExit::WriteCr0, 16);
  if (cr_write && code != svm_exit(SvmExit::WriteCr0, 8)) {
    return do_write_cr(cpu, number_of(code, SvmExit::WriteCr0), in);
  }
  std::uint64_t info1 = 0;
  if (cr_write || in_range(code, SvmExit::ReadCr0, 16)) {
    info1 = retrap::x86_64::cr_access::kMov | in.rm() | ((in.rex & 1) != 0 ? 8 : 0);
  } else if (code == SvmExit::Msr) {
    info1 = in.opcode == 0x30 ? 1 : 0;  // WRMSR
  }
  return leave(cpu, {.code = code, .info1 = info1, .next_rip = next_rip(cpu.env, in.length)});
}

Core::Next Core::on_port_io(Vcpu& cpu) {
  settle_count(cpu.env);
  const Instruction in = decode_at_rip(cpu.env);
  LinearMemory memory(mmu_, cpu.env);
  const PortAccess access = describe_port_access(in, cpu.env);
  switch (check_port_access(access, cpu.env, memory)) {
    case PortCheck::Allowed: break;
    case PortCheck::Refused: return raise(cpu, Event::exception(kGeneralProtection, 0));
    case PortCheck::Fault:   return fault_in_instruction(cpu, memory.fault());
  }
  const std::uint64_t next = next_rip(cpu.env, in.length);
  return leave(cpu,
               {.code = SvmExit::Ioio, .info1 = access.info1, .info2 = next, .next_rip = next});
}

}  // namespace retrap::unicorn::x86_64
