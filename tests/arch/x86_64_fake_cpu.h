// A CPU that plays a list of raw exits, and a VM's worth of parts around it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "arch/x86_64/stage2.h"
#include "arch/x86_64/vcpu.h"
#include "vmm/base/check.h"
#include "vmm/frames.h"

namespace retrap::x86_64::test {

/// Memory by linear address is memory by guest-physical address, but for the pages in
/// `translations`. Everything that is done to it is kept.
class FakeCpu final : public Cpu {
 public:
  explicit FakeCpu(Clock& clock) : clock_(clock) {}

  [[nodiscard]] const RawExit& run() override {
    if (pending) delivered.push_back(*std::exchange(pending, std::nullopt));
    ++entries;
    last = script.empty() ? RawExit{} : script.front();
    if (!script.empty()) script.pop_front();
    return last;
  }
  [[nodiscard]] const RawExit& last_exit() const override { return last; }

  [[nodiscard]] std::uint64_t gpr(Gpr name) const override { return registers_of(name); }
  [[nodiscard]] std::span<const std::uint64_t, 16> gprs() const override { return now.gpr; }
  void set_gpr(Gpr name, std::uint64_t value) override {
    now.gpr[static_cast<std::size_t>(name)] = value;
  }
  [[nodiscard]] std::uint64_t rip() const override { return now.rip; }
  void set_rip(std::uint64_t value) override { now.rip = value; }
  [[nodiscard]] std::uint64_t rflags() const override { return now.rflags; }
  void set_arithmetic_flags(std::uint64_t rflags) override {
    now.rflags = (now.rflags & ~flag::kArithmetic) | (rflags & flag::kArithmetic);
  }
  [[nodiscard]] unsigned cpl() const override { return ring; }
  [[nodiscard]] Segment segment(SegmentName name) const override { return now.segment(name); }
  [[nodiscard]] std::uint64_t cr0() const override { return now.cr0; }
  [[nodiscard]] std::uint64_t cr4() const override { return now.cr4; }
  [[nodiscard]] std::uint64_t efer() const override { return now.efer; }
  void set_efer(std::uint64_t value) override { now.efer = value; }
  [[nodiscard]] unsigned code_bytes() const override { return mode; }
  [[nodiscard]] CpuState state() const override { return now; }
  void set_state(const CpuState& state) override {
    now = state;
    pending.reset();
  }
  [[nodiscard]] bool has_msr(std::uint32_t number) const override {
    const MsrRow* row = find_msr(number);
    return row != nullptr && row->kind == MsrKind::InCpu;
  }
  [[nodiscard]] std::uint64_t msr(std::uint32_t number) const override {
    const auto found = msrs.find(number);
    return found == msrs.end() ? 0 : found->second;
  }
  void set_msr(std::uint32_t number, std::uint64_t value) override { msrs[number] = value; }
  void set_tsc_offset(std::uint64_t offset) override { tsc = offset; }
  [[nodiscard]] std::uint64_t tsc_offset() const override { return tsc; }
  void advance(unsigned length) override {
    now.rip += length;
    advances.push_back(length);
    clock_.retire_to(clock_.retired() + 1);
  }
  void inject(const Event& event) override { pending = event; }
  [[nodiscard]] bool has_pending_event() const override { return pending.has_value(); }
  [[nodiscard]] bool can_take_interrupt() const override {
    return (now.rflags & flag::kInterrupt) != 0 && !shadow;
  }
  void request_windows(bool interrupts, bool nmi) override {
    window = interrupts;
    nmi_window = nmi;
  }
  void intercept_iret(bool wanted) override { iret_exits = wanted; }
  [[nodiscard]] Translation translate(std::uint64_t linear, retrap::x86_64::Access access,
                                      Privilege privilege) override {
    asked.push_back({linear, access, privilege});
    const auto found = translations.find(linear & ~std::uint64_t{4095});
    if (found == translations.end()) return {.gpa = GuestPhys(linear)};
    Translation answer = found->second;
    if (answer.kind == Translation::Kind::Ok) answer.gpa = answer.gpa.wrapping_add(linear % 4096);
    return answer;
  }
  [[nodiscard]] std::size_t fetch(std::span<std::uint8_t, 15> into) override {
    const std::size_t count = std::min(code.size(), into.size());
    std::copy_n(code.begin(), count, into.begin());
    return count;
  }
  [[nodiscard]] Completion complete_on(std::span<const ScratchPage> pages) override {
    const Completion done = on_scratch ? on_scratch(pages) : Completion::Retired;
    if (done == Completion::Retired) clock_.retire_to(clock_.retired() + 1);
    return done;
  }
  void flush_tlb() override {}
  [[nodiscard]] std::vector<NamedRegister> registers() const override {
    return {{"RAX", now.gpr[0]}, {"RIP", now.rip}};
  }
  void digest(Digest& into) const override {
    for (const std::uint64_t value : now.gpr) into.add(value);
    into.add(now.rip);
  }

