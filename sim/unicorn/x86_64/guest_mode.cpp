// The one native VMRUN, and what surrounds it.
#include "sim/unicorn/x86_64/guest_mode.h"

#include "vmm/base/bytes.h"
#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {
namespace {

// VMCB, control area (APM volume 2, table B-1).
constexpr std::uint64_t kInterceptCrRead = 0x000;
constexpr std::uint64_t kInterceptCrWrite = 0x002;
constexpr std::uint64_t kInterceptDrWrite = 0x006;
constexpr std::uint64_t kInterceptExceptions = 0x008;
constexpr std::uint64_t kInterceptMisc = 0x00c;
constexpr std::uint64_t kIopmBase = 0x040;
constexpr std::uint64_t kMsrpmBase = 0x048;
constexpr std::uint64_t kAsid = 0x058;
// VMCB, state save area (table B-2).
constexpr std::uint64_t kSegments0 = 0x400;
constexpr unsigned kGdtrIndex = 6;
constexpr unsigned kIdtrIndex = 8;
constexpr std::uint64_t kEfer = 0x4d0;
constexpr std::uint64_t kCr4 = 0x548;
constexpr std::uint64_t kCr3 = 0x550;
constexpr std::uint64_t kCr0 = 0x558;
constexpr std::uint64_t kDr7 = 0x560;
constexpr std::uint64_t kDr6 = 0x568;
constexpr std::uint64_t kRflags = 0x570;
constexpr std::uint64_t kRip = 0x578;
constexpr std::uint64_t kRsp = 0x5d8;
constexpr std::uint64_t kRax = 0x5f8;

constexpr std::uint64_t intercept(SvmExit exit) {
  return std::uint64_t{1} << (static_cast<unsigned>(exit) - static_cast<unsigned>(SvmExit::Intr));
}

// Port I/O is no intercept of this engine: see port_io.h.
constexpr std::uint64_t kIntercepts =
    intercept(SvmExit::Rdpmc) | intercept(SvmExit::Cpuid) | intercept(SvmExit::Rsm) |
    intercept(SvmExit::Hlt) | intercept(SvmExit::Invlpga) | intercept(SvmExit::Msr) |
    intercept(SvmExit::Shutdown) | intercept(SvmExit::Vmrun) | intercept(SvmExit::Vmmcall) |
    intercept(SvmExit::Vmload) | intercept(SvmExit::Vmsave) | intercept(SvmExit::Stgi) |
    intercept(SvmExit::Clgi) | intercept(SvmExit::Skinit) | intercept(SvmExit::Icebp) |
    intercept(SvmExit::Monitor) | intercept(SvmExit::Mwait);

constexpr std::uint64_t kIret = intercept(SvmExit::Iret);

constexpr std::uint16_t kCrReads = 1U << 8;
constexpr std::uint16_t kCrWrites = 1U << 0 | 1U << 4 | 1U << 8;
constexpr std::uint16_t kDrWrites = 0xffff;

constexpr std::array<std::uint8_t, 3> kVmrun = {0x0f, 0x01, 0xd8};

void write_reg(uc_engine* uc, int id, std::uint64_t value) {
  check(uc_reg_write(uc, id, &value), "reg_write");
}

EnvSegment to_env(const Segment& segment) {
  return {.selector = segment.selector,
          .padding = 0,
          .base = segment.base,
          .limit = segment.limit,
          .flags = to_flags(segment.attributes)};
}

}  // namespace

