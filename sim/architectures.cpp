// Each architecture on its Unicorn CPU: the one place where a name becomes a type.
#include "sim/architectures.h"

#if __has_include("arch/x86_64/architecture.h") && __has_include("sim/unicorn/x86_64.h")
#define RETRAP_HAS_X86_64 1
#include "arch/x86_64/architecture.h"
#include "sim/unicorn/x86_64.h"
#endif
#if __has_include("arch/aarch64/architecture.h") && __has_include("sim/unicorn/aarch64.h")
#define RETRAP_HAS_AARCH64 1
#include "arch/aarch64/architecture.h"
#include "sim/unicorn/aarch64.h"
#endif
#if __has_include("arch/riscv64/architecture.h") && __has_include("sim/unicorn/riscv64.h")
#define RETRAP_HAS_RISCV64 1
#include "arch/riscv64/architecture.h"
#include "sim/unicorn/riscv64.h"
#endif

namespace retrap {

std::unique_ptr<Architecture> make_architecture(ArchId arch, HostMemory& memory, Clock& clock) {
  (void)memory;
  (void)clock;
  switch (arch) {
    case ArchId::X86_64:
#ifdef RETRAP_HAS_X86_64
      return x86_64::make_architecture(unicorn::x86_64::make_unicorn_hardware(memory, clock));
#else
      return nullptr;
#endif
    case ArchId::Aarch64:
#ifdef RETRAP_HAS_AARCH64
      return aarch64::make_architecture(unicorn::aarch64::make_unicorn_hardware(memory, clock));
#else
      return nullptr;
#endif
    case ArchId::Riscv64:
#ifdef RETRAP_HAS_RISCV64
      return riscv64::make_architecture(unicorn::riscv64::make_unicorn_hardware(memory, clock));
#else
      return nullptr;
#endif
  }
  return nullptr;
}

}  // namespace retrap