  struct Question {
    std::uint64_t linear;
    retrap::x86_64::Access access;
    Privilege privilege;
  };

  CpuState now;
  unsigned mode = 8;  ///< code_bytes()
  unsigned ring = 0;
  bool shadow = false;
  std::deque<RawExit> script;
  RawExit last;
  std::vector<std::uint8_t> code;
  std::optional<Event> pending;
  std::vector<Event> delivered;
  bool window = false;
  bool nmi_window = false;
  bool iret_exits = false;
  std::uint64_t entries = 0;
  std::map<std::uint32_t, std::uint64_t> msrs;
  std::uint64_t tsc = 0;
  std::vector<unsigned> advances;
  std::map<std::uint64_t, Translation> translations;
  std::vector<Question> asked;
  std::function<Completion(std::span<const ScratchPage>)> on_scratch;

 private:
  [[nodiscard]] std::uint64_t registers_of(Gpr name) const {
    return now.gpr[static_cast<std::size_t>(name)];
  }
  Clock& clock_;
};

/// The parts of a VM with 2 MiB of RAM at 0 and two CPUs.
struct Parts {
  static constexpr HostPhys kHost{0x1'0000'0000};
  static constexpr std::uint64_t kRam = 2 << 20;

  Parts() : space(*AddressSpace::make(format, frames, VmId{1})) {
    const auto flags = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;
    RETRAP_CHECK(space.map_ram(GuestPhys(0), kRam, flags, MapType::Alloc, Populate::Eager, "ram"),
                 "RAM fits");
    RETRAP_CHECK(mmio.add(IoApic::kBaseAddress, interrupts.ioapic()), "IO-APIC");
    RETRAP_CHECK(mmio.add(apic::kBaseAddress, interrupts.apics()), "local APICs");
    cpu.now.rip = 0x1000;
  }

  [[nodiscard]] VcpuParts for_cpu(FakeCpu& which) {
    return {which, clock, space, mmio, sysregs, interrupts, requests};
  }

  Clock clock;
  std::vector<std::byte> bytes = std::vector<std::byte>(8 << 20);
  HostMemory memory{kHost, bytes};
  Frames frames{memory};
  NestedPageTableFormat format;
  AddressSpace space;
  Bus mmio{"mmio", clock};
  Bus ports{"port", clock};
  Bus sysregs{"sysreg", clock, Bus::Unit::Register};
  Interrupts interrupts{{0, 1}};
  SystemRequests requests;
  FakeCpu cpu{clock};
  FakeCpu other_cpu{clock};
};

/// Remembers what was asked of it; answers reads from `values` in turn, then with `value`.
class FakePort final : public AccessPort {
 public:
  [[nodiscard]] bool read(const exits::MmioRead& access, std::uint64_t& answer) override {
    reads.push_back(access);
    if (refuse_reads) return false;
    answer = values.empty() ? value : values.front();
    if (!values.empty()) values.pop_front();
    return true;
  }
  [[nodiscard]] bool write(const exits::MmioWrite& access) override {
    writes.push_back(access);
    return !refuse_writes;
  }

  std::uint64_t value = 0;
  std::deque<std::uint64_t> values;
  bool refuse_reads = false;
  bool refuse_writes = false;
  std::vector<exits::MmioRead> reads;
  std::vector<exits::MmioWrite> writes;
};

}  // namespace retrap::x86_64::test
