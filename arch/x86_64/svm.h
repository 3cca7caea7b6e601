// The exits of AMD's Secure Virtual Machine, as the hardware encodes them (AMD APM volume 2).
#pragma once

#include <cstdint>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {

/// EXITCODE of the VMCB (APM volume 2, appendix C), and what only a simulated CPU can say.
enum class SvmExit : std::uint32_t {
  ReadCr0 = 0x00,     ///< + number of the control register, to 0x0f
  WriteCr0 = 0x10,    ///< + number, to 0x1f
  ReadDr0 = 0x20,     ///< + number, to 0x2f
  WriteDr0 = 0x30,    ///< + number, to 0x3f
  Exception0 = 0x40,  ///< + vector, to 0x5f
  Intr = 0x60,
  Nmi = 0x61,
  Smi = 0x62,
  Init = 0x63,
  Vintr = 0x64,  ///< the interrupt window is open
  Cr0SelWrite = 0x65,
  ReadIdtr = 0x66,
  ReadGdtr = 0x67,
  ReadLdtr = 0x68,
  ReadTr = 0x69,
  WriteIdtr = 0x6a,
  WriteGdtr = 0x6b,
  WriteLdtr = 0x6c,
  WriteTr = 0x6d,
  Rdtsc = 0x6e,
  Rdpmc = 0x6f,
  Pushf = 0x70,
  Popf = 0x71,
  Cpuid = 0x72,
  Rsm = 0x73,
  Iret = 0x74,
  SoftwareInt = 0x75,
  Invd = 0x76,
  Pause = 0x77,
  Hlt = 0x78,
  Invlpg = 0x79,
  Invlpga = 0x7a,
  Ioio = 0x7b,
  Msr = 0x7c,  ///< EXITINFO1: 0 RDMSR, 1 WRMSR
  TaskSwitch = 0x7d,
  FerrFreeze = 0x7e,
  Shutdown = 0x7f,
  Vmrun = 0x80,
  Vmmcall = 0x81,
  Vmload = 0x82,
  Vmsave = 0x83,
  Stgi = 0x84,
  Clgi = 0x85,
  Skinit = 0x86,
  Rdtscp = 0x87,
  Icebp = 0x88,
  Wbinvd = 0x89,
  Monitor = 0x8a,
  Mwait = 0x8b,
  Xsetbv = 0x8d,
  NestedPageFault = 0x400,
  Invalid = 0xffff'ffff,  ///< VMEXIT_INVALID: VMRUN refuses the VMCB

  // Not AMD's.
  Limit = 0x1000,       ///< Clock::stop_at() is reached
  Unmodelled = 0x1001,  ///< the guest wants what the simulated CPU does not have (a task gate)
};

[[nodiscard]] constexpr SvmExit svm_exit(SvmExit first, unsigned number) {
  return SvmExit(static_cast<std::uint32_t>(first) + number);
}

/// EXITINFO1 of a nested page fault: a page-fault error code, and where in the walk it happened
/// (APM volume 2, 15.25.6). EXITINFO2 is the guest-physical address.
namespace npf {
inline constexpr std::uint64_t kPresent = bit(0);
inline constexpr std::uint64_t kWrite = bit(1);
inline constexpr std::uint64_t kUser = bit(2);
inline constexpr std::uint64_t kReserved = bit(3);
inline constexpr std::uint64_t kFetch = bit(4);
inline constexpr std::uint64_t kFinal = bit(32);       ///< the guest's final physical address
inline constexpr std::uint64_t kGuestTable = bit(33);  ///< a page table of the guest
}  // namespace npf

/// EXITINFO1 of an intercepted IN, OUT, INS or OUTS (APM volume 2, figure 15-2). EXITINFO2 is the
/// RIP of the next instruction. The port is in [31:16].
namespace ioio {
inline constexpr std::uint64_t kIn = bit(0);
inline constexpr std::uint64_t kString = bit(2);
inline constexpr std::uint64_t kRep = bit(3);
inline constexpr std::uint64_t kSize8 = bit(4);
inline constexpr std::uint64_t kSize16 = bit(5);
inline constexpr std::uint64_t kSize32 = bit(6);
inline constexpr std::uint64_t kAddress16 = bit(7);
inline constexpr std::uint64_t kAddress32 = bit(8);
inline constexpr std::uint64_t kAddress64 = bit(9);
inline constexpr unsigned kSegmentShift = 10;  ///< [12:10]: ES CS SS DS FS GS, of OUTS
inline constexpr unsigned kPortShift = 16;
}  // namespace ioio

/// EXITINFO1 of an intercepted access to a control register (decode assist, APM volume 2, 15.8.1).
namespace cr_access {
inline constexpr std::uint64_t kMov = bit(63);  ///< MOV CRn, with its general register in [3:0]
}  // namespace cr_access

}  // namespace retrap::x86_64
