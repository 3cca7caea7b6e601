// Finds what the engine decides by whether to leave, and tries out what happens when it is changed.
#include "sim/unicorn/fill_exceptions.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csetjmp>
#include <cstring>
#include <span>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn {
namespace {

/// The fields of Unicorn 2.1.4's uc_struct around its error.
struct ErrorFields {
  std::uint64_t invalid_addr;
  std::int32_t invalid_error;
  std::int32_t use_exits;  // 1: see Engine
};

/// Its CPUState. A pointer to it is in uc_struct; the registers are behind it.
struct CpuState {
  std::int32_t nr_cores, nr_threads;
  void* thread;
  std::uint8_t created, stop, stopped, unplug, crash_occurred;
  std::byte exit_request;
  std::uint8_t in_exclusive_context;
  std::uint32_t cflags_next_tb, interrupt_request;
  std::int32_t singlestep_enabled;
  std::int64_t icount_budget, icount_extra;
  std::uint64_t random_seed;
  sigjmp_buf jmp_env;
  void* cpu_ases;
  std::int32_t num_ases;
  void *as, *memory;
  void* env_ptr;
  void* icount_decr_ptr;
  std::array<void*, 4096> tb_jmp_cache;
  std::array<void*, 6> lists;
  void *watchpoint_hit, *opaque;
  std::size_t mem_io_pc;
  std::array<unsigned long, 2> trace_dstate;
  std::int32_t cpu_index, cluster_index;
  std::uint32_t halted, can_do_io;
  std::int32_t exception_index;
  uc_engine* uc;
};

constexpr std::uint64_t kNowhere = 0x5115'c0de'0000;  ///< no other word of the engine is like it
/// At most, from the end of CPUState to the registers: the TLB is between them.
constexpr std::size_t kSearched = std::size_t{16} << 10;
constexpr std::size_t kWord = sizeof(std::size_t);

/// Whether the word at `at` is this address.
bool is_word(const std::byte* at, const void* address) {
  const auto wanted = std::as_bytes(std::span(&address, 1));
  return std::ranges::equal(wanted, std::span(at, wanted.size()));
}

/// Whether one of the words of `uc` is `wanted`.
bool points_to(uc_engine* uc, const void* wanted) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(uc);
  const std::size_t size = malloc_usable_size(uc);
  for (std::size_t at = 0; at + kWord <= size; at += kWord) {
    if (is_word(bytes + at, wanted)) return true;
  }
  return false;
}

/// The CPU whose registers are `env`, or null.
CpuState* cpu_of(uc_engine* uc, std::byte* env) {
  for (std::size_t back = kWord; back <= kSearched; back += kWord) {
    if (!is_word(env - back, uc)) continue;
    auto* const cpu = reinterpret_cast<CpuState*>(env - back - offsetof(CpuState, uc));
    return points_to(uc, cpu) && cpu->env_ptr == env ? cpu : nullptr;
  }
  return nullptr;
}

/// Where `uc` keeps its error, having failed at kNowhere; or null.
std::int32_t* error_of(uc_engine* uc) {
  auto* const bytes = reinterpret_cast<std::byte*>(uc);
  const std::size_t size = malloc_usable_size(uc);
  for (std::size_t at = 0; at + sizeof(ErrorFields) <= size; at += sizeof(std::uint64_t)) {
    ErrorFields fields;
    std::memcpy(&fields, bytes + at, sizeof fields);
    if (fields.invalid_addr != kNowhere || fields.use_exits != 1) continue;
    return reinterpret_cast<std::int32_t*>(bytes + at + offsetof(ErrorFields, invalid_error));
  }
  return nullptr;
}

/// A run that begins where nothing is: every fetch is refused.
struct Trial {
  FillExceptions fills;
  unsigned refused = 0;
  unsigned taken = 0;

  static bool on_fill(uc_engine*, std::uint64_t, uc_mem_type, uc_tlb_entry*, void* user) {
    auto& trial = *static_cast<Trial*>(user);
    ++trial.refused;
    trial.fills.raise();
    return false;
  }
  static void on_exception(uc_engine* uc, std::uint32_t number, void* user) {
    auto& trial = *static_cast<Trial*>(user);
    if (number == FillExceptions::kNumber && trial.fills.take()) ++trial.taken;
    if (trial.taken != 1) uc_emu_stop(uc);
  }

  uc_err run(uc_engine* uc) {
    uc_hook fill = 0;
    uc_hook exception = 0;
    check(uc_hook_add(uc, &fill, UC_HOOK_TLB_FILL, std::bit_cast<void*>(&on_fill), this, 1, 0),
          "hook_add");
    check(
        uc_hook_add(uc, &exception, UC_HOOK_INTR, std::bit_cast<void*>(&on_exception), this, 1, 0),
        "hook_add");
    const HostClockStandsStill guard;
    const uc_err error = uc_emu_start(uc, kNowhere, 0, 0, 0);
    check(uc_hook_del(uc, fill), "hook_del");
    check(uc_hook_del(uc, exception), "hook_del");
    return error;
  }
};

}  // namespace

FillExceptions FillExceptions::find(uc_engine* uc, void* env) {
  uc_context* before = nullptr;
  check(uc_context_alloc(uc, &before), "context_alloc");
  check(uc_context_save(uc, before), "context_save");
  // Once as it comes, which leaves kNowhere in the engine; then the engine has to go on after the
  // first refusal, and to stop in order at the second.
  const uc_err refused = Trial{}.run(uc);
  FillExceptions fills;
  if (refused == UC_ERR_EXCEPTION && fills.find_fields(uc, env)) {
    Trial trial{.fills = fills};
    const bool in_order = trial.run(uc) == UC_ERR_OK;
    if (!in_order || trial.refused != 2 || trial.taken != 2) fills = {};
  } else {
    fills = {};
  }
  check(uc_context_restore(uc, before), "context_restore");
  uc_context_free(before);
  return fills;
}

bool FillExceptions::find_fields(uc_engine* uc, void* env) {
  CpuState* const cpu = cpu_of(uc, static_cast<std::byte*>(env));
  error_ = error_of(uc);
  if (cpu == nullptr || error_ == nullptr) return false;
  exception_index_ = &cpu->exception_index;
  exit_request_ = &cpu->exit_request;
  return true;
}

}  // namespace retrap::unicorn
