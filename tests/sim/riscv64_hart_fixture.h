// One simulated riscv64 hart with a little memory, for tests in machine code.
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/stage2.h"
#include "sim/unicorn/riscv64.h"
#include "tests/support/matchers.h"
#include "vmm/frames.h"

namespace retrap::riscv64::test {

/// Machine code in half-words, as the assembler gives it.
using Code = std::vector<std::uint16_t>;

enum Register : unsigned {
  kRa = 1,
  kSp = 2,
  kT0 = 5,
  kT1 = 6,
  kT2 = 7,
  kS0 = 8,
  kS1 = 9,
  kA0 = 10,
  kA1 = 11,
  kA2 = 12,
  kA3 = 13,
  kA4 = 14,
  kA5 = 15,
  kT3 = 28,
  kT4 = 29
};

inline std::uint64_t code(Cause cause) {
  return static_cast<std::uint64_t>(cause);
}

/// Deals with exits as it is told.
class Answers final : public RawExitHandler {
 public:
  explicit Answers(std::function<bool(const RawExit&)> answer) : answer_(std::move(answer)) {}
  bool handle(const RawExit& exit) override { return answer_(exit); }

 private:
  std::function<bool(const RawExit&)> answer_;
};

/// RAM at 0x8000'0000, code at its start, data at kData; nothing anywhere else. The guest's trap
/// handler, where a test wants one, is at kHandler.
class AHart : public ::testing::Test {
 public:
  static constexpr std::uint64_t kRam = 0x8000'0000;
  static constexpr std::uint64_t kRamSize = 2u << 20;
  static constexpr std::uint64_t kHandler = kRam + 0x1'0000;
  static constexpr std::uint64_t kData = kRam + 0x2'0000;
  static constexpr std::uint64_t kTables = kRam + 0x4'0000;
  static constexpr std::uint64_t kDevice = 0x1000'0000;
  static constexpr std::uint64_t kTimer = kInterrupt | kSupervisorTimer;

  explicit AHart(unsigned harts = 1) {
    EXPECT_THAT(space_.map_ram(GuestPhys(kRam), kRamSize, MappingFlags(7), MapType::Alloc,
                               Populate::Eager, "ram"),
                retrap::test::Succeeds());
    auto made = hardware_->create(harts, space_);
    EXPECT_THAT(made, retrap::test::Succeeds());
    cpus_ = std::move(*made);
    cpu_ = &cpus_->cpu(0);
    cpu_->set_pc(kRam);
  }

  void put(std::uint64_t gpa, const Code& words) {
    EXPECT_THAT(space_.write(GuestPhys(gpa), std::as_bytes(std::span(words))),
                retrap::test::Succeeds());
  }
  void store(std::uint64_t gpa, std::uint64_t value) {
    EXPECT_THAT(space_.store(GuestPhys(gpa), value), retrap::test::Succeeds());
  }
  std::uint64_t load(std::uint64_t gpa) {
    return space_.load<std::uint64_t>(GuestPhys(gpa)).value_or(0xdead);
  }

  /// At most `instructions` more.
  const RawExit& run(std::uint64_t instructions = 1'000'000) {
    clock_.set_slice_end(clock_.retired() + instructions);
    return cpu_->run();
  }
  /// Past the instruction of the last exit, as a monitor that emulates it moves on.
  void skip(unsigned length = 4) { cpu_->retire(length); }
  std::uint64_t x(unsigned index) const { return cpu_->x(index); }
  std::uint64_t retired() const { return clock_.retired(); }

  /// Sv39 with the tables at kTables: RAM at its own address by a gigapage (supervisor, RWX), and
  /// 4 KiB pages from 0x4000'0000 on with the given entries.
  void turn_paging_on(std::initializer_list<std::uint64_t> pages) {
    store(kTables + 16, entry(kRam, 0xcf));
    store(kTables + 8, entry(kTables + 0x1000, 1));
    store(kTables + 0x1000, entry(kTables + 0x2000, 1));
    std::uint64_t at = kTables + 0x2000;
    for (const std::uint64_t page : pages) {
      store(at, page);
      at += 8;
    }
    cpu_->set_csr(Csr::Vsatp, 8ull << 60 | kTables >> 12);
  }
  static std::uint64_t entry(std::uint64_t address, std::uint64_t bits) {
    return address >> 12 << 10 | bits;
  }
  /// A handler that only shows where it is: j .
  void catch_traps() {
    put(kHandler, {0xa001});
    cpu_->set_csr(Csr::Vstvec, kHandler);
  }
  void expect_trapped(Cause cause, std::uint64_t epc, std::uint64_t tval) {
    EXPECT_EQ(cpu_->pc(), kHandler);
    EXPECT_EQ(cpu_->csr(Csr::Vscause), code(cause));
    EXPECT_EQ(cpu_->csr(Csr::Vsepc), epc);
    EXPECT_EQ(cpu_->csr(Csr::Vstval), tval);
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(8u << 20);
  HostMemory memory_{HostPhys(0x1'0000'0000), bytes_};
  Frames frames_{memory_};
  Clock clock_;
  AddressSpace space_ = *AddressSpace::make(sv39x4(), frames_, VmId{1});
  std::unique_ptr<Hardware> hardware_ = unicorn::riscv64::make_unicorn_hardware(memory_, clock_);
  std::unique_ptr<CpuSet> cpus_;
  Cpu* cpu_ = nullptr;  ///< never null
};

}  // namespace retrap::riscv64::test
