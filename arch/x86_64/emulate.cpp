// The forms with one memory operand.
#include "arch/x86_64/emulate.h"

#include <algorithm>

#include "arch/x86_64/registers.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {

bool condition_holds(std::uint8_t condition, std::uint64_t rflags) {
  const bool carry = (rflags & flag::kCarry) != 0;
  const bool zero = (rflags & flag::kZero) != 0;
  const bool sign = (rflags & flag::kSign) != 0;
  const bool overflow = (rflags & flag::kOverflow) != 0;
  const bool parity = (rflags & flag::kParity) != 0;
  const std::array<bool, 8> base = {overflow,
                                    carry,
                                    zero,
                                    carry || zero,
                                    sign,
                                    parity,
                                    sign != overflow,
                                    zero || sign != overflow};
  return base[(condition >> 1) & 7] != has_bit(condition, 0);
}

Emulated Emulator::why_not() const {
  switch (fault_ ? fault_->kind : OperandFault::Kind::Refused) {
    case OperandFault::Kind::Guest:   return Emulated::GuestFault;
    case OperandFault::Kind::Nested:  return Emulated::NestedFault;
    case OperandFault::Kind::Refused: return Emulated::NoAccess;
  }
  return Emulated::NoAccess;
}

Emulated Emulator::run(const RawExit& exit, Decoder& decoder) {
  std::array<std::uint8_t, 15> code{};
  const std::size_t size = cpu_.fetch(code);
  const auto& in = decoder.decode(code, size, cpu_.code_bytes());
  if (!in) return unknown_form(exit);
  reader_.set_length(in->length);
  // What is read and then written has been translated for reading.
  if (in->action == Action::Load || in->action == Action::Store) {
    if (exit.whole_operand && exit.size == in->bytes) return plain_move(*in, GuestPhys(exit.info2));
    reader_.know(exit);
  }
  if (in->action == Action::VectorLoad || in->action == Action::VectorStore) {
    const bool loads = in->action == Action::VectorLoad;
    return on_scratch(reader_.linear(*in), in->bytes, in->memory.segment, loads, !loads);
  }
  return execute(*in) ? Emulated::Retired : why_not();
}

// Most accesses to devices: one, to where the hardware says.
Emulated Emulator::plain_move(const Instruction& in, GuestPhys gpa) {
  const auto width = static_cast<Width>(in.bytes);
  if (in.action == Action::Store) {
    const std::uint64_t data = truncate(right_side(in), width);
    if (!port_.write({.addr = gpa, .width = width, .data = data})) return Emulated::NoAccess;
  } else {
    std::uint64_t value = 0;
    const bool taken = port_.read({.addr = gpa,
                                   .width = width,
                                   .reg = in.reg,
                                   .reg_width = static_cast<Width>(in.operand_bytes),
                                   .signed_ext = in.sign_extends},
                                  value);
    if (!taken) return Emulated::NoAccess;
    set_reg(in, in.reg, in.sign_extends ? sign_extend(value, 8U * in.bytes) : value);
  }
  cpu_.advance(in.length);
  return Emulated::Retired;
}

Emulator::Done Emulator::execute(const Instruction& in) {
  bool done = false;
  switch (in.action) {
    case Action::Load:
    case Action::LoadSwapped:
    case Action::ConditionalMove:     done = load_form(in); break;
    case Action::Store:
    case Action::StoreSwapped:
    case Action::ConditionalSet:      done = store_form(in); break;
    case Action::AluMemory:
    case Action::BitMemory:           done = alu_memory(in); break;
    case Action::AluRegister:         done = alu_register(in); break;
    case Action::Exchange:
    case Action::ExchangeAdd:         done = exchange(in); break;
    case Action::CompareExchange:     done = compare_exchange(in); break;
    case Action::CompareExchangeWide: done = compare_exchange_wide(in); break;
    case Action::Push:                done = push(in); break;
    case Action::Pop:                 done = pop(in); break;
    case Action::MoveString:
    case Action::StoreString:
    case Action::LoadString:
    case Action::CompareString:
    case Action::ScanString:          return string(in);
    case Action::VectorLoad:
    case Action::VectorStore:         break;
  }
  if (done) cpu_.advance(in.length);
  return done;
}

