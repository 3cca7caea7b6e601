// Event delivery through the IVT or the IDT, as the manual orders its checks.
#include "sim/unicorn/x86_64/delivery.h"

#include <optional>

namespace retrap::unicorn::x86_64 {
namespace {

constexpr unsigned kEs = 0, kCs = 1, kSs = 2, kDs = 3, kFs = 4, kGs = 5;
constexpr unsigned kRsp = 4;

struct Descriptor {
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  [[nodiscard]] std::uint32_t base() const {
    return low >> 16 | (high & 0xff) << 16 | (high & 0xff00'0000);
  }
  [[nodiscard]] std::uint32_t limit() const {
    const std::uint32_t raw = (low & 0xffff) | (high & 0xf'0000);
    return (high & descriptor::kG) != 0 ? raw << 12 | 0xfff : raw;
  }
  [[nodiscard]] unsigned dpl() const { return high >> descriptor::kDplShift & 3; }
  [[nodiscard]] bool present() const { return (high & descriptor::kP) != 0; }
};

struct Gate {
  std::uint16_t selector = 0;
  std::uint64_t offset = 0;
  unsigned type = 0;
  unsigned dpl = 0;
  unsigned ist = 0;
  bool present = false;

  [[nodiscard]] bool is_trap() const { return (type & 1) != 0; }
  [[nodiscard]] bool is_wide() const { return (type & 8) != 0; }  // 32 or 64 bits, not 16
};

/// The words of a stack frame, in the order of their pushes.
class Frame {
 public:
  void push(std::uint64_t word) { words_[count_++] = word; }
  [[nodiscard]] std::uint64_t bytes(unsigned width) const { return count_ * width; }
  /// The bytes in memory order: the last push first.
  std::span<const std::byte> encode(unsigned width, std::array<std::byte, 88>& out) const {
    for (std::size_t i = 0; i < count_; ++i) {
      const std::uint64_t word = little_endian(words_[count_ - 1 - i]);
      std::memcpy(out.data() + i * width, &word, width);
    }
    return std::span(out).first(count_ * width);
  }

 private:
  std::array<std::uint64_t, 11> words_{};
  std::size_t count_ = 0;
};

/// One attempt to deliver one event. Every step that fails has set fault_ or nested_.
class Attempt {
 public:
  Attempt(const PendingEvent& event, Env& env, LinearMemory& memory)
      : pending_(event), event_(event.event), env_(env), head_(env.head()), memory_(memory) {}

  [[nodiscard]] bool run() {
    if (!env_.protected_mode()) return real_mode();
    Gate gate;
    Descriptor code;
    if (!read_gate(gate) || !check_gate(gate)) return false;
    if (gate.type == 5) {
      unmodelled_ = true;
      return false;
    }
    if (!read_code_segment(gate, code)) return false;
    return env_.long_mode() ? long_mode(gate, code) : legacy_mode(gate, code);
  }

  [[nodiscard]] const std::optional<Event>& fault() const { return fault_; }
  [[nodiscard]] bool nested() const { return nested_; }
  [[nodiscard]] bool unmodelled() const { return unmodelled_; }

 private:
  [[nodiscard]] bool software() const { return event_.type == Event::Type::Software; }
  [[nodiscard]] std::uint32_t ext() const { return software() ? 0 : 1; }

  bool raise(std::uint8_t vector, std::uint32_t error) {
    fault_ = Event::exception(vector, error | ext());
    return false;
  }
  /// What a refused memory access means here.
  bool memory_fault() {
    const MemoryFault& fault = memory_.fault();
    switch (fault.kind) {
      case MemoryFault::Kind::Nested: nested_ = true; return false;
      case MemoryFault::Kind::PageFault:
        head_.cr[2] = fault.linear;
        fault_ = Event::page_fault(static_cast<std::uint32_t>(fault.error), fault.linear);
        return false;
      default: return raise(kStackFault, 0);
    }
  }
  template <class T>
  bool load(std::uint64_t linear, T& value) {
    return memory_.load(linear, value) || memory_fault();
  }
  bool store(std::uint64_t linear, const Frame& frame, unsigned width) {
    std::array<std::byte, 88> bytes;
    return memory_.write(linear, frame.encode(width, bytes), Privilege::Supervisor) ||
           memory_fault();
  }
  [[nodiscard]] std::uint64_t return_rip() const { return head_.eip + pending_.length; }

  bool real_mode();
  bool read_gate(Gate& gate);
  bool check_gate(const Gate& gate);
  bool read_descriptor(std::uint16_t selector, std::uint8_t vector, Descriptor& out);
  bool read_code_segment(const Gate& gate, Descriptor& code);
  bool long_mode(const Gate& gate, const Descriptor& code);
  bool legacy_mode(const Gate& gate, const Descriptor& code);
  bool legacy_stack(unsigned ring, std::uint32_t& esp, EnvSegment& ss);
  void commit(const Gate& gate, const Descriptor& code, unsigned ring);

  const PendingEvent& pending_;
  const Event& event_;
  Env& env_;
  EnvHead& head_;
  LinearMemory& memory_;
  std::optional<Event> fault_;
  bool nested_ = false;
  bool unmodelled_ = false;
};

bool Attempt::real_mode() {
  const std::uint64_t entry = std::uint64_t{event_.vector} * 4;
  if (entry + 3 > head_.idt.limit) return raise(kGeneralProtection, 0);
  std::uint32_t target = 0;
  if (!load(head_.idt.base + entry, target)) return false;
  Frame frame;
  frame.push(head_.eflags & 0xffff);
  frame.push(head_.segs[kCs].selector);
  frame.push(return_rip() & 0xffff);
  const auto sp = static_cast<std::uint16_t>(head_.regs[kRsp] - frame.bytes(2));
  if (!store(head_.segs[kSs].base + sp, frame, 2)) return false;
  head_.regs[kRsp] = (head_.regs[kRsp] & ~std::uint64_t{0xffff}) | sp;
  head_.eip = target & 0xffff;
  EnvSegment code = head_.segs[kCs];
  code.selector = target >> 16;
  code.base = std::uint64_t{code.selector} << 4;
  env_.load_segment(SegmentName::Cs, code);
  head_.eflags &= ~(rflags::kIf | rflags::kTf | rflags::kAc | rflags::kRf);
  head_.hflags &= ~hf::kInhibit;
  return true;
}

bool Attempt::read_gate(Gate& gate) {
  const bool lm = env_.long_mode();
  const std::uint32_t size = lm ? 16 : 8;
  const std::uint32_t at = event_.vector * size;
  if (at + size - 1 > head_.idt.limit) return raise(kGeneralProtection, event_.vector * 8U + 2);
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (!load(head_.idt.base + at, low)) return false;
  if (lm && !load(head_.idt.base + at + 8, high)) return false;
  gate.selector = static_cast<std::uint16_t>(low >> 16);
  gate.type = static_cast<unsigned>(extract(low, 44, 40));
  gate.dpl = static_cast<unsigned>(extract(low, 46, 45));
  gate.present = has_bit(low, 47);
  gate.offset = extract(low, 15, 0) | extract(low, 63, 48) << 16;
  if (lm) {
    gate.ist = static_cast<unsigned>(extract(low, 34, 32));
    gate.offset |= extract(high, 31, 0) << 32;
  } else if (!gate.is_wide()) {
    gate.offset &= 0xffff;
  }
  return true;
}

bool Attempt::check_gate(const Gate& gate) {
  const std::uint32_t error = event_.vector * 8U + 2;
  const bool known = env_.long_mode() ? gate.type == 14 || gate.type == 15
                                      : gate.type == 5 || gate.type == 6 || gate.type == 7 ||
                                            gate.type == 14 || gate.type == 15;
  if (!known) return raise(kGeneralProtection, error);
  if (software() && gate.dpl < env_.cpl()) return raise(kGeneralProtection, error);
  if (!gate.present) return raise(kSegmentNotPresent, error);
  return true;
}

bool Attempt::read_descriptor(std::uint16_t selector, std::uint8_t vector, Descriptor& out) {
  const EnvSegment& table = (selector & 4) != 0 ? head_.ldt : head_.gdt;
  if ((selector | 7U) > table.limit) return raise(vector, selector & 0xfffcU);
  std::uint64_t raw = 0;
  if (!load(table.base + (selector & ~7U), raw)) return false;
  out = {static_cast<std::uint32_t>(raw), static_cast<std::uint32_t>(raw >> 32)};
  return true;
}

bool Attempt::read_code_segment(const Gate& gate, Descriptor& code) {
  const std::uint32_t error = gate.selector & 0xfffcU;
  if (error == 0) return raise(kGeneralProtection, 0);
  if (!read_descriptor(gate.selector, kGeneralProtection, code)) return false;
  constexpr std::uint32_t kIsCode = descriptor::kS | descriptor::kCode;
  if ((code.high & kIsCode) != kIsCode || code.dpl() > env_.cpl()) {
    return raise(kGeneralProtection, error);
  }
  if (!code.present()) return raise(kSegmentNotPresent, error);
  if (env_.long_mode() &&
      ((code.high & descriptor::kL) == 0 || (code.high & descriptor::kB) != 0)) {
    return raise(kGeneralProtection, error);
  }
  return true;
}

bool Attempt::long_mode(const Gate& gate, const Descriptor& code) {
  const unsigned cpl = env_.cpl();
  const bool conforming = (code.high & descriptor::kConforming) != 0;
  const unsigned ring = conforming ? cpl : code.dpl();
  std::uint64_t rsp = head_.regs[kRsp];
  if (gate.ist != 0 || ring != cpl) {
    const std::uint32_t at = gate.ist != 0 ? 28 + 8 * gate.ist : 4 + 8 * ring;
    if (at + 7 > head_.tr.limit) return raise(kInvalidTss, head_.tr.selector & 0xfffcU);
    if (!load(head_.tr.base + at, rsp)) return false;
  }
  Frame frame;
  frame.push(head_.segs[kSs].selector);
  frame.push(head_.regs[kRsp]);
  frame.push(head_.eflags);
  frame.push(head_.segs[kCs].selector);
  frame.push(return_rip());
  if (event_.has_error) frame.push(event_.error);
  rsp = (rsp & ~std::uint64_t{15}) - frame.bytes(8);
  if (!is_canonical(rsp)) return raise(kStackFault, 0);
  if (!is_canonical(gate.offset)) return raise(kGeneralProtection, 0);
  if (!store(rsp, frame, 8)) return false;
  if (ring != cpl) {
    env_.load_segment(SegmentName::Ss, {.selector = ring,
                                        .padding = 0,
                                        .base = 0,
                                        .limit = 0,
                                        .flags = ring << descriptor::kDplShift});
  }
  head_.regs[kRsp] = rsp;
  commit(gate, code, ring);
  return true;
}

/// The stack that the TSS has for `ring`.
bool Attempt::legacy_stack(unsigned ring, std::uint32_t& esp, EnvSegment& ss) {
  const std::uint32_t tss_error = head_.tr.selector & 0xfffcU;
  std::uint16_t selector = 0;
  if ((head_.tr.flags & 0x800) != 0) {  // a 32-bit TSS
    if (4 + 8 * ring + 5 > head_.tr.limit) return raise(kInvalidTss, tss_error);
    if (!load(head_.tr.base + 4 + std::uint64_t{8} * ring, esp)) return false;
    if (!load(head_.tr.base + 8 + std::uint64_t{8} * ring, selector)) return false;
  } else {
    std::uint16_t sp = 0;
    if (2 + 4 * ring + 3 > head_.tr.limit) return raise(kInvalidTss, tss_error);
    if (!load(head_.tr.base + 2 + std::uint64_t{4} * ring, sp)) return false;
    if (!load(head_.tr.base + 4 + std::uint64_t{4} * ring, selector)) return false;
    esp = sp;
  }
  const std::uint32_t error = selector & 0xfffcU;
  if (error == 0) return raise(kInvalidTss, 0);
  Descriptor segment;
  if (!read_descriptor(selector, kInvalidTss, segment)) return false;
  const bool writable_data = (segment.high & descriptor::kS) != 0 &&
                             (segment.high & descriptor::kCode) == 0 &&
                             (segment.high & descriptor::kReadWrite) != 0;
  if ((selector & 3U) != ring || segment.dpl() != ring || !writable_data) {
    return raise(kInvalidTss, error);
  }
  if (!segment.present()) return raise(kStackFault, error);
  ss = {.selector = selector,
        .padding = 0,
        .base = segment.base(),
        .limit = segment.limit(),
        .flags = segment.high};
  return true;
}

bool Attempt::legacy_mode(const Gate& gate, const Descriptor& code) {
  const unsigned cpl = env_.cpl();
  const bool v86 = env_.virtual_8086();
  const bool conforming = (code.high & descriptor::kConforming) != 0;
  const unsigned ring = conforming ? cpl : code.dpl();
  if (v86 && ring != 0) return raise(kGeneralProtection, gate.selector & 0xfffcU);
  auto esp = static_cast<std::uint32_t>(head_.regs[kRsp]);
  EnvSegment ss = head_.segs[kSs];
  const bool switches = ring != cpl;
  if (switches && !legacy_stack(ring, esp, ss)) return false;

  Frame frame;
  if (v86) {
    for (const unsigned name : {kGs, kFs, kDs, kEs}) frame.push(head_.segs[name].selector);
  }
  if (switches) {
    frame.push(head_.segs[kSs].selector);
    frame.push(head_.regs[kRsp] & 0xffff'ffff);
  }
  frame.push(head_.eflags & 0xffff'ffff);
  frame.push(head_.segs[kCs].selector);
  frame.push(return_rip() & 0xffff'ffff);
  if (event_.has_error) frame.push(event_.error);
  const unsigned width = gate.is_wide() ? 4 : 2;
  const std::uint32_t mask = (ss.flags & descriptor::kB) != 0 ? 0xffff'ffff : 0xffff;
  const std::uint32_t top = (esp - static_cast<std::uint32_t>(frame.bytes(width))) & mask;
  if (!store((ss.base + top) & 0xffff'ffff, frame, width)) return false;

  if (v86) {
    head_.eflags &= ~rflags::kVm;
    for (const unsigned name : {kEs, kDs, kFs, kGs}) head_.segs[name] = EnvSegment{};
  }
  if (switches) {
    env_.load_segment(SegmentName::Ss, ss);
    head_.regs[kRsp] = 0;
  }
  head_.regs[kRsp] = (head_.regs[kRsp] & ~std::uint64_t{mask}) | top;
  if (switches && mask == 0xffff) head_.regs[kRsp] |= esp & ~mask;
  commit(gate, code, ring);
  return true;
}

void Attempt::commit(const Gate& gate, const Descriptor& code, unsigned ring) {
  env_.load_segment(SegmentName::Cs, {.selector = (gate.selector & ~3U) | ring,
                                      .padding = 0,
                                      .base = code.base(),
                                      .limit = code.limit(),
                                      .flags = code.high});
  head_.eip = gate.offset;
  head_.eflags &= ~(rflags::kTf | rflags::kVm | rflags::kRf | rflags::kNt);
  if (!gate.is_trap()) head_.eflags &= ~rflags::kIf;
  head_.hflags &= ~hf::kInhibit;
}

constexpr bool is_contributory(std::uint8_t vector) {
  return vector == kDivideError || (vector >= kInvalidTss && vector <= kGeneralProtection);
}

/// The event that `second` becomes while `first` was being delivered (APM volume 2, 8.2.9).
Event combine(const Event& first, const Event& second) {
  const bool exception = first.type == Event::Type::Exception;
  const bool both = is_contributory(first.vector) && is_contributory(second.vector);
  const bool after_page_fault =
      first.vector == kPageFault && (second.vector == kPageFault || is_contributory(second.vector));
  if (exception && (both || after_page_fault)) return Event::exception(kDoubleFault, 0);
  return second;
}

}  // namespace

Delivered deliver(PendingEvent& pending, Env& env, LinearMemory& memory) {
  for (;;) {
    const Event& event = pending.event;
    if (event.type == Event::Type::Exception && event.vector == kPageFault) {
      env.head().cr[2] = event.address;
    }
    Attempt attempt(pending, env, memory);
    if (attempt.run()) return Delivered::Done;
    if (attempt.unmodelled()) return Delivered::Unmodelled;
    if (attempt.nested()) return Delivered::NestedFault;
    if (event.type == Event::Type::Exception && event.vector == kDoubleFault) {
      return Delivered::Shutdown;
    }
    // A fault in the delivery is a fault: the saved RIP is that of the instruction again.
    pending = {.event = combine(event, *attempt.fault()), .length = 0};
  }
}

}  // namespace retrap::unicorn::x86_64
