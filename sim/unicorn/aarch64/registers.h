// Typed access to the registers of a Unicorn aarch64 engine.
#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <span>

#include "arch/aarch64/cpu.h"

namespace retrap::unicorn::aarch64 {

using retrap::aarch64::SysReg;
using retrap::aarch64::Vector;

/// Reads and writes registers of the engine as they are now. Inside hooks they are exact for data
/// TLB fills and for MRS, MSR and SYS hooks; the PC is exact in block hooks.
class Registers {
 public:
  explicit Registers(uc_engine* uc) : uc_(uc) {}

  [[nodiscard]] std::uint64_t x(unsigned index) const {
    return index == 31 ? 0 : read64(id_of(index));
  }
  void set_x(unsigned index, std::uint64_t value) {
    if (index != 31) write(id_of(index), value);
  }
  /// x0 to x[size - 1]; at most 29.
  void read_x(std::span<std::uint64_t> into) const {
    std::array<int, 29> ids{};
    std::array<void*, 29> values{};
    for (std::size_t i = 0; i < into.size(); ++i) {
      ids[i] = UC_ARM64_REG_X0 + static_cast<int>(i);
      values[i] = &into[i];
    }
    uc_reg_read_batch(uc_, ids.data(), values.data(), static_cast<int>(into.size()));
  }
  [[nodiscard]] std::uint64_t sp() const { return read64(UC_ARM64_REG_SP); }
  void set_sp(std::uint64_t value) { write(UC_ARM64_REG_SP, value); }
  [[nodiscard]] std::uint64_t pc() const { return read64(UC_ARM64_REG_PC); }

  struct Place {
    std::uint64_t pc = 0;
    std::uint32_t pstate = 0;
  };
  /// Both at once: one call of the engine.
  [[nodiscard]] Place place() const {
    static constexpr std::array<int, 2> kIds = {UC_ARM64_REG_PC, UC_ARM64_REG_PSTATE};
    Place place;
    std::array<void*, 2> values = {&place.pc, &place.pstate};
    uc_reg_read_batch(uc_, kIds.data(), values.data(), 2);
    return place;
  }
  [[nodiscard]] std::uint32_t pstate() const {
    std::uint32_t value = 0;
    uc_reg_read(uc_, UC_ARM64_REG_PSTATE, &value);
    return value;
  }
  /// Neither swaps stack pointers nor takes effect on translation by itself: see refresh().
  void set_raw_pstate(std::uint32_t value) { write(UC_ARM64_REG_PSTATE, value); }

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
  [[nodiscard]] std::uint64_t bank_sp(unsigned el) const { return read64(bank_id(el)); }
  void set_bank_sp(unsigned el, std::uint64_t value) { write(bank_id(el), value); }
  [[nodiscard]] std::uint64_t direct(int id) const { return read64(id); }
  void set_direct(int id, std::uint64_t value) { write(id, value); }

 private:
  [[nodiscard]] static int id_of(unsigned index) {
    if (index == 29) return UC_ARM64_REG_X29;
    if (index == 30) return UC_ARM64_REG_X30;
    return UC_ARM64_REG_X0 + static_cast<int>(index);
  }
  [[nodiscard]] static int vector_id(unsigned index) {
    return UC_ARM64_REG_V0 + static_cast<int>(index);
  }
  [[nodiscard]] static int bank_id(unsigned el) {
    return el == 0 ? UC_ARM64_REG_SP_EL0 : UC_ARM64_REG_SP_EL1;
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
};

}  // namespace retrap::unicorn::aarch64
