// One function an exit: what the guest wanted, as an ExitReason, or done here.
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/floating_bus.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vcpu.h"

namespace retrap::x86_64 {
namespace {

constexpr auto kUndefinedOpcode = std::uint8_t{6};
constexpr auto kGeneralProtection = std::uint8_t{13};

std::uint32_t low32(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}

/// 2, 4 or 8 from the address-size bits.
unsigned address_bytes(std::uint64_t info1) {
  if ((info1 & ioio::kAddress64) != 0) return 8;
  return (info1 & ioio::kAddress32) != 0 ? 4 : 2;
}

}  // namespace

void Vcpu::retire(const RawExit& exit) {
  parts_.cpu.advance(static_cast<unsigned>(exit.next_rip - parts_.cpu.rip()) & 0xf);
}

// Nothing has retired: the monitor counts such turns, so that a guest whose handlers fault for ever
// cannot hold the host.
Vcpu::Handled Vcpu::fault(const Event& event) {
  parts_.cpu.inject(event);
  return exits::BudgetSpent{};
}

Vcpu::Handled Vcpu::on_cpuid(const RawExit& exit) {
  Cpu& cpu = parts_.cpu;
  const LocalApics& apics = parts_.interrupts.apics();
  const Lapic& own = apics.apic(number());
  const CpuidResult result = cpuid(low32(cpu.gpr(Gpr::Rax)), low32(cpu.gpr(Gpr::Rcx)),
                                   {.apic_id = own.id(),
                                    .cpu_count = apics.count(),
                                    .highest_apic_id = apics.highest_id(),
                                    .apic_enabled = own.is_enabled()});
  cpu.set_gpr(Gpr::Rax, result.eax);
  cpu.set_gpr(Gpr::Rbx, result.ebx);
  cpu.set_gpr(Gpr::Rcx, result.ecx);
  cpu.set_gpr(Gpr::Rdx, result.edx);
  retire(exit);
  return std::nullopt;
}

Vcpu::Handled Vcpu::on_hlt(const RawExit& exit) {
  retire(exit);
  return exits::Halt{};
}

Vcpu::Handled Vcpu::on_hypercall(const RawExit& exit) {
  const Cpu& cpu = parts_.cpu;
  if (cpu.cpl() != 0) return fault(Event::exception(kUndefinedOpcode));
  const auto gprs = cpu.gprs();
  const auto arg = [&](Gpr name) { return gprs[static_cast<std::size_t>(name)]; };
  retire(exit);
  return exits::Hypercall{.nr = arg(Gpr::Rax),
                          .args = {arg(Gpr::Rdi), arg(Gpr::Rsi), arg(Gpr::Rdx), arg(Gpr::Rcx),
                                   arg(Gpr::R8), arg(Gpr::R9)}};
}

Vcpu::Handled Vcpu::on_msr(const RawExit& exit) {
  const Cpu& cpu = parts_.cpu;
  const std::uint32_t msr = low32(cpu.gpr(Gpr::Rcx));
  const bool writes = (exit.info1 & 1) != 0;
  std::uint64_t value = cpu.gpr(Gpr::Rdx) << 32 | low32(cpu.gpr(Gpr::Rax));
  // A device of the embedder comes first: that is how a guest gets registers we do not have.
  auto answer = MsrFile::Answer::Unknown;
  if (!parts_.sysregs.covers(msr, 1)) {
    answer = writes ? msrs_.write(msr, value) : msrs_.read(msr, value);
  }
  switch (answer) {
    case MsrFile::Answer::Fault: return fault(Event::exception(kGeneralProtection, 0));
    case MsrFile::Answer::Done:
      awaited_ = writes ? Awaited::RegisterWrite : Awaited::RegisterRead;
      complete(value);
      return std::nullopt;
    case MsrFile::Answer::Unknown: break;
  }
  awaited_ = writes ? Awaited::RegisterWrite : Awaited::RegisterRead;
  if (writes) return exits::SysRegWrite{.addr = msr, .value = value};
  return exits::SysRegRead{.addr = msr, .reg = static_cast<std::uint8_t>(Gpr::Rax)};
}

Vcpu::Handled Vcpu::on_io(const RawExit& exit) {
  const auto width = width_of(extract(exit.info1, 6, 4));
  if (!width) return on_crash(exit);
  if ((exit.info1 & ioio::kString) != 0) return on_string_io(exit);
  const auto port = static_cast<std::uint16_t>(exit.info1 >> ioio::kPortShift);
  if ((exit.info1 & ioio::kIn) != 0) {
    awaited_ = Awaited::PortRead;
    return exits::IoRead{.port = port, .width = *width};
  }
  awaited_ = Awaited::PortWrite;
  const std::uint64_t data = truncate(parts_.cpu.gpr(Gpr::Rax), *width);
  return exits::IoWrite{.port = port, .width = *width, .data = data};
}

// INS and OUTS, one element an exit. The memory side is checked before the port is touched.
Vcpu::Handled Vcpu::on_string_io(const RawExit& exit) {
  Cpu& cpu = parts_.cpu;
  const unsigned address = address_bytes(exit.info1);
  const auto width = static_cast<Width>(extract(exit.info1, 6, 4));
  const auto port = static_cast<std::uint16_t>(exit.info1 >> ioio::kPortShift);
  const bool in = (exit.info1 & ioio::kIn) != 0;
  const bool repeats = (exit.info1 & ioio::kRep) != 0;
  if (repeats && (cpu.gpr(Gpr::Rcx) & low_bits(8 * address)) == 0) {
    retire(exit);
    return std::nullopt;
  }
  const auto segment =
      in ? SegmentName::Es : SegmentName(extract(exit.info1, 12, ioio::kSegmentShift));
  const std::uint64_t offset = cpu.gpr(in ? Gpr::Rdi : Gpr::Rsi);
  const std::uint64_t linear = OperandReader(cpu).linear(segment, offset, address);
  Operand operand;
  const Access access = in ? Access::Write : Access::Read;
  const auto trouble = OperandReader(cpu).translate(linear, static_cast<unsigned>(bytes(width)),
                                                    access, segment, operand);
  if (trouble) {
    if (trouble->kind == OperandFault::Kind::Nested) return nested_fault_of(*trouble);
    return exits::BudgetSpent{};
  }
  if (in) {
    awaited_ = Awaited::PortRead;
    return exits::IoRead{.port = port, .width = width};
  }
  FloatingBus memory(parts_.memory, parts_.mmio, id_);
  const auto data =
      Emulator(cpu, memory).load(linear, static_cast<unsigned>(bytes(width)), segment);
  awaited_ = Awaited::PortWrite;
  return exits::IoWrite{.port = port, .width = width, .data = data.value_or(0)};
}

void Vcpu::finish_string_io(bool in, std::uint64_t value) {
  Cpu& cpu = parts_.cpu;
  const RawExit& exit = cpu.last_exit();
  const unsigned address = address_bytes(exit.info1);
  const auto size = static_cast<unsigned>(extract(exit.info1, 6, 4));
  const Gpr pointer = in ? Gpr::Rdi : Gpr::Rsi;
  const std::uint64_t offset = cpu.gpr(pointer);
  if (in) {
    FloatingBus memory(parts_.memory, parts_.mmio, id_);
    const std::uint64_t linear = OperandReader(cpu).linear(SegmentName::Es, offset, address);
    // The operand was translated before the port was read, and nothing has run since.
    (void)Emulator(cpu, memory).store(linear, size, SegmentName::Es, value);
  }
  const bool down = (cpu.rflags() & flag::kDirection) != 0;
  cpu.set_gpr(pointer, merge_register(offset, down ? offset - size : offset + size, address));
  if ((exit.info1 & ioio::kRep) == 0) return retire(exit);
  const std::uint64_t count = cpu.gpr(Gpr::Rcx);
  cpu.set_gpr(Gpr::Rcx, merge_register(count, count - 1, address));
  cpu.advance(0);
}

Vcpu::Handled Vcpu::on_nested_fault(const RawExit& exit) {
  return nested_fault_of(
      {.kind = OperandFault::Kind::Nested, .gpa = GuestPhys(exit.info2), .info1 = exit.info1});
}

Vcpu::Handled Vcpu::nested_fault_of(const OperandFault& fault) {
  MappingFlags access = MappingFlags::Read;
  if ((fault.info1 & npf::kWrite) != 0) access = MappingFlags::Write;
  if ((fault.info1 & npf::kFetch) != 0) access = MappingFlags::Execute;
  return exits::NestedPageFault{.addr = fault.gpa, .access_flags = access};
}

// CR8 is the upper half of the task priority (SDM volume 3, 11.8.6).
Vcpu::Handled Vcpu::on_read_cr8(const RawExit& exit) {
  const Lapic& own = parts_.interrupts.apics().apic(number());
  parts_.cpu.set_gpr(Gpr(exit.info1 & 15), own.task_priority() >> 4);
  retire(exit);
  return std::nullopt;
}

Vcpu::Handled Vcpu::on_write_cr8(const RawExit& exit) {
  const std::uint64_t value = parts_.cpu.gpr(Gpr(exit.info1 & 15));
  if (value > 15) return fault(Event::exception(kGeneralProtection, 0));
  Lapic& own = parts_.interrupts.apics().apic(number());
  own.set_task_priority(static_cast<std::uint8_t>(value << 4));
  retire(exit);
  return std::nullopt;
}

// There is no cache to write back; PAUSE is a hint.
Vcpu::Handled Vcpu::on_cache_flush(const RawExit& exit) {
  retire(exit);
  return std::nullopt;
}

Vcpu::Handled Vcpu::on_undefined(const RawExit& exit) {
  (void)exit;
  return fault(Event::exception(kUndefinedOpcode));
}

Vcpu::Handled Vcpu::on_privileged(const RawExit& exit) {
  (void)exit;
  return fault(Event::exception(kGeneralProtection, 0));
}

Vcpu::Handled Vcpu::on_window(const RawExit& exit) {
  (void)exit;
  return std::nullopt;
}

// The end of an NMI handler: behind it the next NMI is taken, also where it faults.
Vcpu::Handled Vcpu::on_iret(const RawExit& exit) {
  (void)exit;
  block_nmi(false);
  const Completion done = parts_.cpu.complete_on({});
  if (done == Completion::Retired || done == Completion::Exception) return std::nullopt;
  block_nmi(done == Completion::NestedFault);  // it is tried again then
  return handle(parts_.cpu.last_exit());
}

Vcpu::Handled Vcpu::on_limit(const RawExit& exit) {
  (void)exit;
  return exits::BudgetSpent{};
}

Vcpu::Handled Vcpu::on_host_interrupt(const RawExit& exit) {
  return exits::ExternalInterrupt{.vector = exit.info1};
}

Vcpu::Handled Vcpu::on_crash(const RawExit& exit) {
  return exits::GuestCrash{.cause = static_cast<std::uint64_t>(exit.code),
                           .address = parts_.cpu.rip()};
}

Vcpu::Handled Vcpu::on_invalid(const RawExit& exit) {
  return exits::FailEntry{.hardware_entry_failure_reason = exit.info1};
}

}  // namespace retrap::x86_64
