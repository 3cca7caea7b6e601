// One CPU of a VM: entering the guest and reading why it left.
#include "sim/unicorn/x86_64/cpu.h"

#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {
namespace {

Segment to_segment(const EnvSegment& segment) {
  return {.selector = static_cast<std::uint16_t>(segment.selector),
          .attributes = to_attributes(segment.flags),
          .limit = segment.limit,
          .base = segment.base};
}

DescriptorTable to_table(const EnvSegment& table) {
  return {.base = table.base, .limit = static_cast<std::uint16_t>(table.limit)};
}

/// The MSRs that the CPU holds. A null member is one of `special`.
std::uint64_t* find_msr(Env& env, std::uint32_t number) {
  EnvMsrs& msrs = env.msrs();
  switch (number) {
    case 0x175:       return &msrs.sysenter_esp;
    case 0x176:       return &msrs.sysenter_eip;
    case 0x277:       return &env.pat();
    case 0xc000'0081: return &msrs.star;
    case 0xc000'0082: return &msrs.lstar;
    case 0xc000'0083: return &msrs.cstar;
    case 0xc000'0084: return &msrs.fmask;
    case 0xc000'0100: return &env.head().segs[static_cast<unsigned>(SegmentName::Fs)].base;
    case 0xc000'0101: return &env.head().segs[static_cast<unsigned>(SegmentName::Gs)].base;
    case 0xc000'0102: return &msrs.kernel_gs_base;
    case 0xc000'0103: return &msrs.tsc_aux;
    default:          return nullptr;
  }
}

constexpr std::uint32_t kSysenterCs = 0x174;

}  // namespace

const RawExit& UnicornCpu::run() {
  FirstExit<RawExitHandler, const RawExit> first;
  return core_.run(*vcpu_, first);
}

std::uint64_t UnicornCpu::gpr(Gpr name) const {
  return head().regs[static_cast<unsigned>(name)];
}
void UnicornCpu::set_gpr(Gpr name, std::uint64_t value) {
  head().regs[static_cast<unsigned>(name)] = value;
}

Segment UnicornCpu::segment(SegmentName name) const {
  switch (name) {
    case SegmentName::Ldtr: return to_segment(head().ldt);
    case SegmentName::Tr:   return to_segment(head().tr);
    default:                return to_segment(head().segs[static_cast<unsigned>(name)]);
  }
}

void UnicornCpu::set_efer(std::uint64_t value) {
  // LMA is what CR0.PG and LME made it. The engine needs SVME to stay set.
  head().efer = (value & ~efer::kLma) | (head().efer & efer::kLma) | efer::kSvme;
  core_.mmu().flush();
}

CpuState UnicornCpu::state() const {
  CpuState state;
  for (unsigned i = 0; i < 16; ++i) state.gpr[i] = head().regs[i];
  for (unsigned i = 0; i < kSegments; ++i) state.segments[i] = segment(SegmentName(i));
  state.rip = head().eip;
  state.rflags = rflags();
  state.gdtr = to_table(head().gdt);
  state.idtr = to_table(head().idt);
  state.cr0 = head().cr[0];
  state.cr2 = head().cr[2];
  state.cr3 = head().cr[3];
  state.cr4 = head().cr[4];
  state.efer = efer();
  state.dr6 = vcpu_->env.tail().dr[6];
  state.dr7 = vcpu_->env.tail().dr[7];
  return state;
}

bool UnicornCpu::has_msr(std::uint32_t number) const {
  return number == kSysenterCs || find_msr(vcpu_->env, number) != nullptr;
}

std::uint64_t UnicornCpu::msr(std::uint32_t number) const {
  if (number == kSysenterCs) return vcpu_->env.msrs().sysenter_cs;
  const std::uint64_t* place = find_msr(vcpu_->env, number);
  RETRAP_CHECK(place != nullptr, "MSR {:#x} is not the CPU's", number);
  return *place;
}

void UnicornCpu::set_msr(std::uint32_t number, std::uint64_t value) {
  if (number == kSysenterCs) {
    vcpu_->env.msrs().sysenter_cs = static_cast<std::uint32_t>(value);
    return;
  }
  std::uint64_t* place = find_msr(vcpu_->env, number);
  RETRAP_CHECK(place != nullptr, "MSR {:#x} is not the CPU's", number);
  *place = value;
}

void UnicornCpu::advance(unsigned length) {
  EnvHead& env = head();
  core_.clock().retire_to(core_.clock().retired() + 1);
  env.hflags &= ~hf::kInhibit;
  env.eflags &= ~rflags::kRf;
  if (length == 0) return;
  env.eip += length;
  if (!vcpu_->env.code64()) env.eip &= 0xffff'ffff;
  if ((env.eflags & rflags::kTf) != 0 && !vcpu_->pending) {
    vcpu_->env.tail().dr[6] |= 1U << 14;  // BS
    inject(Event::exception(kDebug));
  }
}

bool UnicornCpu::can_take_interrupt() const {
  return (head().eflags & rflags::kIf) != 0 && !vcpu_->env.in_shadow() && !vcpu_->pending;
}

Translation UnicornCpu::translate(std::uint64_t linear, Access access, Privilege privilege) {
  const Walk walk =
      core_.mmu().walker().walk(PagingMode::of(head()), linear, access, privilege, Marks::Set);
  return {.kind = walk.kind, .gpa = GuestPhys(walk.gpa), .error = walk.error};
}

std::size_t UnicornCpu::fetch(std::span<std::uint8_t, 15> into) {
  return core_.mmu().read_code(head(), vcpu_->env.linear_rip(), into);
}

}  // namespace retrap::unicorn::x86_64
