// Wiring of PIC, IO-APIC and local APICs.
#include "arch/x86_64/interrupts.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint32_t kTimerLine = 0;
constexpr std::uint32_t kCascadeLine = 2;
constexpr std::uint32_t kIsaLines = 16;
constexpr std::uint64_t kFirstVector = 16;

}  // namespace

Interrupts::Interrupts(const std::vector<std::uint64_t>& apic_ids)
    : apics_(apic_ids), ioapic_(apics_) {
  apics_.set_eoi_listener(&ioapic_);
}

bool Interrupts::has_line(std::uint32_t line) const {
  return line < IoApic::kPins && line != kCascadeLine;
}

void Interrupts::set_line(std::uint32_t line, bool level) {
  if (!has_line(line)) return;
  if (line < kIsaLines) pics_.set_line(line, level);
  ioapic_.set_pin(line == kTimerLine ? 2 : line, level);
}

// An 8259 forgets an edge whose line falls before it is acknowledged: an ISA line stays up until
// the next pulse.
void Interrupts::pulse(std::uint32_t line) {
  if (!has_line(line)) return;
  set_line(line, false);
  set_line(line, true);
  if (line >= kIsaLines) set_line(line, false);
}

Result<> Interrupts::inject(VcpuId vcpu, std::uint64_t vector) {
  const std::uint32_t cpu = index(vcpu);
  if (cpu >= apics_.count()) {
    return fail(ErrorCode::InvalidInput, "no vcpu {}: there are {}", cpu, apics_.count());
  }
  if (vector == kNmiVector) {
    apics_.signals(cpu).nmi = true;
    return {};
  }
  if (vector < kFirstVector || vector > 255) {
    return fail(ErrorCode::InvalidInput,
                "vector {} cannot be injected: x86 interrupts are 16 to 255, and 2 for NMI",
                vector);
  }
  const auto number = static_cast<std::uint8_t>(vector);
  if (!apics_.apic(cpu).accept(number, false)) apics_.signals(cpu).injected.set(number);
  return {};
}

bool Interrupts::ext_int_pending(std::uint32_t cpu) {
  return cpu == 0 && apics_.apic(0).passes_ext_int() && pics_.output();
}

bool Interrupts::pending(std::uint32_t cpu) {
  return apics_.apic(cpu).pending() || apics_.signals(cpu).injected.highest() ||
         ext_int_pending(cpu);
}

std::optional<std::uint8_t> Interrupts::acknowledge(std::uint32_t cpu) {
  if (ext_int_pending(cpu)) return pics_.acknowledge();
  VectorSet& injected = apics_.signals(cpu).injected;
  if (const auto vector = injected.highest()) {
    injected.clear(*vector);
    return vector;
  }
  const auto vector = apics_.apic(cpu).pending();
  if (vector) apics_.apic(cpu).acknowledge(*vector);
  return vector;
}

void Interrupts::reset() {
  pics_.reset();
  apics_.reset();
  ioapic_.reset();
}

}  // namespace retrap::x86_64
