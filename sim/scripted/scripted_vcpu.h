// The second CPU: plays a list of exits and keeps what the monitor answers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/scripted/script.h"
#include "vmm/clock.h"

namespace retrap::scripted {

/// Sixteen registers, a program counter that counts retired steps, and a script instead of a
/// program. When the script is over it powers the machine off.
///
/// Invariant: an exit that must be answered is answered exactly once before the next run().
class ScriptedVcpu final : public ArchVcpu {
 public:
  static constexpr unsigned kRegisters = 16;
  static constexpr std::uint64_t kNotSupported = ~std::uint64_t{0};

  /// `clock` outlives the vCPU.
  explicit ScriptedVcpu(Clock& clock) : clock_(clock) {}

  /// Plays `script` from its first step on.
  void play(Script script);

  [[nodiscard]] const std::vector<Answer>& answers() const { return answers_; }
  /// How often run() was called since the script began.
  [[nodiscard]] std::uint64_t runs() const { return runs_; }
  /// Whether every step has been played.
  [[nodiscard]] bool is_over() const { return next_ == script_.size(); }
  /// The guest has a reason to go on, or none, from now on.
  void set_wakeup(bool pending) { wakeup_ = pending; }

  [[nodiscard]] ExitReason run() override;
  void complete(std::uint64_t value) override;
  void refuse() override;
  [[nodiscard]] Emulated emulate(AccessPort& port) override;
  void inject_abort(const exits::NestedPageFault& fault) override;
  void reset() override;
  void set_entry(GuestPhys entry, std::uint64_t arg) override;
  [[nodiscard]] Result<std::uint64_t> gpr(unsigned index) const override;
  [[nodiscard]] Result<> set_gpr(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t pc() const override { return pc_; }
  void set_return_value(std::uint64_t value) override;
  [[nodiscard]] std::uint64_t not_supported() const override { return kNotSupported; }
  void answer_cpu_up(CpuUpResult result) override;
  [[nodiscard]] bool wakeup_pending() const override { return wakeup_; }
  [[nodiscard]] std::vector<NamedRegister> registers() const override;
  void digest(Digest& into) const override;

 private:
  /// The step that run() returned last. Requires that there is one.
  [[nodiscard]] const Step& current() const;
  void retire();

  Clock& clock_;
  Script script_;
  std::size_t next_ = 0;        ///< the step that comes next
  std::size_t current_ = 0;     ///< the step that run() returned last
  std::uint64_t passed_ = 0;    ///< instructions retired towards it
  std::uint64_t repeated_ = 0;  ///< how often it has come
  bool unanswered_ = false;
  bool wakeup_ = false;
  std::array<std::uint64_t, kRegisters> registers_{};
  std::uint64_t pc_ = 0;
  std::uint64_t runs_ = 0;
  std::vector<Answer> answers_;
};

}  // namespace retrap::scripted