GuestMode::GuestMode(Engine& engine, MonitorMemory& monitor, const EnvLayout& layout)
    : engine_(engine), monitor_(monitor), host_(engine.get(), layout) {
  uc_engine* uc = engine.get();
  // EFER and CR4 of the host: long mode.
  uc_x86_msr efer{0xc000'0080, efer::kSvme | efer::kNxe | efer::kLma | efer::kLme | efer::kSce};
  check(uc_reg_write(uc, UC_X86_REG_MSR, &efer), "reg_write EFER");
  uc_x86_msr save_area{0xc001'0117, layout::kHostSave};
  check(uc_reg_write(uc, UC_X86_REG_MSR, &save_area), "reg_write VM_HSAVE_PA");
  write_reg(uc, UC_X86_REG_CR4, cr4::kPae);
  write_reg(uc, UC_X86_REG_RAX, layout::kVmcb);
  write_reg(uc, UC_X86_REG_RFLAGS, 2);
  // The engine resets these to zero.
  const std::uint16_t control = 0x37f;
  const std::uint16_t tags = 0xffff;
  const std::uint32_t mxcsr = 0x1f80;
  check(uc_reg_write(uc, UC_X86_REG_FPCW, &control), "reg_write FPCW");
  check(uc_reg_write(uc, UC_X86_REG_FPTAG, &tags), "reg_write FPTAG");
  check(uc_reg_write(uc, UC_X86_REG_MXCSR, &mxcsr), "reg_write MXCSR");
  host_.attach();
  host_.detach();

  std::memcpy(monitor.at(layout::kStub, kVmrun.size()).data(), kVmrun.data(), kVmrun.size());
  std::memset(monitor.at(layout::kIoPermissions, 0x3000).data(), 0xff, 0x3000);
  std::memset(monitor.at(layout::kMsrPermissions, 0x2000).data(), 0xff, 0x2000);
}

template <class T>
void GuestMode::put(std::uint64_t offset, T value) {
  RETRAP_CHECK(store_le<T>(monitor_.at(layout::kVmcb, kPageSize), offset, value), "{:#x}", offset);
}

void GuestMode::write_segment(unsigned index, const Segment& segment) {
  const std::uint64_t offset = kSegments0 + std::uint64_t{index} * 16;
  put<std::uint16_t>(offset, segment.selector);
  put<std::uint16_t>(offset + 2, segment.attributes);
  put<std::uint32_t>(offset + 4, segment.limit);
  put<std::uint64_t>(offset + 8, segment.base);
}

void GuestMode::write_vmcb(const CpuState& state) {
  std::memset(monitor_.at(layout::kVmcb, kPageSize).data(), 0, kPageSize);
  put<std::uint16_t>(kInterceptCrRead, kCrReads);
  put<std::uint16_t>(kInterceptCrWrite, kCrWrites);
  put<std::uint16_t>(kInterceptDrWrite, kDrWrites);
  put<std::uint32_t>(kInterceptExceptions, 0xffff'ffff);
  put<std::uint64_t>(kInterceptMisc, kIntercepts);
  put<std::uint64_t>(kIopmBase, layout::kIoPermissions);
  put<std::uint64_t>(kMsrpmBase, layout::kMsrPermissions);
  put<std::uint32_t>(kAsid, 1);

  for (unsigned i = 0; i < 4; ++i) write_segment(i, state.segments[i]);
  write_segment(kGdtrIndex, {.limit = state.gdtr.limit, .base = state.gdtr.base});
  write_segment(kIdtrIndex, {.limit = state.idtr.limit, .base = state.idtr.base});
  put<std::uint64_t>(kEfer, state.efer | efer::kSvme);
  put<std::uint64_t>(kCr4, state.cr4);
  put<std::uint64_t>(kCr3, state.cr3);
  put<std::uint64_t>(kCr0, state.cr0);
  put<std::uint64_t>(kDr7, 0x400);
  put<std::uint64_t>(kDr6, state.dr6);
  put<std::uint64_t>(kRflags, state.rflags);
  put<std::uint64_t>(kRip, state.rip);
  put<std::uint64_t>(kRsp, state.gpr[static_cast<unsigned>(Gpr::Rsp)]);
  put<std::uint64_t>(kRax, state.gpr[static_cast<unsigned>(Gpr::Rax)]);
}

void GuestMode::enter(const CpuState& state, Env& env) {
  write_vmcb(state);
  host_.copy_to_engine();
  engine_.flush_tlb();
  entering_ = true;
  // Ends with a refused fetch of the guest's first instruction.
  const uc_err error = engine_.start(layout::kStub);
  entering_ = false;
  env.attach();
  RETRAP_CHECK(error == UC_ERR_EXCEPTION && (env.head().hflags & hf::kGuest) != 0,
               "VMRUN refused the state: {}", uc_strerror(error));
  engine_.flush_tlb();

  EnvHead& head = env.head();
  for (unsigned i = 0; i < 16; ++i) head.regs[i] = state.gpr[i];
  head.segs[static_cast<unsigned>(SegmentName::Fs)] = to_env(state.segment(SegmentName::Fs));
  head.segs[static_cast<unsigned>(SegmentName::Gs)] = to_env(state.segment(SegmentName::Gs));
  head.ldt = to_env(state.segment(SegmentName::Ldtr));
  head.tr = to_env(state.segment(SegmentName::Tr));
  head.cr[2] = state.cr2;
  head.eip = state.rip;
  if (env.has_code_base()) env.drop_code_base();
  env.tail().dr[7] = state.dr7 | 0x400;
  env.tail().old_exception = -1;
  env.tail().exception_is_int = 0;
}

void intercept_iret(Env& env, bool wanted) {
  std::uint64_t& intercepts = env.tail().intercept;
  intercepts = wanted ? intercepts | kIret : intercepts & ~kIret;
}

bool GuestMode::fill(std::uint64_t linear, uc_tlb_entry* entry) {
  entry->paddr = linear;
  entry->perms = UC_PROT_ALL;
  return linear == (layout::kStub & ~(kPageSize - 1));
}

}  // namespace retrap::unicorn::x86_64
