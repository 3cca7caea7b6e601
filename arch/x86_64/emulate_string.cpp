// The forms with two operands: strings, and PUSH and POP of memory.
#include "arch/x86_64/emulate.h"
#include "arch/x86_64/registers.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint8_t kAccumulator = static_cast<std::uint8_t>(Gpr::Rax);

}  // namespace

void Emulator::step_index(Gpr index, const Instruction& in) {
  const bool down = (cpu_.rflags() & flag::kDirection) != 0;
  const std::uint64_t step = down ? ~std::uint64_t{in.bytes} + 1 : in.bytes;
  const std::uint64_t value = cpu_.gpr(index);
  cpu_.set_gpr(index, merge_register(value, value + step, in.address_bytes));
}

// One iteration; the loads come first, and every operand is translated before any access.
Emulator::Done Emulator::string_iteration(const Instruction& in) {
  const std::uint64_t source =
      reader_.linear(in.memory.segment, cpu_.gpr(Gpr::Rsi), in.address_bytes);
  const std::uint64_t target =
      reader_.linear(SegmentName::Es, cpu_.gpr(Gpr::Rdi), in.address_bytes);
  const bool uses_source = in.action == Action::MoveString || in.action == Action::LoadString ||
                           in.action == Action::CompareString;
  const bool uses_target = in.action != Action::LoadString;
  const bool writes = in.action == Action::MoveString || in.action == Action::StoreString;
  Operand from;
  Operand to;
  if (uses_source && !locate(source, in.bytes, Access::Read, in.memory.segment, from)) return false;
  if (uses_target &&
      !locate(target, in.bytes, writes ? Access::Write : Access::Read, SegmentName::Es, to)) {
    return false;
  }
  std::uint64_t left = reg(in, kAccumulator);
  std::uint64_t right = 0;
  if (uses_source && !read(from, left)) return false;
  if (writes && !write(to, left)) return false;
  if (uses_target && !writes) {
    if (!read(to, right)) return false;
    cpu_.set_arithmetic_flags(alu(AluOp::Cmp, left, right, in.bytes, cpu_.rflags()).rflags);
  }
  if (in.action == Action::LoadString) set_reg(in, kAccumulator, left);
  if (uses_source) step_index(Gpr::Rsi, in);
  if (uses_target) step_index(Gpr::Rdi, in);
  return true;
}

Emulator::Done Emulator::string(const Instruction& in) {
  if (in.repeat == Repeat::None) {
    if (!string_iteration(in)) return false;
    cpu_.advance(in.length);
    return true;
  }
  const std::uint64_t count = cpu_.gpr(Gpr::Rcx) & low_bits(8U * in.address_bytes);
  if (count == 0) {
    cpu_.advance(in.length);
    return true;
  }
  if (!string_iteration(in)) return false;
  cpu_.set_gpr(Gpr::Rcx, merge_register(cpu_.gpr(Gpr::Rcx), count - 1, in.address_bytes));
  // CMPS and SCAS also end by ZF. Otherwise the pass that finds the count at zero ends it, as in
  // the CPU itself.
  const bool compares = in.action == Action::CompareString || in.action == Action::ScanString;
  const bool equal = (cpu_.rflags() & flag::kZero) != 0;
  const bool ended = compares && equal != (in.repeat == Repeat::WhileEqual);
  cpu_.advance(ended ? in.length : 0);
  return true;
}

Emulator::Done Emulator::push(const Instruction& in) {
  const auto value = load(reader_.linear(in), in.bytes, in.memory.segment);
  if (!value) return false;
  const unsigned stack_bytes = stack_address_bytes(cpu_);
  const std::uint64_t top = cpu_.gpr(Gpr::Rsp) - in.bytes;
  const std::uint64_t linear = reader_.linear(SegmentName::Ss, top, stack_bytes);
  if (!store(linear, in.bytes, SegmentName::Ss, *value)) return false;
  cpu_.set_gpr(Gpr::Rsp, merge_register(cpu_.gpr(Gpr::Rsp), top, stack_bytes));
  return true;
}

Emulator::Done Emulator::pop(const Instruction& in) {
  const unsigned stack_bytes = stack_address_bytes(cpu_);
  const std::uint64_t old = cpu_.gpr(Gpr::Rsp);
  const auto value =
      load(reader_.linear(SegmentName::Ss, old, stack_bytes), in.bytes, SegmentName::Ss);
  if (!value) return false;
  // An operand that uses RSP uses it as it is after the increment (APM volume 3, POP).
  cpu_.set_gpr(Gpr::Rsp, merge_register(old, old + in.bytes, stack_bytes));
  if (store(reader_.linear(in), in.bytes, in.memory.segment, *value)) return true;
  cpu_.set_gpr(Gpr::Rsp, old);
  return false;
}

}  // namespace retrap::x86_64
