// The table of exception classes.
#include "arch/aarch64/esr.h"

namespace retrap::aarch64 {
namespace {

struct ClassRow {
  ExceptionClass ec;
  std::string_view name;
};

// DDI 0487, D24.2.37, table of EC values; in its order.
constexpr std::array<ClassRow, 19> kClasses = {{
    {ExceptionClass::Unknown, "unknown reason"},
    {ExceptionClass::Wfx, "WFI or WFE"},
    {ExceptionClass::FpAccess, "access to SIMD or floating point"},
    {ExceptionClass::IllegalState, "illegal execution state"},
    {ExceptionClass::Svc64, "SVC"},
    {ExceptionClass::Hvc64, "HVC"},
    {ExceptionClass::Smc64, "SMC"},
    {ExceptionClass::SysReg, "MSR, MRS or system instruction"},
    {ExceptionClass::InstructionAbortLower, "instruction abort, lower EL"},
    {ExceptionClass::InstructionAbortSame, "instruction abort, same EL"},
    {ExceptionClass::PcAlignment, "PC alignment fault"},
    {ExceptionClass::DataAbortLower, "data abort, lower EL"},
    {ExceptionClass::DataAbortSame, "data abort, same EL"},
    {ExceptionClass::SpAlignment, "SP alignment fault"},
    {ExceptionClass::SError, "SError"},
    {ExceptionClass::BreakpointLower, "breakpoint, lower EL"},
    {ExceptionClass::StepLower, "software step, lower EL"},
    {ExceptionClass::WatchpointLower, "watchpoint, lower EL"},
    {ExceptionClass::Brk64, "BRK"},
}};

}  // namespace

std::string_view name_of(ExceptionClass ec) {
  for (const ClassRow& row : kClasses) {
    if (row.ec == ec) return row.name;
  }
  return "reserved";
}

}  // namespace retrap::aarch64
