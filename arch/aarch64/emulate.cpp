// The emulator of loads and stores.
#include "arch/aarch64/emulate.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/bytes.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint64_t kMaxBytes = 64;  // LD4, DC ZVA

struct CpuRegisters {
  Cpu& cpu;
  [[nodiscard]] std::uint64_t x(unsigned index) const { return cpu.x(index); }
  [[nodiscard]] std::uint64_t sp() const { return cpu.sp(); }
};

std::uint64_t extend(std::uint64_t value, Width from, bool is_signed, Width to) {
  const std::uint64_t wide = is_signed ? sign_extend(value, bits(from)) : truncate(value, from);
  return truncate(wide, to);
}

/// One instruction at work: its bytes in memory, and the pages they are in.
class Emulation {
 public:
  Emulation(Cpu& cpu, AccessPort& port, const MemoryInstruction& insn)
      : cpu_(cpu), port_(port), insn_(insn) {}

  [[nodiscard]] EmulationResult run() {
    address_ = effective_address(insn_, cpu_.pc(), CpuRegisters{cpu_});
    if (insn_.op == MemoryOp::ZeroBlock) address_ &= ~(kZeroBlockBytes - 1);
    if (!find_pages()) return result_;
    if (!transfer()) return result_;
    write_back();
    return {.outcome = Emulated::Retired};
  }

 private:
  // Stage 1 of every byte first: where the guest faults itself, nothing has happened.
  [[nodiscard]] bool find_pages() {
    const std::uint64_t last = address_ + (insn_.bytes() - 1);
    return find_page(address_, pages_[0]) &&
           ((last >> 12) == (address_ >> 12) || find_page(last & ~low_bits(12), pages_[1]));
  }

  [[nodiscard]] bool find_page(std::uint64_t va, std::uint64_t& page) {
    const bool el0 = pstate::el(cpu_.pstate()) == 0 || insn_.unprivileged;
    const Privilege privilege = el0 ? Privilege::El0 : Privilege::El1;
    for (const AccessType type : {AccessType::Read, AccessType::Write}) {
      if (type == AccessType::Read ? !insn_.load : !insn_.store) continue;
      const AddressTranslation found = cpu_.translate(va, type, privilege);
      if (found.kind == AddressTranslation::Kind::WalkFault) {
        result_ = {.outcome = Emulated::NestedFault};
        return false;
      }
      if (found.kind == AddressTranslation::Kind::Stage1Fault) {
        // An access of both kinds reports a write only where reading was allowed.
        result_ = {.outcome = Emulated::GuestFault,
                   .fsc = found.fsc,
                   .far = va,
                   .write = type == AccessType::Write};
        return false;
      }
      page = found.ipa.raw() & ~low_bits(12);
    }
    return true;
  }

  [[nodiscard]] GuestPhys ipa_of(std::uint64_t offset) const {
    const std::uint64_t va = address_ + offset;
    const bool first = (va >> 12) == (address_ >> 12);
    return GuestPhys(pages_[first ? 0 : 1] | (va & low_bits(12)));
  }

  /// The bytes at `offset` that one access can have: all `size`, or up to the end of the page.
  [[nodiscard]] Width piece(std::uint64_t offset, std::uint64_t size) const {
    const std::uint64_t left = kPageSize - ((address_ + offset) & low_bits(12));
    std::uint64_t bytes = size;
    while (bytes > left || !is_power_of_two(bytes)) bytes = (bytes - 1) & ~((bytes - 1) >> 1);
    return *width_of(bytes);
  }

  [[nodiscard]] bool refuse() {
    result_ = {.outcome = Emulated::NoAccess};
    return false;
  }

  [[nodiscard]] bool load(std::uint64_t offset, std::uint64_t size, std::uint8_t reg) {
    for (std::uint64_t done = 0; done < size;) {
      const Width width = piece(offset + done, size - done);
      const bool whole = bytes(width) == size;
      const exits::MmioRead access = {
          .addr = ipa_of(offset + done),
          .width = width,
          .reg = whole ? reg : exits::kNoRegister,
          .reg_width = insn_.wide || !whole ? Width::Double : Width::Word,
          .signed_ext = whole && insn_.sign_extend};
      std::uint64_t value = 0;
      if (!port_.read(access, value)) return refuse();
      if (!store_le(buffer_, offset + done, width, value)) return refuse();
      done += bytes(width);
    }
    return true;
  }

