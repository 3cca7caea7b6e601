// IN, OUT, INS and OUTS. The engine neither intercepts them nor checks the guest's right to them.
#pragma once

#include "sim/unicorn/x86_64/instruction.h"
#include "sim/unicorn/x86_64/linear_memory.h"

namespace retrap::unicorn::x86_64 {

struct PortAccess {
  std::uint64_t info1 = 0;  ///< EXITINFO1 of the exit
  std::uint16_t port = 0;
  unsigned bytes = 1;  ///< 1, 2 or 4
};

[[nodiscard]] PortAccess describe_port_access(const Instruction& instruction, const Env& env);

enum class PortCheck : std::uint8_t {
  Allowed,
  Refused,  ///< #GP(0)
  Fault,    ///< the permission map could not be read: LinearMemory::fault()
};

/// IOPL and the permission map in the TSS (APM volume 2, 12.2.5).
[[nodiscard]] PortCheck check_port_access(const PortAccess& access, const Env& env,
                                          LinearMemory& memory);

}  // namespace retrap::unicorn::x86_64
