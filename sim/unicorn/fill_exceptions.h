// TLB fills that are refused without leaving the engine.
#pragma once

#include <unicorn/unicorn.h>

#include <cstddef>
#include <cstdint>

namespace retrap::unicorn {

/// A fill that UC_HOOK_TLB_FILL refuses ends uc_emu_start with UC_ERR_EXCEPTION. With this, it is
/// an exception like those of the guest: the engine calls UC_HOOK_INTR for it, from its loop, the
/// state of the CPU exact, and goes on when the hook returns.
///
///     fill hook:  fills.raise(); return false;
///     INTR hook:  if (number == FillExceptions::kNumber && !fills.take()) return;  // only a probe
///
/// Where take() says true and the engine must be left after all, uc_emu_stop() does it. On riscv64
/// the engine has added 4 to the PC, as before any call of that hook; on x86_64 it may have written
/// RIP, where the exception before was one of INT.
class FillExceptions {
 public:
  /// What UC_HOOK_INTR gets. No architecture has an exception of this number.
  static constexpr std::uint32_t kNumber = 0x8000;

  /// For `uc`, which has no hooks yet; `env` is the start of its registers (Env::find()). Tries out
  /// whether it works; where the engine is not laid out like Unicorn 2.1.4, raise() does nothing,
  /// and refused fills end uc_emu_start.
  [[nodiscard]] static FillExceptions find(uc_engine* uc, void* env);

  [[nodiscard]] bool work() const { return exception_index_ != nullptr; }

  /// In the fill hook, which then refuses.
  void raise() {
    if (work()) *exception_index_ = static_cast<std::int32_t>(kNumber);
  }

  /// In the INTR hook: the engine forgets that it was about to leave. False: it was not; the fill
  /// was only a probe.
  [[nodiscard]] bool take() {
    if (*error_ != UC_ERR_EXCEPTION || *exit_request_ == std::byte{0}) return false;
    *error_ = UC_ERR_OK;
    *exit_request_ = std::byte{0};
    return true;
  }

 private:
  [[nodiscard]] bool find_fields(uc_engine* uc, void* env);

  std::int32_t* exception_index_ = nullptr;  ///< CPUState::exception_index; null: it does not work
  std::byte* exit_request_ = nullptr;        ///< CPUState::exit_request
  std::int32_t* error_ = nullptr;            ///< uc_struct::invalid_error
};

}  // namespace retrap::unicorn