  [[nodiscard]] bool store(std::uint64_t offset, std::uint64_t size) {
    for (std::uint64_t done = 0; done < size;) {
      const Width width = piece(offset + done, size - done);
      const auto value = load_le(ConstBytes(buffer_), offset + done, width);
      if (!value) return refuse();
      if (!port_.write({.addr = ipa_of(offset + done), .width = width, .data = *value})) {
        return refuse();
      }
      done += bytes(width);
    }
    return true;
  }

  [[nodiscard]] bool transfer() {
    switch (insn_.op) {
      case MemoryOp::Load:      return load_all() && (put_registers(), true);
      case MemoryOp::Store:     return get_registers(), store_all();
      case MemoryOp::ZeroBlock: return store_all();
      case MemoryOp::Structures:
        return insn_.load ? load_all() && (put_structures(), true)
                          : (get_structures(), store_all());
      case MemoryOp::Maintain:
      case MemoryOp::Prefetch: return true;
      case MemoryOp::LoadExclusive:
      case MemoryOp::StoreExclusive:
        // The monitor of the CPU knows nothing of devices (DDI 0487, B2.12.5).
        result_ = {.outcome = Emulated::GuestFault,
                   .fsc = fsc::kUnsupportedExclusive,
                   .far = address_,
                   .write = insn_.store};
        return false;
      case MemoryOp::Unallocated: return refuse();
      default:                    return read_modify_write();
    }
  }

  /// Bytes of one access: a register of 128 bits makes two.
  [[nodiscard]] std::uint64_t step() const {
    if (insn_.op == MemoryOp::ZeroBlock) return 8;
    return std::min<std::uint64_t>(8, std::uint64_t{1} << insn_.size_log2);
  }
  [[nodiscard]] bool load_all() {
    for (std::uint64_t offset = 0; offset < insn_.bytes(); offset += step()) {
      const bool second = insn_.registers == 2 && offset != 0;
      const std::uint8_t reg = insn_.vector ? exits::kNoRegister : (second ? insn_.rt2 : insn_.rt);
      if (!load(offset, step(), reg)) return false;
    }
    return true;
  }
  [[nodiscard]] bool store_all() {
    for (std::uint64_t offset = 0; offset < insn_.bytes(); offset += step()) {
      if (!store(offset, step())) return false;
    }
    return true;
  }

  // `size` is at most 8.
  [[nodiscard]] std::uint64_t word_at(std::uint64_t offset, std::uint64_t size) const {
    std::uint64_t value = 0;
    std::memcpy(&value, buffer_.data() + offset, std::min<std::uint64_t>(size, sizeof value));
    return little_endian(value);
  }
  void set_word_at(std::uint64_t offset, std::uint64_t size, std::uint64_t value) {
    value = little_endian(value);
    std::memcpy(buffer_.data() + offset, &value, std::min<std::uint64_t>(size, sizeof value));
  }

  void put_registers() {
    const std::uint64_t size = std::uint64_t{1} << insn_.size_log2;
    for (unsigned i = 0; i < insn_.registers; ++i) {
      const unsigned reg = i == 0 ? insn_.rt : insn_.rt2;
      const std::uint64_t at = i * size;
      if (insn_.vector) {
        Vector value{.low = word_at(at, std::min<std::uint64_t>(size, 8)), .high = 0};
        if (size == 16) value.high = word_at(at + 8, 8);
        cpu_.set_v(reg, value);
      } else {
        cpu_.set_x(reg, extend(word_at(at, size), *width_of(size), insn_.sign_extend,
                               insn_.wide ? Width::Double : Width::Word));
      }
    }
  }
  void get_registers() {
    const std::uint64_t size = std::uint64_t{1} << insn_.size_log2;
    for (unsigned i = 0; i < insn_.registers; ++i) {
      const unsigned reg = i == 0 ? insn_.rt : insn_.rt2;
      const std::uint64_t at = i * size;
      if (!insn_.vector) {
        set_word_at(at, size, cpu_.x(reg));
        continue;
      }
      const Vector value = cpu_.v(reg);
      set_word_at(at, std::min<std::uint64_t>(size, 8), value.low);
      if (size == 16) set_word_at(at + 8, 8, value.high);
    }
  }

