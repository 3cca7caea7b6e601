// Translation by the guest's tables, splitting at page boundaries, and the access itself.
#include "arch/riscv64/emulate.h"

#include <algorithm>
#include <array>
#include <span>

namespace retrap::riscv64 {
namespace {

/// The guest's page tables, as the monitor reads them: through the port, which populates them.
struct PortTables {
  AccessPort& port;

  [[nodiscard]] bool read(std::uint64_t gpa, std::uint64_t& entry) const {
    return port.read({.addr = GuestPhys(gpa), .width = Width::Double}, entry);
  }
  [[nodiscard]] bool update(std::uint64_t gpa, std::uint64_t entry) const {
    return port.write({.addr = GuestPhys(gpa), .width = Width::Double, .data = entry});
  }
};

/// Part of an access: a power of two of bytes in one page.
struct Piece {
  GuestPhys at;
  Width width;
  unsigned first_byte;  ///< in the access
};

/// An access that has been translated. At most 8 bytes over two pages: seven pieces at worst.
struct Pieces {
  std::array<Piece, 8> list;
  unsigned count = 0;
};

Width widest(unsigned bytes) {
  if (bytes >= 8) return Width::Double;
  if (bytes >= 4) return Width::Word;
  return bytes >= 2 ? Width::Half : Width::Byte;
}

class Accessor {
 public:
  Accessor(Cpu& cpu, AccessPort& port, AccessKind access)
      : cpu_(cpu), port_(port), access_(access) {}

  /// Translates all bytes of the access; false where the guest faults (see trap()).
  [[nodiscard]] bool translate(const FaultingAccess& where, unsigned bytes) {
    const auto in_first = static_cast<unsigned>(
        std::min<std::uint64_t>(bytes, kPageSize - (where.address & (kPageSize - 1))));
    if (in_first == bytes) {
      add_pieces(where.gpa.raw() - (where.faulting - where.address), 0, bytes);
      return true;
    }
    const auto first = [&] { return add_page(where.address, 0, in_first); };
    const auto second = [&] {
      return add_page(where.address + in_first, in_first, bytes - in_first);
    };
    const bool second_first = where.faulting - where.address >= in_first;
    return second_first ? second() && first() : first() && second();
  }

  [[nodiscard]] bool read(std::uint64_t& value, std::uint8_t reg = exits::kNoRegister,
                          bool signed_ext = false) {
    value = 0;
    return std::ranges::all_of(pieces(), [&](const Piece& piece) {
      std::uint64_t part = 0;
      const bool taken = port_.read(
          {.addr = piece.at, .width = piece.width, .reg = reg, .signed_ext = signed_ext}, part);
      value |= part << (8 * piece.first_byte);
      return taken;
    });
  }

  [[nodiscard]] bool write(std::uint64_t value) {
    return std::ranges::all_of(pieces(), [&](const Piece& piece) {
      const std::uint64_t part = value >> (8 * piece.first_byte);
      return port_.write(
          {.addr = piece.at, .width = piece.width, .data = truncate(part, piece.width)});
    });
  }

  [[nodiscard]] const GuestTrap& trap() const { return trap_; }

 private:
  [[nodiscard]] std::span<const Piece> pieces() const {
    return std::span(pieces_.list).first(pieces_.count);
  }

  [[nodiscard]] bool add_page(std::uint64_t va, unsigned first_byte, unsigned bytes) {
    const std::uint64_t status = cpu_.csr(Csr::Vsstatus);
    const VsContext context{.satp = cpu_.csr(Csr::Vsatp),
                            .privilege = cpu_.privilege(),
                            .sum = (status & vsstatus::kSum) != 0,
                            .mxr = (status & vsstatus::kMxr) != 0};
    const VsWalk walk = walk_vs_stage(context, va, access_, PortTables{port_});
    if (walk.kind != VsWalk::Kind::Ok) {
      const bool own = walk.kind == VsWalk::Kind::PageFault;
      trap_ = {own ? page_fault(access_) : access_fault(access_), va};
      return false;
    }
    add_pieces(walk.gpa, first_byte, bytes);
    return true;
  }

  // A misaligned access within a page goes out whole where a bus has its width.
  void add_pieces(std::uint64_t gpa, unsigned first_byte, unsigned bytes) {
    for (unsigned done = 0; done < bytes;) {
      const Width width = widest(bytes - done);
      pieces_.list[pieces_.count++] = {GuestPhys(gpa + done), width, first_byte + done};
      done += static_cast<unsigned>(retrap::bytes(width));
    }
  }

