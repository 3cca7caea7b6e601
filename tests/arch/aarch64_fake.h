// A CPU that plays a list of raw exits, and a port that remembers accesses.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arch/aarch64/architecture.h"
#include "arch/aarch64/cpu.h"
#include "vmm/base/check.h"
#include "vmm/clock.h"

namespace retrap::aarch64::test {

/// Registers are plain fields. Stage 1 is the identity but for the pages in `faults`.
class FakeCpu final : public Cpu {
 public:
  explicit FakeCpu(Clock& clock) : clock_(clock) {}

  std::deque<RawExit> script;  ///< Stopped when it is empty
  std::array<std::uint64_t, 32> gpr{};
  std::array<Vector, 32> simd{};
  std::map<SysReg, std::uint64_t> system;
  std::uint64_t program_counter = 0x1000;
  std::uint64_t stack = 0;
  std::uint32_t state = pstate::kReset;
  bool irq = false;
  int resets = 0;
  std::optional<std::uint32_t> word;                   ///< the instruction at PC
  std::map<std::uint64_t, AddressTranslation> faults;  ///< by page of the virtual address
  std::optional<Privilege> last_privilege;

  const RawExit& run() override {
    exit_ = {};
    if (!script.empty()) {
      exit_ = script.front();
      script.pop_front();
    }
    return exit_;
  }
  std::uint64_t x(unsigned index) const override { return index == 31 ? 0 : gpr[index]; }
  void set_x(unsigned index, std::uint64_t value) override {
    if (index != 31) gpr[index] = value;
  }
  Call call() const override {
    return {.number = x(0), .args = {x(1), x(2), x(3), x(4), x(5), x(6)}};
  }
  Vector v(unsigned index) const override { return simd[index]; }
  void set_v(unsigned index, Vector value) override { simd[index] = value; }
  std::uint64_t pc() const override { return program_counter; }
  void set_pc(std::uint64_t value) override { program_counter = value; }
  std::uint64_t sp() const override { return stack; }
  void set_sp(std::uint64_t value) override { stack = value; }
  std::uint32_t pstate() const override { return state; }
  void set_pstate(std::uint32_t value) override { state = value; }
  std::uint64_t sysreg(SysReg reg) const override {
    const auto found = system.find(reg);
    return found == system.end() ? 0 : found->second;
  }
  void set_sysreg(SysReg reg, std::uint64_t value) override { system[reg] = value; }
  void retire() override {
    program_counter += 4;
    clock_.retire_to(clock_.retired() + 1);
  }
  void retire_with(unsigned index, std::uint64_t value) override {
    set_x(index, value);
    retire();
  }
  void set_virtual_irq(bool level) override { irq = level; }
  AddressTranslation translate(std::uint64_t va, AccessType type, Privilege privilege) override {
    last_privilege = privilege;
    const auto found = faults.find(va >> 12);
    if (found != faults.end() && (type == AccessType::Write || !writes_only)) return found->second;
    return {.ipa = GuestPhys(va)};
  }
  bool writes_only = false;  ///< the faults are for writing
  std::optional<std::uint32_t> instruction() override { return word; }
  void reset() override {
    ++resets;
    gpr = {};
    program_counter = 0;
    state = pstate::kReset;
  }

 private:
  Clock& clock_;
  RawExit exit_;
};

/// Bytes of a device; refuses addresses in `holes`.
class FakePort final : public AccessPort {
 public:
  std::vector<exits::MmioRead> reads;
  std::vector<exits::MmioWrite> writes;
  std::map<std::uint64_t, std::uint8_t> bytes_at;
  std::vector<std::uint64_t> holes;

  bool read(const exits::MmioRead& access, std::uint64_t& value) override {
    if (is_hole(access.addr.raw())) return false;
    reads.push_back(access);
    value = 0;
    for (std::uint64_t i = 0; i < bytes(access.width); ++i) {
      value |= std::uint64_t{bytes_at[access.addr.raw() + i]} << 8 * i;
    }
    return true;
  }
  bool write(const exits::MmioWrite& access) override {
    if (is_hole(access.addr.raw())) return false;
    writes.push_back(access);
    for (std::uint64_t i = 0; i < bytes(access.width); ++i) {
      bytes_at[access.addr.raw() + i] = static_cast<std::uint8_t>(access.data >> 8 * i);
    }
    return true;
  }
  void fill(std::uint64_t at, std::uint64_t value, unsigned count = 8) {
    for (unsigned i = 0; i < count; ++i) {
      bytes_at[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
    }
  }
  [[nodiscard]] std::uint64_t word64(std::uint64_t at) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) value |= std::uint64_t{bytes_at[at + i]} << 8 * i;
    return value;
  }

 private:
  [[nodiscard]] bool is_hole(std::uint64_t at) const {
    for (const std::uint64_t hole : holes) {
      if (hole == at) return true;
    }
    return false;
  }
};

/// Makes FakeCpus.
class FakeHardware final : public Hardware {
 public:
  explicit FakeHardware(Clock& clock) : clock_(clock) {}
  std::vector<CpuSetup> setups;
  std::vector<FakeCpu*> cpus;

  Result<std::unique_ptr<CpuSet>> create(std::span<const CpuSetup> given, AddressSpace&) override {
    setups.assign(given.begin(), given.end());
    auto set = std::make_unique<Set>();
    for (std::size_t i = 0; i < given.size(); ++i) {
      set->cpus.push_back(std::make_unique<FakeCpu>(clock_));
      cpus.push_back(set->cpus.back().get());
    }
    return set;
  }

 private:
  struct Set final : CpuSet {
    std::vector<std::unique_ptr<FakeCpu>> cpus;
    unsigned size() const override { return static_cast<unsigned>(cpus.size()); }
    Cpu& cpu(unsigned index) override { return *cpus[index]; }
  };
  Clock& clock_;
};

[[nodiscard]] inline RawExit trap_of(ExceptionClass ec, std::uint32_t iss, std::uint64_t far = 0,
                                     std::uint64_t ipa = 0) {
  return {
      .kind = RawExit::Kind::Trap, .esr = make_esr(ec, iss), .far = far, .hpfar = ipa >> 12 << 4};
}

}  // namespace retrap::aarch64::test