Emulator::Done Emulator::locate(std::uint64_t linear, unsigned bytes, Access access,
                                SegmentName segment, Operand& operand) {
  fault_ = reader_.translate(linear, bytes, access, segment, operand);
  return !fault_;
}

Emulator::Done Emulator::refuse(GuestPhys gpa) {
  fault_ = OperandFault{.kind = OperandFault::Kind::Refused, .gpa = gpa};
  return false;
}

Emulator::Done Emulator::read(const Operand& operand, std::uint64_t& value, std::uint8_t reg,
                              unsigned reg_bytes, bool sign_extends) {
  value = 0;
  for (const Piece& piece : operand.pieces()) {
    std::uint64_t part = 0;
    const bool taken = port_.read({.addr = piece.gpa,
                                   .width = piece.width,
                                   .reg = reg,
                                   .reg_width = static_cast<Width>(std::min(reg_bytes, 8U)),
                                   .signed_ext = sign_extends},
                                  part);
    if (!taken) return refuse(piece.gpa);
    value |= truncate(part, piece.width) << (8 * (piece.offset % 8));
  }
  return true;
}

Emulator::Done Emulator::write(const Operand& operand, std::uint64_t value) {
  for (const Piece& piece : operand.pieces()) {
    const std::uint64_t part = truncate(value >> (8 * (piece.offset % 8)), piece.width);
    if (!port_.write({.addr = piece.gpa, .width = piece.width, .data = part})) {
      return refuse(piece.gpa);
    }
  }
  return true;
}

std::optional<std::uint64_t> Emulator::load(std::uint64_t linear, unsigned bytes,
                                            SegmentName segment) {
  Operand operand;
  std::uint64_t value = 0;
  if (!locate(linear, bytes, Access::Read, segment, operand) || !read(operand, value)) {
    return std::nullopt;
  }
  return value;
}

bool Emulator::store(std::uint64_t linear, unsigned bytes, SegmentName segment,
                     std::uint64_t value) {
  Operand operand;
  return locate(linear, bytes, Access::Write, segment, operand) && write(operand, value);
}

std::uint64_t Emulator::reg(const Instruction& in, std::uint8_t number) const {
  return read_register(cpu_, number, in.operand_bytes, in.has_rex);
}

void Emulator::set_reg(const Instruction& in, std::uint8_t number, std::uint64_t value) {
  write_register(cpu_, number, in.operand_bytes, in.has_rex, value);
}

std::uint64_t Emulator::right_side(const Instruction& in) const {
  return in.has_immediate ? in.immediate : reg(in, in.reg);
}

Emulator::Done Emulator::load_form(const Instruction& in) {
  Operand operand;
  std::uint64_t value = 0;
  if (!locate(reader_.linear(in), in.bytes, Access::Read, in.memory.segment, operand) ||
      !read(operand, value, in.reg, in.operand_bytes, in.sign_extends)) {
    return false;
  }
  if (in.sign_extends) value = sign_extend(value, 8U * in.bytes);
  if (in.action == Action::LoadSwapped) value = swap_bytes(value, in.bytes);
  // CMOVcc reads memory in any case, and clears the upper half of a 32-bit register.
  const bool moves =
      in.action != Action::ConditionalMove || condition_holds(in.condition, cpu_.rflags());
  set_reg(in, in.reg, moves ? value : reg(in, in.reg));
  return true;
}

Emulator::Done Emulator::store_form(const Instruction& in) {
  std::uint64_t value = right_side(in);
  if (in.action == Action::StoreSwapped) value = swap_bytes(value, in.bytes);
  if (in.action == Action::ConditionalSet) {
    value = condition_holds(in.condition, cpu_.rflags()) ? 1 : 0;
  }
  return store(reader_.linear(in), in.bytes, in.memory.segment, value);
}

