// The names of the hardware interface that the simulated CPU is made of.
#pragma once

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/stage2.h"

namespace retrap::unicorn::x86_64 {

using retrap::x86_64::Access;
using retrap::x86_64::Completion;
using retrap::x86_64::CpuState;
using retrap::x86_64::DescriptorTable;
using retrap::x86_64::Event;
using retrap::x86_64::Gpr;
using retrap::x86_64::kSegments;
using retrap::x86_64::Privilege;
using retrap::x86_64::RawExit;
using retrap::x86_64::RawExitHandler;
using retrap::x86_64::ScratchPage;
using retrap::x86_64::Segment;
using retrap::x86_64::SegmentName;
using retrap::x86_64::SvmExit;
using retrap::x86_64::Translation;
namespace ioio = retrap::x86_64::ioio;
namespace npf = retrap::x86_64::npf;
namespace npt = retrap::x86_64::npt;

/// Vectors of exceptions.
enum Vector : std::uint8_t {
  kDivideError = 0,
  kDebug = 1,
  kBreakpoint = 3,
  kInvalidOpcode = 6,
  kDoubleFault = 8,
  kInvalidTss = 10,
  kSegmentNotPresent = 11,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFault = 14,
  kAlignmentCheck = 17,
};

}  // namespace retrap::unicorn::x86_64
