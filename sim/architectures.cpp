// Each architecture on its Unicorn CPU: the one place where a name becomes a type.
#include "sim/architectures.h"

#include "arch/aarch64/architecture.h"
#include "arch/aarch64/board.h"
#include "arch/riscv64/architecture.h"
#include "arch/riscv64/board.h"
#include "arch/x86_64/architecture.h"
#include "arch/x86_64/board.h"
#include "sim/unicorn/aarch64.h"
#include "sim/unicorn/riscv64.h"
#include "sim/unicorn/x86_64.h"

namespace retrap {

std::unique_ptr<Architecture> make_architecture(ArchId arch, HostMemory& memory, Clock& clock) {
  switch (arch) {
    case ArchId::X86_64:
      return x86_64::make_architecture(unicorn::x86_64::make_unicorn_hardware(memory, clock));
    case ArchId::Aarch64:
      return aarch64::make_architecture(unicorn::aarch64::make_unicorn_hardware(memory, clock));
    case ArchId::Riscv64:
      return riscv64::make_architecture(unicorn::riscv64::make_unicorn_hardware(memory, clock));
  }
  return nullptr;
}

std::uint64_t board_revision(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return x86_64::kBoardRevision;
    case ArchId::Aarch64: return aarch64::kBoardRevision;
    case ArchId::Riscv64: return riscv64::kBoardRevision;
  }
  return 0;
}

}  // namespace retrap