  Cpu& cpu_;
  AccessPort& port_;
  AccessKind access_;
  Pieces pieces_;
  GuestTrap trap_;
};

std::uint64_t extended(const MemoryInstruction& instruction, std::uint64_t value) {
  return instruction.signed_ext ? sign_extend(value, bits(instruction.width)) : value;
}

// A register of the F extension in one of the D extension: the upper half is all ones.
std::uint64_t nan_boxed(const MemoryInstruction& instruction, std::uint64_t value) {
  return instruction.width == Width::Word ? value | ~low_bits(32) : value;
}

Emulated load(Cpu& cpu, const MemoryInstruction& instruction, Accessor& memory) {
  const bool is_float = instruction.kind == MemoryKind::LoadFloat;
  const bool to_register = !is_float && instruction.rd != 0;
  const std::uint8_t reg = to_register ? instruction.rd : exits::kNoRegister;
  std::uint64_t value = 0;
  if (!memory.read(value, reg, instruction.signed_ext)) return Emulated::NoAccess;
  if (is_float) {
    cpu.set_f(instruction.rd, nan_boxed(instruction, value));
    cpu.set_csr(Csr::Vsstatus, cpu.csr(Csr::Vsstatus) | vsstatus::kFs);
  } else {
    cpu.set_x(instruction.rd, extended(instruction, value));
  }
  return Emulated::Retired;
}

Emulated store(Cpu& cpu, const MemoryInstruction& instruction, Accessor& memory) {
  const bool is_float = instruction.kind == MemoryKind::StoreFloat;
  const std::uint64_t value = is_float ? cpu.f(instruction.rs2) : cpu.x(instruction.rs2);
  return memory.write(value) ? Emulated::Retired : Emulated::NoAccess;
}

Emulated amo(Cpu& cpu, const MemoryInstruction& instruction, Accessor& memory) {
  std::uint64_t old = 0;
  if (!memory.read(old)) return Emulated::NoAccess;
  const std::uint64_t operand = truncate(cpu.x(instruction.rs2), instruction.width);
  if (!memory.write(apply(instruction.amo, instruction.width, old, operand))) {
    return Emulated::NoAccess;
  }
  cpu.set_x(instruction.rd, extended(instruction, old));
  return Emulated::Retired;
}

}  // namespace

EmulationResult emulate_memory(Cpu& cpu, const MemoryInstruction& instruction,
                               const FaultingAccess& where, AccessPort& port) {
  if (instruction.kind == MemoryKind::LoadReserved ||
      instruction.kind == MemoryKind::StoreConditional) {
    return {Emulated::NoAccess, {}};
  }
  const AccessKind access = instruction.writes_memory() ? AccessKind::Store : AccessKind::Load;
  Accessor memory(cpu, port, access);
  const auto count = static_cast<unsigned>(bytes(instruction.width));
  if (!memory.translate(where, count)) return {Emulated::GuestFault, memory.trap()};
  switch (instruction.kind) {
    case MemoryKind::Load:
    case MemoryKind::LoadFloat:        return {load(cpu, instruction, memory), {}};
    case MemoryKind::Store:
    case MemoryKind::StoreFloat:       return {store(cpu, instruction, memory), {}};
    case MemoryKind::Amo:              return {amo(cpu, instruction, memory), {}};
    case MemoryKind::LoadReserved:
    case MemoryKind::StoreConditional: break;
  }
  return {Emulated::NoAccess, {}};
}

std::uint64_t apply(AmoOperation operation, Width width, std::uint64_t memory,
                    std::uint64_t operand) {
  const auto number = [width](std::uint64_t value) {
    return static_cast<std::int64_t>(sign_extend(value, bits(width)));
  };
  const auto result = [&]() -> std::uint64_t {
    switch (operation) {
      case AmoOperation::Add:  return memory + operand;
      case AmoOperation::Swap: return operand;
      case AmoOperation::Xor:  return memory ^ operand;
      case AmoOperation::Or:   return memory | operand;
      case AmoOperation::And:  return memory & operand;
      case AmoOperation::Min:  return number(memory) < number(operand) ? memory : operand;
      case AmoOperation::Max:  return number(memory) > number(operand) ? memory : operand;
      case AmoOperation::MinU: return std::min(memory, operand);
      case AmoOperation::MaxU: return std::max(memory, operand);
    }
    return memory;
  };
  return truncate(result(), width);
}

}  // namespace retrap::riscv64