  /// Calls visit(register, lane, offset) for each element, in the order of memory.
  template <class Visit>
  void for_each_element(const Visit& visit) const {
    const StructureShape& shape = insn_.structure;
    std::uint64_t offset = 0;
    for (unsigned repeat = 0; repeat < shape.repeats; ++repeat) {
      for (unsigned lane = 0; lane < shape.lanes; ++lane) {
        for (unsigned element = 0; element < shape.elements; ++element) {
          visit((insn_.rt + repeat + element) % 32, shape.single ? shape.lane : lane, offset);
          offset += std::uint64_t{1} << insn_.size_log2;
        }
      }
    }
  }
  [[nodiscard]] static std::uint64_t lane_of(const Vector& value, unsigned lane, unsigned width) {
    const unsigned at = lane * width;
    return extract(at < 64 ? value.low : value.high, at % 64 + width - 1, at % 64);
  }
  static void set_lane(Vector& value, unsigned lane, unsigned width, std::uint64_t element) {
    const unsigned at = lane * width;
    std::uint64_t& half = at < 64 ? value.low : value.high;
    half = insert(half, at % 64 + width - 1, at % 64, element);
  }
  void get_structures() {
    const std::uint64_t size = std::uint64_t{1} << insn_.size_log2;
    for_each_element([&](unsigned reg, unsigned lane, std::uint64_t offset) {
      set_word_at(offset, size, lane_of(cpu_.v(reg), lane, static_cast<unsigned>(8 * size)));
    });
  }
  void put_structures() {
    const StructureShape& shape = insn_.structure;
    const std::uint64_t size = std::uint64_t{1} << insn_.size_log2;
    const auto width = static_cast<unsigned>(8 * size);
    for_each_element([&](unsigned reg, unsigned lane, std::uint64_t offset) {
      const std::uint64_t element = word_at(offset, size);
      // A whole register begins empty, so that 64-bit forms zero the upper half.
      Vector value = shape.replicate || (!shape.single && lane == 0) ? Vector{} : cpu_.v(reg);
      if (shape.replicate) {
        for (unsigned i = 0; i < (shape.quad ? 128 : 64) / width; ++i) {
          set_lane(value, i, width, element);
        }
      } else {
        set_lane(value, lane, width, element);
      }
      cpu_.set_v(reg, value);
    });
  }

  [[nodiscard]] std::uint64_t combine(std::uint64_t old, std::uint64_t operand) const {
    const Width width = *width_of(std::uint64_t{1} << insn_.size_log2);
    const auto as_signed = [&](std::uint64_t value) {
      return static_cast<std::int64_t>(sign_extend(value, bits(width)));
    };
    operand = truncate(operand, width);
    switch (insn_.op) {
      case MemoryOp::AtomicAdd:         return old + operand;
      case MemoryOp::AtomicClear:       return old & ~operand;
      case MemoryOp::AtomicEor:         return old ^ operand;
      case MemoryOp::AtomicSet:         return old | operand;
      case MemoryOp::AtomicSignedMax:   return as_signed(old) > as_signed(operand) ? old : operand;
      case MemoryOp::AtomicSignedMin:   return as_signed(old) < as_signed(operand) ? old : operand;
      case MemoryOp::AtomicUnsignedMax: return std::max(old, operand);
      case MemoryOp::AtomicUnsignedMin: return std::min(old, operand);
      default:                          return operand;  // SWP
    }
  }

