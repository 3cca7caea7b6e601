// A small aarch64 machine for tests: one CPU, 16 MiB of RAM, vectors that say which one was taken.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/stage2.h"
#include "sim/host_ram.h"
#include "sim/unicorn/aarch64.h"
#include "vmm/base/check.h"
#include "vmm/clock.h"

namespace retrap::aarch64::test {

/// A machine word and what it says.
struct Insn {
  const char* assembly;
  std::uint32_t word;
};
using Program = std::vector<Insn>;

/// Counts and answers with the count.
class FakeTimer final : public VirtualTimerPort {
 public:
  explicit FakeTimer(Clock& clock) : clock_(clock) {}
  std::uint64_t read_timer(SysReg) override {
    ++reads;
    return clock_.retired();
  }
  void write_timer(SysReg reg, std::uint64_t value) override {
    last = reg;
    last_value = value;
    if (on_write) on_write();
  }
  int reads = 0;
  SysReg last{};
  std::uint64_t last_value = 0;
  std::function<void()> on_write;

 private:
  Clock& clock_;
};

/// RAM at kRam (stage 2 maps it in 4 KiB pages unless asked otherwise), code at kCode, nothing
/// else. The vector with index n executes hvc #(0x100 + n), then eret.
class SmallMachine {
 public:
  static constexpr std::uint64_t kRam = 0x4000'0000;
  static constexpr std::uint64_t kRamBytes = 16u << 20;
  static constexpr std::uint64_t kCode = kRam + 0x1'0000;
  static constexpr std::uint64_t kVectors = kRam + 0x2'0000;
  static constexpr std::uint64_t kTables = kRam + 0x3'0000;
  static constexpr std::uint64_t kData = kRam + 0x10'0000;
  static constexpr std::uint64_t kDevice = 0x0900'0000;  // nothing: every access is an exit

  explicit SmallMachine(const Program& program, Populate populate = Populate::Eager,
                        unsigned cpus = 1)
      : ram_(*HostRam::map(64u << 20)),
        memory(HostPhys(0x1'0000'0000), ram_.bytes()),
        frames(memory),
        space(*AddressSpace::make(format_, frames, VmId{1})),
        timer(clock),
        hardware_(unicorn::aarch64::make_unicorn_hardware(memory, clock)) {
    constexpr auto kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;
    RETRAP_CHECK(space.map_ram(GuestPhys(kRam), kRamBytes, kAll, MapType::Alloc, populate, "ram"),
                 "RAM fits");
    std::vector<CpuSetup> setups;
    for (unsigned i = 0; i < cpus; ++i)
      setups.push_back({.mpidr = 0x8000'0000 | i, .timer = &timer});
    auto created = hardware_->create(setups, space);
    RETRAP_CHECK(created.has_value(), "the engine opens");
    set_ = std::move(*created);
    load(kCode, program);
    for (unsigned i = 0; i < 16; ++i) {
      load(kVectors + i * 0x80,
           {{"hvc #(0x100 + i)", 0xd400'0002 | (0x100 + i) << 5}, {"eret", 0xd69f'03e0}});
    }
    for (unsigned i = 0; i < cpus; ++i) {
      Cpu& each = set_->cpu(i);
      each.set_sysreg(SysReg::VBAR_EL1, kVectors);
      each.set_sysreg(SysReg::CPACR_EL1, 3u << 20);  // FP is on
      each.set_pc(kCode);
      each.set_sp(kData + 0x8000);
    }
  }

  void load(std::uint64_t at, const Program& program) {
    for (const Insn& insn : program) {
      store<std::uint32_t>(at, insn.word);
      at += 4;
    }
  }
  template <class T>
  void store(std::uint64_t at, T value) {
    RETRAP_CHECK(space.store(GuestPhys(at), value), "RAM is there");
  }
  template <class T>
  [[nodiscard]] T read(std::uint64_t at) {
    return *space.load<T>(GuestPhys(at));
  }

  /// Runs until an exit, or until `instructions` more have retired.
  RawExit run(std::uint64_t instructions = 1000) { return run_to(clock.retired() + instructions); }
  RawExit run_to(std::uint64_t retired) {
    clock.set_slice_end(retired);
    return cpu().run();
  }

  /// 39-bit addresses, 4 KiB pages: RAM maps to itself, from kData on with the descriptor bits that
  /// `data` gives (0: not mapped), else with `code`. A descriptor is complete but for AF and type.
  void enable_stage1(std::uint64_t code, const std::function<std::uint64_t(std::uint64_t)>& data) {
    constexpr std::uint64_t kLevel2 = kTables + 0x1000;
    constexpr std::uint64_t kLevel3 = kTables + 0x2000;
    store<std::uint64_t>(kTables + 8 * (kRam >> 30), kLevel2 | 3);
    store<std::uint64_t>(kLevel2, kLevel3 | 3);
    for (std::uint64_t i = 0; i < 512; ++i) {
      const std::uint64_t page = kRam + i * 0x1000;
      store<std::uint64_t>(kLevel3 + 8 * i, page >= kData ? data(page) : page | code | 0x403);
    }
    cpu().set_sysreg(SysReg::TTBR0_EL1, kTables);
    // T0SZ 25, TTBR1 off, 48-bit physical addresses.
    cpu().set_sysreg(SysReg::TCR_EL1, 25 | bit(23) | 5ull << 32);
    // MMU on; EL0 may use DC ZVA, CTR_EL0 and cache maintenance.
    cpu().set_sysreg(SysReg::SCTLR_EL1, kSctlrReset | 1 | bit(14) | bit(15) | bit(26));
  }

  /// Goes to EL0 with the stack pointer that EL1 has now; EL1's becomes `kernel_stack`.
  void drop_to_el0(std::uint64_t kernel_stack) {
    const std::uint64_t stack = cpu().sp();
    cpu().set_pstate(0);
    cpu().set_sysreg(SysReg::SP_EL1, kernel_stack);
    cpu().set_sp(stack);
  }

  [[nodiscard]] Cpu& cpu(unsigned index = 0) { return set_->cpu(index); }

 private:
  Stage2Format format_;
  HostRam ram_;

 public:
  HostMemory memory;
  Frames frames;
  AddressSpace space;
  Clock clock;
  FakeTimer timer;

 private:
  std::unique_ptr<Hardware> hardware_;
  std::unique_ptr<CpuSet> set_;
};

/// Deals with exits as it is told.
class Answers final : public RawExitHandler {
 public:
  explicit Answers(std::function<bool(const RawExit&)> answer) : answer_(std::move(answer)) {}
  bool handle(const RawExit& exit) override { return answer_(exit); }

 private:
  std::function<bool(const RawExit&)> answer_;
};

/// The immediate of an HVC exit, or nothing.
[[nodiscard]] inline std::optional<unsigned> hvc_of(const RawExit& exit) {
  if (exit.kind != RawExit::Kind::Trap || class_of(exit.esr) != ExceptionClass::Hvc64) {
    return std::nullopt;
  }
  return iss_of(exit.esr) & 0xffff;
}

}  // namespace retrap::aarch64::test