Emulator::Done Emulator::alu_memory(const Instruction& in) {
  const std::uint64_t right = right_side(in);
  std::uint64_t linear = reader_.linear(in);
  if (in.action == Action::BitMemory) {
    // The signed bit index, in units of the operand, moves the address (BT, "bit string").
    const unsigned width = 8U * in.bytes;
    const std::uint64_t index = sign_extend(right, width);
    const std::uint64_t units = sign_extend(index >> std::countr_zero(width),
                                            64U - static_cast<unsigned>(std::countr_zero(width)));
    linear += units * in.bytes;
  }
  const bool writes = writes_result(in.alu);
  Operand operand;
  std::uint64_t left = 0;
  const Access access = writes ? Access::Write : Access::Read;
  if (!locate(linear, in.bytes, access, in.memory.segment, operand) || !read(operand, left)) {
    return false;
  }
  const AluResult result = alu(in.alu, left, right, in.bytes, cpu_.rflags());
  if (writes && !write(operand, result.value)) return false;
  cpu_.set_arithmetic_flags(result.rflags);
  return true;
}

Emulator::Done Emulator::alu_register(const Instruction& in) {
  const auto right = load(reader_.linear(in), in.bytes, in.memory.segment);
  if (!right) return false;
  const AluResult result = alu(in.alu, reg(in, in.reg), *right, in.bytes, cpu_.rflags());
  if (writes_result(in.alu)) set_reg(in, in.reg, result.value);
  cpu_.set_arithmetic_flags(result.rflags);
  return true;
}

Emulator::Done Emulator::exchange(const Instruction& in) {
  Operand operand;
  std::uint64_t old = 0;
  if (!locate(reader_.linear(in), in.bytes, Access::Write, in.memory.segment, operand) ||
      !read(operand, old)) {
    return false;
  }
  std::uint64_t value = reg(in, in.reg);
  std::uint64_t rflags = cpu_.rflags();
  if (in.action == Action::ExchangeAdd) {
    const AluResult sum = alu(AluOp::Add, old, value, in.bytes, rflags);
    value = sum.value;
    rflags = sum.rflags;
  }
  if (!write(operand, value)) return false;
  set_reg(in, in.reg, old);
  cpu_.set_arithmetic_flags(rflags);
  return true;
}

Emulator::Done Emulator::compare_exchange(const Instruction& in) {
  constexpr auto kAccumulator = static_cast<std::uint8_t>(Gpr::Rax);
  Operand operand;
  std::uint64_t old = 0;
  if (!locate(reader_.linear(in), in.bytes, Access::Write, in.memory.segment, operand) ||
      !read(operand, old)) {
    return false;
  }
  const AluResult compared = alu(AluOp::Cmp, reg(in, kAccumulator), old, in.bytes, cpu_.rflags());
  const bool equal = (compared.rflags & flag::kZero) != 0;
  // Memory is written in either case (APM volume 3, CMPXCHG).
  if (!write(operand, equal ? reg(in, in.reg) : old)) return false;
  if (!equal) set_reg(in, kAccumulator, old);
  cpu_.set_arithmetic_flags(compared.rflags);
  return true;
}

Emulator::Done Emulator::compare_exchange_wide(const Instruction& in) {
  const unsigned half = in.bytes / 2U;
  const std::uint64_t linear = reader_.linear(in);
  if (in.bytes == 16 && linear % 16 != 0) {
    constexpr std::uint8_t kGeneralProtection = 13;
    cpu_.inject(Event::exception(kGeneralProtection, 0));
    fault_ = OperandFault{.kind = OperandFault::Kind::Guest, .gpa = GuestPhys()};
    return false;
  }
  Operand low;
  Operand high;
  std::uint64_t old_low = 0;
  std::uint64_t old_high = 0;
  if (!locate(linear, half, Access::Write, in.memory.segment, low) ||
      !locate(linear + half, half, Access::Write, in.memory.segment, high) || !read(low, old_low) ||
      !read(high, old_high)) {
    return false;
  }
  const auto value = [&](Gpr name) { return cpu_.gpr(name) & low_bits(8 * half); };
  const bool equal = old_low == value(Gpr::Rax) && old_high == value(Gpr::Rdx);
  if (!write(low, equal ? value(Gpr::Rbx) : old_low) ||
      !write(high, equal ? value(Gpr::Rcx) : old_high)) {
    return false;
  }
  if (!equal) {
    cpu_.set_gpr(Gpr::Rax, old_low);
    cpu_.set_gpr(Gpr::Rdx, old_high);
  }
  const std::uint64_t rflags = cpu_.rflags() & ~flag::kZero;
  cpu_.set_arithmetic_flags(rflags | (equal ? flag::kZero : 0));
  return true;
}

}  // namespace retrap::x86_64
