// Typed access to the registers of a Unicorn aarch64 engine.
#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>

#include "arch/aarch64/cpu.h"
#include "sim/unicorn/aarch64/env.h"

namespace retrap::unicorn::aarch64 {

using retrap::aarch64::SysReg;
using retrap::aarch64::Vector;

/// Reads and writes registers of the engine as they are now. Inside hooks they are exact for data
/// TLB fills and for MRS, MSR and SYS hooks; the PC is exact in block hooks.
class Registers {
 public:
  Registers(uc_engine* uc, Env& env) : uc_(uc), env_(&env) {}

  [[nodiscard]] std::uint64_t x(unsigned index) const { return index == 31 ? 0 : env_->x[index]; }
  void set_x(unsigned index, std::uint64_t value) {
    if (index != 31) env_->x[index] = value;
  }
  [[nodiscard]] retrap::aarch64::Call call() const {
    const auto& x = env_->x;
    return {.number = x[0], .args = {x[1], x[2], x[3], x[4], x[5], x[6]}};
  }
  [[nodiscard]] std::uint64_t sp() const { return env_->x[31]; }
  void set_sp(std::uint64_t value) { env_->x[31] = value; }
  [[nodiscard]] std::uint64_t pc() const { return env_->pc; }
  /// Takes effect in the hook of UC_HOOK_INTR. Outside, the engine is told when it starts.
  void set_pc(std::uint64_t value) { env_->pc = value; }
  [[nodiscard]] std::uint32_t pstate() const { return env_->pstate(); }
  /// Neither swaps stack pointers nor takes effect on translation by itself: see
  /// Core::set_pstate().
  void set_raw_pstate(std::uint32_t value) { env_->set_pstate(value); }
  /// Of the exception that the hook of UC_HOOK_INTR has been called for.
  [[nodiscard]] std::uint32_t syndrome() const { return env_->syndrome; }
  /// The next store-exclusive fails, unless there is another load-exclusive first.
  void open_monitor() { env_->exclusive_addr = Env::kNothing; }
  [[nodiscard]] bool in_aarch32() const { return env_->aarch64 == 0; }

  [[nodiscard]] Vector v(unsigned index) const {
    Vector value;
    uc_reg_read(uc_, vector_id(index), &value);
    return value;
  }
  void set_v(unsigned index, Vector value) { write(vector_id(index), value); }

  /// A register by name; those that PSTATE banks (SP_EL0, SP_EL1) as the engine stores them.
  [[nodiscard]] std::uint64_t sysreg(SysReg reg) const { return system(number(reg)); }
  void set_sysreg(SysReg reg, std::uint64_t value) { set_system(number(reg), value); }

  /// Any register by its number in the ISS; EL2 and EL3 included. Writing one also makes the
  /// engine look at PSTATE again. False where the engine has no such register.
  [[nodiscard]] std::uint64_t system(std::uint32_t iss) const {
    uc_arm64_cp_reg reg = coprocessor(iss);
    uc_reg_read(uc_, UC_ARM64_REG_CP_REG, &reg);
    return reg.val;
  }
  bool set_system(std::uint32_t iss, std::uint64_t value) {
    uc_arm64_cp_reg reg = coprocessor(iss);
    reg.val = value;
    return uc_reg_write(uc_, UC_ARM64_REG_CP_REG, &reg) == UC_ERR_OK;
  }

  // The engine has its own ids for the registers of an exception entry: no search by number.
  [[nodiscard]] std::uint64_t bank_sp(unsigned el) const { return env_->sp[el]; }
  void set_bank_sp(unsigned el, std::uint64_t value) { env_->sp[el] = value; }
  [[nodiscard]] std::uint64_t direct(int id) const { return read64(id); }
  void set_direct(int id, std::uint64_t value) { write(id, value); }

 private:
  [[nodiscard]] static int vector_id(unsigned index) {
    return UC_ARM64_REG_V0 + static_cast<int>(index);
  }
  [[nodiscard]] static uc_arm64_cp_reg coprocessor(std::uint32_t iss) {
    const auto fields = retrap::aarch64::fields_of(iss);
    uc_arm64_cp_reg reg{};
    reg.op0 = fields.op0;
    reg.op1 = fields.op1;
    reg.crn = fields.crn;
    reg.crm = fields.crm;
    reg.op2 = fields.op2;
    return reg;
  }
  [[nodiscard]] std::uint64_t read64(int id) const {
    std::uint64_t value = 0;
    uc_reg_read(uc_, id, &value);
    return value;
  }
  template <class T>
  void write(int id, const T& value) {
    uc_reg_write(uc_, id, &value);
  }

  uc_engine* uc_;
  Env* env_;  ///< never null; in the engine
};

}  // namespace retrap::unicorn::aarch64