  // LSE: the old value goes to Rt, for CAS to Rs (and its successor).
  [[nodiscard]] bool read_modify_write() {
    const std::uint64_t size = std::uint64_t{1} << insn_.size_log2;
    if (!load_all()) return false;
    const std::array<std::uint64_t, 2> old = {word_at(0, size),
                                              insn_.registers == 2 ? word_at(size, size) : 0};
    if (insn_.op != MemoryOp::CompareSwap) {
      set_word_at(0, size, combine(old[0], cpu_.x(insn_.rs)));
      if (!store_all()) return false;
      cpu_.set_x(insn_.rt, old[0]);
      return true;
    }
    const Width width = *width_of(size);
    bool equal = true;
    for (unsigned i = 0; i < insn_.registers; ++i) {
      equal = equal && truncate(cpu_.x(insn_.rs + i), width) == old[i];
      set_word_at(i * size, size, cpu_.x(insn_.rt + i));
    }
    if (equal && !store_all()) return false;
    for (unsigned i = 0; i < insn_.registers; ++i) cpu_.set_x(insn_.rs + i, old[i]);
    return true;
  }

  void write_back() {
    std::uint64_t base = insn_.rn == 31 ? cpu_.sp() : cpu_.x(insn_.rn);
    switch (insn_.addressing) {
      case Addressing::PreIndex:     base = address_; break;
      case Addressing::PostIndex:    base += static_cast<std::uint64_t>(insn_.offset); break;
      case Addressing::PostRegister: base += cpu_.x(insn_.rm); break;
      default:                       return;
    }
    if (insn_.rn == 31) {
      cpu_.set_sp(base);
    } else {
      cpu_.set_x(insn_.rn, base);
    }
  }

  Cpu& cpu_;
  AccessPort& port_;
  const MemoryInstruction& insn_;
  std::uint64_t address_ = 0;
  std::array<std::uint64_t, 2> pages_{};
  std::array<std::byte, kMaxBytes> buffer_{};
  EmulationResult result_;
};

}  // namespace

std::optional<SyndromeAccess> access_of(const RawExit& exit) {
  const std::uint32_t iss = iss_of(exit.esr);
  if ((iss & abort_iss::kIsv) == 0) return std::nullopt;
  const Width width = *width_of(std::size_t{1} << (iss >> abort_iss::kSasShift & 3));
  const std::uint64_t in_page = exit.far & low_bits(12);
  if (in_page + bytes(width) > kPageSize) return std::nullopt;
  return SyndromeAccess{
      .at = GuestPhys(extract(exit.hpfar, 39, 4) << 12 | in_page),
      .width = width,
      .rt = iss >> abort_iss::kSrtShift & 31,
      .register_width = (iss & abort_iss::kSf) != 0 ? Width::Double : Width::Word,
      .sign_extend = (iss & abort_iss::kSse) != 0,
      .write = (iss & abort_iss::kWnR) != 0,
  };
}

EmulationResult emulate_access(Cpu& cpu, const SyndromeAccess& access, AccessPort& port) {
  if (access.write) {
    const std::uint64_t data = truncate(cpu.x(access.rt), access.width);
    const bool done = port.write({.addr = access.at, .width = access.width, .data = data});
    return {.outcome = done ? Emulated::Retired : Emulated::NoAccess};
  }
  std::uint64_t value = 0;
  const bool taken = port.read({.addr = access.at,
                                .width = access.width,
                                .reg = static_cast<std::uint8_t>(access.rt),
                                .reg_width = access.register_width,
                                .signed_ext = access.sign_extend},
                               value);
  if (!taken) return {.outcome = Emulated::NoAccess};
  cpu.set_x(access.rt, extend(value, access.width, access.sign_extend, access.register_width));
  return {.outcome = Emulated::Retired};
}

EmulationResult emulate_instruction(Cpu& cpu, AccessPort& port) {
  const auto word = cpu.instruction();
  if (!word) return {.outcome = Emulated::Unknown};
  const auto insn = decode_memory(*word);
  if (!insn) return {.outcome = Emulated::Unknown};
  return Emulation(cpu, port, *insn).run();
}

}  // namespace retrap::aarch64
