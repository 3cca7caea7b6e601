// The RAII wrapper of a Unicorn engine.
#include "sim/unicorn/engine.h"

#include <fmt/format.h>

#include <cstdlib>

#include "sim/unicorn/host_libm.h"

namespace retrap::unicorn {

void check(uc_err error, const char* what) {
  if (error == UC_ERR_OK) return;
  fmt::print(stderr, "unicorn: {}: {}\n", what, uc_strerror(error));
  std::abort();
}

Result<Engine> Engine::open(const Options& options, HostMemory& memory) {
  const auto refuse = [](uc_err error, std::string_view call) {
    return fail(ErrorCode::Backend, "unicorn {}.{}: {}: {}", UC_VERSION_MAJOR, UC_VERSION_MINOR,
                call, uc_strerror(error));
  };
  replace_host_libm();
  uc_engine* raw = nullptr;
  if (const uc_err error = uc_open(options.arch, options.mode, &raw)) return refuse(error, "open");
  Engine engine(raw);
  if (options.cpu_model >= 0) {
    const uc_err error = uc_ctl_set_cpu_model(raw, options.cpu_model);
    if (error != UC_ERR_OK) return refuse(error, "set_cpu_model");
  }
  if (options.arch == UC_ARCH_ARM64) {
    check(uc_ctl_set_page_size(raw, static_cast<std::uint32_t>(kPageSize)), "set_page_size");
  }
  if (const uc_err error = uc_ctl_exits_enable(raw)) return refuse(error, "exits_enable");
  const uc_err mapped =
      uc_mem_map_ptr(raw, memory.base().raw(), memory.size(), UC_PROT_ALL, memory.data());
  if (mapped != UC_ERR_OK) return refuse(mapped, "mem_map_ptr");
  if (const uc_err error = uc_ctl_tlb_mode(raw, UC_TLB_VIRTUAL)) return refuse(error, "tlb_mode");
  return engine;
}

Engine::~Engine() {
  if (uc_ != nullptr) uc_close(uc_);
}

uc_hook Engine::add_hook(int type, void* callback, void* user, std::uint64_t begin,
                         std::uint64_t end) {
  uc_hook hook = 0;
  check(uc_hook_add(uc_, &hook, type, callback, user, begin, end), "hook_add");
  return hook;
}

uc_hook Engine::add_instruction_hook(int instruction, void* callback, void* user,
                                     std::uint64_t begin, std::uint64_t end) {
  uc_hook hook = 0;
  check(uc_hook_add(uc_, &hook, UC_HOOK_INSN, callback, user, begin, end, instruction), "hook_add");
  return hook;
}

void Engine::remove_hook(uc_hook hook) {
  check(uc_hook_del(uc_, hook), "hook_del");
}

void Engine::flush_tlb() {
  check(uc_ctl_flush_tlb(uc_), "flush_tlb");
}
void Engine::flush_code() {
  check(uc_ctl_flush_tb(uc_), "flush_tb");
}

}  // namespace retrap::unicorn
