// A riscv64 hart that plays a script, and a small host around a vCPU on it.
#pragma once

#include <gmock/gmock.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arch/riscv64/board.h"
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/stage2.h"
#include "arch/riscv64/vcpu.h"
#include "tests/support/matchers.h"
#include "vmm/base/bytes.h"
#include "vmm/bus.h"

namespace retrap::riscv64::test {

/// Registers without a machine behind them; run() gives the exits of the script, one by one.
class FakeCpu final : public Cpu {
 public:
  std::deque<RawExit> script;
  RawExit exit;
  std::array<std::uint64_t, 32> xs{};
  std::array<std::uint64_t, 32> fs{};
  std::map<Csr, std::uint64_t> csrs;
  std::uint64_t pc_value = 0;
  Privilege mode = Privilege::Supervisor;
  std::uint64_t hvip_value = 0;
  std::uint64_t retired = 0;
  unsigned flushes = 0;
  std::map<std::uint64_t, std::uint16_t> code;  ///< half-words by address
  Clock* clock = nullptr;

  const RawExit& run() override {
    exit = script.empty() ? RawExit{.scause = kInterrupt | kSupervisorTimer} : script.front();
    if (!script.empty()) script.pop_front();
    if (exit.sepc != 0) pc_value = exit.sepc;
    return exit;
  }
  const RawExit& last_exit() const override { return exit; }
  std::uint64_t x(unsigned index) const override { return xs[index]; }
  void set_x(unsigned index, std::uint64_t value) override {
    if (index != 0) xs[index] = value;
  }
  std::array<std::uint64_t, 8> arguments() const override {
    std::array<std::uint64_t, 8> out{};
    std::copy_n(xs.begin() + 10, 8, out.begin());
    return out;
  }
  std::uint64_t f(unsigned index) const override { return fs[index]; }
  void set_f(unsigned index, std::uint64_t value) override { fs[index] = value; }
  std::uint64_t pc() const override { return pc_value; }
  void set_pc(std::uint64_t value) override { pc_value = value; }
  Privilege privilege() const override { return mode; }
  void set_privilege(Privilege value) override { mode = value; }
  std::uint64_t csr(Csr number) const override {
    const auto found = csrs.find(number);
    return found == csrs.end() ? 0 : found->second;
  }
  void set_csr(Csr number, std::uint64_t value) override { csrs[number] = value; }
  std::uint64_t hvip() const override { return hvip_value; }
  void set_hvip(std::uint64_t mask, std::uint64_t value) override {
    hvip_value = (hvip_value & ~mask) | (value & mask);
  }
  void retire(unsigned length) override {
    pc_value += length;
    ++retired;
    if (clock != nullptr) clock->retire_to(clock->retired() + 1);
  }
  std::optional<std::uint16_t> fetch(std::uint64_t va) override {
    const auto found = code.find(va);
    if (found == code.end()) return std::nullopt;
    return found->second;
  }
  void flush_tlb() override { ++flushes; }
  void reset() override {
    xs.fill(0);
    csrs.clear();
    pc_value = 0;
    mode = Privilege::Supervisor;
    hvip_value = 0;
  }
  std::vector<NamedRegister> registers() const override { return {{"pc", pc_value}}; }
  void digest(Digest& into) const override { into.add(pc_value); }

  void put_code(std::uint64_t va, std::uint32_t word) {
    code[va] = static_cast<std::uint16_t>(word);
    if ((word & 3) == 3) code[va + 2] = static_cast<std::uint16_t>(word >> 16);
  }
};

class FakeCpuSet final : public CpuSet {
 public:
  explicit FakeCpuSet(unsigned count) {
    for (unsigned i = 0; i < count; ++i) cpus.push_back(std::make_unique<FakeCpu>());
  }
  unsigned size() const override { return static_cast<unsigned>(cpus.size()); }
  Cpu& cpu(unsigned index) override { return *cpus[index]; }
  std::vector<std::unique_ptr<FakeCpu>> cpus;
};

/// Remembers the harts it made.
class FakeHardware final : public Hardware {
 public:
  Result<std::unique_ptr<CpuSet>> create(unsigned count, AddressSpace&) override {
    auto set = std::make_unique<FakeCpuSet>(count);
    made = set.get();
    return set;
  }
  FakeCpuSet* made = nullptr;
};

class TextConsole final : public ConsoleSink {
 public:
  void put(char byte) override { text.push_back(byte); }
  std::string text;
};

/// Host memory, clock and a guest address space with 2 MiB of RAM at 0x8000'0000.
struct Host {
  static constexpr std::uint64_t kRam = 0x8000'0000;
  static constexpr std::uint64_t kRamSize = 2u << 20;

  std::vector<std::byte> bytes = std::vector<std::byte>(4u << 20);
  HostMemory memory{HostPhys(0x1'0000'0000), bytes};
  Frames frames{memory};
  Clock clock;
  AddressSpace space = *AddressSpace::make(sv39x4(), frames, VmId{1});
  GuestDma dma;
  TextConsole console;

  Host() {
    const auto mapped = space.map_ram(GuestPhys(kRam), kRamSize, MappingFlags(7), MapType::Alloc,
                                      Populate::Eager, "ram");
    EXPECT_THAT(mapped, retrap::test::Succeeds());
  }
};

/// Plays RAM and devices: accesses are kept, reads answered from `answers` by address.
class FakePort final : public AccessPort {
 public:
  std::vector<exits::MmioRead> reads;
  std::vector<exits::MmioWrite> writes;
  std::map<std::uint64_t, std::uint64_t> answers;
  bool refuses_reads = false;
  bool refuses_writes = false;

  bool read(const exits::MmioRead& access, std::uint64_t& value) override {
    if (refuses_reads) return false;
    reads.push_back(access);
    const auto found = answers.find(access.addr.raw());
    value = truncate(found == answers.end() ? 0 : found->second, access.width);
    return true;
  }
  bool write(const exits::MmioWrite& access) override {
    if (refuses_writes) return false;
    writes.push_back(access);
    return true;
  }
};

}  // namespace retrap::riscv64::test
