// Carries out one instruction whose memory operand is a device, through the monitor's port.
#pragma once

#include <cstdint>
#include <optional>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/decode.h"
#include "arch/x86_64/operand.h"
#include "vmm/address_space.h"
#include "vmm/arch_vcpu.h"

namespace retrap::x86_64 {

/// Conditions of Jcc, SETcc and CMOVcc by the low opcode bits (APM volume 3, table A-6).
[[nodiscard]] bool condition_holds(std::uint8_t condition, std::uint64_t rflags);

/// One emulation. All operands are translated before the first access: an instruction that faults
/// has changed nothing. An instruction that the port refuses may have read other operands.
///
/// Moves to and from vector registers, and forms that decode() does not know, are executed by the
/// CPU with scratch pages in place of the device, which is read before and written after.
class Emulator {
 public:
  /// `memory` provides what else such an instruction reaches; null: nothing does.
  Emulator(Cpu& cpu, AccessPort& port, AddressSpace* memory = nullptr)
      : cpu_(cpu), port_(port), memory_(memory), reader_(cpu) {}

  /// Emulates the instruction at RIP, which took `exit`.
  [[nodiscard]] Emulated run(const RawExit& exit, Decoder& decoder);

  /// After Emulated::NestedFault: what needs stage 2.
  [[nodiscard]] const OperandFault& nested_fault() const { return *fault_; }

  // Memory by linear address, for string I/O. Nothing or false: why_not() says what happened.
  [[nodiscard]] std::optional<std::uint64_t> load(std::uint64_t linear, unsigned bytes,
                                                  SegmentName segment);
  [[nodiscard]] bool store(std::uint64_t linear, unsigned bytes, SegmentName segment,
                           std::uint64_t value);
  [[nodiscard]] Emulated why_not() const;

 private:
  using Done = bool;  ///< false: fault_ says why

  [[nodiscard]] Emulated plain_move(const Instruction& in, GuestPhys gpa);
  [[nodiscard]] Done execute(const Instruction& in);
  [[nodiscard]] Done load_form(const Instruction& in);
  [[nodiscard]] Done store_form(const Instruction& in);
  [[nodiscard]] Done alu_memory(const Instruction& in);
  [[nodiscard]] Done alu_register(const Instruction& in);
  [[nodiscard]] Done exchange(const Instruction& in);
  [[nodiscard]] Done compare_exchange(const Instruction& in);
  [[nodiscard]] Done compare_exchange_wide(const Instruction& in);
  [[nodiscard]] Done string(const Instruction& in);
  [[nodiscard]] Done string_iteration(const Instruction& in);
  [[nodiscard]] Done push(const Instruction& in);
  [[nodiscard]] Done pop(const Instruction& in);
  [[nodiscard]] Emulated on_scratch(std::uint64_t linear, unsigned bytes, SegmentName segment,
                                    bool reads, bool writes);
  [[nodiscard]] Emulated unknown_form(const RawExit& exit);
  class Scratch;
  [[nodiscard]] Completion complete_on(Scratch& scratch);
  [[nodiscard]] bool reach_further(Scratch& scratch);

  [[nodiscard]] Done locate(std::uint64_t linear, unsigned bytes, Access access,
                            SegmentName segment, Operand& operand);
  [[nodiscard]] Done read(const Operand& operand, std::uint64_t& value, std::uint8_t reg,
                          unsigned reg_bytes, bool sign_extends);
  [[nodiscard]] Done read(const Operand& operand, std::uint64_t& value) {
    return read(operand, value, exits::kNoRegister, 8, false);
  }
  [[nodiscard]] Done write(const Operand& operand, std::uint64_t value);
  [[nodiscard]] Done refuse(GuestPhys gpa);

  [[nodiscard]] std::uint64_t reg(const Instruction& in, std::uint8_t number) const;
  void set_reg(const Instruction& in, std::uint8_t number, std::uint64_t value);
  [[nodiscard]] std::uint64_t right_side(const Instruction& in) const;
  void step_index(Gpr index, const Instruction& in);

  Cpu& cpu_;
  AccessPort& port_;
  AddressSpace* memory_;
  OperandReader reader_;
  std::optional<OperandFault> fault_;
};

}  // namespace retrap::x86_64
