// Every SVM exit with its name and the code that answers it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "arch/x86_64/svm.h"
#include "arch/x86_64/vcpu.h"

namespace retrap::x86_64 {

/// APM volume 2, appendix C, in its order. Exits of intercepts that we never ask for are crashes:
/// the hardware under us is not what it says.
struct ExitTable {
  using Handler = Vcpu::Handled (Vcpu::*)(const RawExit&);

  struct Row {
    SvmExit code;
    std::string_view name;
    Handler handler;
  };

  // clang-format off
  static constexpr std::array kRows = {
      Row{svm_exit(SvmExit::ReadCr0, 8),  "CR8_READ",  &Vcpu::on_read_cr8},
      Row{svm_exit(SvmExit::WriteCr0, 8), "CR8_WRITE", &Vcpu::on_write_cr8},
      Row{SvmExit::Intr,     "INTR",     &Vcpu::on_host_interrupt},
      Row{SvmExit::Vintr,    "VINTR",    &Vcpu::on_window},
      Row{SvmExit::Rdpmc,    "RDPMC",    &Vcpu::on_privileged},
      Row{SvmExit::Cpuid,    "CPUID",    &Vcpu::on_cpuid},
      Row{SvmExit::Rsm,      "RSM",      &Vcpu::on_undefined},
      Row{SvmExit::Iret,     "IRET",     &Vcpu::on_iret},
      Row{SvmExit::Invd,     "INVD",     &Vcpu::on_cache_flush},
      Row{SvmExit::Pause,    "PAUSE",    &Vcpu::on_cache_flush},
      Row{SvmExit::Hlt,      "HLT",      &Vcpu::on_hlt},
      Row{SvmExit::Ioio,     "IOIO",     &Vcpu::on_io},
      Row{SvmExit::Msr,      "MSR",      &Vcpu::on_msr},
      Row{SvmExit::Shutdown, "SHUTDOWN", &Vcpu::on_crash},
      Row{SvmExit::Vmrun,    "VMRUN",    &Vcpu::on_undefined},
      Row{SvmExit::Vmmcall,  "VMMCALL",  &Vcpu::on_hypercall},
      Row{SvmExit::Vmload,   "VMLOAD",   &Vcpu::on_undefined},
      Row{SvmExit::Vmsave,   "VMSAVE",   &Vcpu::on_undefined},
      Row{SvmExit::Stgi,     "STGI",     &Vcpu::on_undefined},
      Row{SvmExit::Clgi,     "CLGI",     &Vcpu::on_undefined},
      Row{SvmExit::Skinit,   "SKINIT",   &Vcpu::on_undefined},
      Row{SvmExit::Wbinvd,   "WBINVD",   &Vcpu::on_cache_flush},
      Row{SvmExit::Monitor,  "MONITOR",  &Vcpu::on_undefined},
      Row{SvmExit::Mwait,    "MWAIT",    &Vcpu::on_undefined},
      Row{SvmExit::Xsetbv,   "XSETBV",   &Vcpu::on_undefined},
      Row{SvmExit::NestedPageFault, "NPF", &Vcpu::on_nested_fault},
      Row{SvmExit::Limit,      "LIMIT",      &Vcpu::on_limit},
      Row{SvmExit::Unmodelled, "UNMODELLED", &Vcpu::on_crash},
      Row{SvmExit::Invalid,    "INVALID",    &Vcpu::on_invalid},
  };
  // clang-format on

  static constexpr std::size_t kDirect = 0x90;  ///< codes below are looked up by index

  [[nodiscard]] static constexpr Handler find(SvmExit code) {
    for (const Row& row : kRows) {
      if (row.code == code) return row.handler;
    }
    return &Vcpu::on_crash;
  }

  [[nodiscard]] static constexpr std::array<Handler, kDirect> make_direct() {
    std::array<Handler, kDirect> direct{};
    for (std::uint32_t code = 0; code < kDirect; ++code) direct[code] = find(SvmExit(code));
    return direct;
  }
};

}  // namespace retrap::x86_64
