// A simulated x86_64 CPU on a few megabytes, without a monitor.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/stage2.h"
#include "sim/unicorn/x86_64.h"
#include "vmm/base/digest.h"

namespace retrap::test {

using namespace x86_64;  // NOLINT(google-build-using-namespace): a test's vocabulary

/// Guest memory from 0 on; one CPU in 64-bit mode at kCode with the first 4 GiB mapped to
/// themselves, writable and executable by everybody.
class CpuRig {
 public:
  static constexpr std::uint64_t kMemory = 8 << 20;
  static constexpr std::uint64_t kHost = 0x1'0000'0000;
  static constexpr std::uint64_t kCode = 0x10'0000;
  static constexpr std::uint64_t kStack = 0x8'0000;
  static constexpr std::uint64_t kData = 0x20'0000;
  static constexpr std::uint64_t kTables = 0x3'0000;  ///< PML4, PDPT, four PDs
  static constexpr std::uint64_t kGdt = 0x2'f000;
  static constexpr std::uint64_t kIdt = 0x2'e000;
  static constexpr std::uint64_t kTss = 0x2'd000;
  static constexpr std::uint64_t kHandlers = 0x11'0000;   ///< 16 bytes a vector: HLT
  static constexpr std::uint64_t kNowhere = 0xd000'0000;  ///< mapped by stage 1, not by stage 2

  explicit CpuRig(unsigned cpus = 1, Populate populate = Populate::Eager)
      : bytes_(2 * kMemory),
        memory(HostPhys(kHost), bytes_),
        frames(memory),
        space(*AddressSpace::make(format_, frames, VmId{1})) {
    EXPECT_TRUE(space.map_ram(GuestPhys(0), kMemory,
                              MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute,
                              MapType::Alloc, populate, "ram"));
    hardware = unicorn::x86_64::make_unicorn_hardware(memory, clock);
    set = *hardware->create(cpus, space);
    build_tables();
    build_descriptors();
    cpu().set_state(long_mode());
  }

  [[nodiscard]] Cpu& cpu(unsigned index = 0) { return set->cpu(index); }

  template <class T>
  void store(std::uint64_t gpa, const T& value) {
    ASSERT_TRUE(space.store(GuestPhys(gpa), value));
  }
  template <class T = std::uint64_t>
  [[nodiscard]] T load(std::uint64_t gpa) {
    return *space.load<T>(GuestPhys(gpa));
  }
  void code(std::initializer_list<int> bytes, std::uint64_t at = kCode) {
    for (const int byte : bytes) store(at++, static_cast<std::uint8_t>(byte));
  }

  /// Runs at most `instructions`, in slices of `slice`, until something else than the limit.
  const RawExit& run(std::uint64_t instructions = 100'000,
                     std::uint64_t slice = ~std::uint64_t{0}) {
    const std::uint64_t end = clock.retired() + instructions;
    for (;;) {
      const std::uint64_t left = end - clock.retired();
      clock.set_slice_end(clock.retired() + std::min(left, slice));
      const RawExit& exit = cpu().run();
      if (exit.code != SvmExit::Limit || clock.retired() >= end) return exit;
    }
  }

  [[nodiscard]] std::uint64_t digest() {
    Digest digest;
    cpu().digest(digest);
    space.digest(digest);
    digest.add(clock.retired());
    return digest.value();
  }

  [[nodiscard]] static Segment code64(unsigned dpl = 0) {
    return {.selector = static_cast<std::uint16_t>(dpl == 0 ? 0x10 : 0x33),
            .attributes = static_cast<std::uint16_t>(0xa9b | dpl << 5),
            .limit = ~0U,
            .base = 0};
  }
  [[nodiscard]] static Segment data(unsigned dpl = 0) {
    return {.selector = static_cast<std::uint16_t>(dpl == 0 ? 0x18 : 0x2b),
            .attributes = static_cast<std::uint16_t>(0xc93 | dpl << 5),
            .limit = ~0U,
            .base = 0};
  }
  [[nodiscard]] static CpuState long_mode(unsigned dpl = 0) {
    CpuState state;
    for (const SegmentName name :
         {SegmentName::Es, SegmentName::Ss, SegmentName::Ds, SegmentName::Fs, SegmentName::Gs}) {
      state.segment(name) = data(dpl);
    }
    state.segment(SegmentName::Cs) = code64(dpl);
    state.segment(SegmentName::Tr) = {
        .selector = 0x40, .attributes = 0x8b, .limit = 0x67, .base = kTss};
    state.gdtr = {kGdt, 0x4f};
    state.idtr = {kIdt, 0xfff};
    state.rip = kCode;
    state.gpr[static_cast<unsigned>(Gpr::Rsp)] = kStack;
    state.cr0 = 0x8001'0033;
    state.cr3 = kTables;
    state.cr4 = 0x620;
    state.efer = 0xd01;
    return state;
  }

  /// A gate of `vector` to its HLT; afterwards the RIP tells which one was taken.
  void gate(unsigned vector, unsigned dpl = 0, unsigned ist = 0) {
    const std::uint64_t target = kHandlers + vector * 16ULL;
    store<std::uint64_t>(kIdt + vector * 16ULL,
                         (target & 0xffff) | 0x10ULL << 16 | std::uint64_t{ist} << 32 |
                             (0x8e00ULL | dpl << 13) << 32 | (target & 0xffff'0000) << 32);
    store<std::uint64_t>(kIdt + vector * 16ULL + 8, target >> 32);
    store<std::uint8_t>(target, 0xf4);
  }
  [[nodiscard]] static std::uint64_t handler(unsigned vector) { return kHandlers + vector * 16ULL; }

  /// Maps the 2 MiB at `linear` to 4 KiB pages of a new table and gives the address of its first
  /// entry; they map themselves.
  std::uint64_t split(std::uint64_t linear, std::uint64_t table = 0x4'0000) {
    for (std::uint64_t i = 0; i < 512; ++i) store(table + i * 8, (linear + i * 4096) | 0x67);
    store(kTables + 0x2000 + (linear >> 21) * 8, table | 0x27);
    return table;
  }

 private:
  void build_tables() {
    store<std::uint64_t>(kTables, (kTables + 0x1000) | 7);
    for (std::uint64_t i = 0; i < 4; ++i) {
      store<std::uint64_t>(kTables + 0x1000 + i * 8, (kTables + 0x2000 + i * 0x1000) | 7);
      for (std::uint64_t j = 0; j < 512; ++j) {
        store<std::uint64_t>(kTables + 0x2000 + i * 0x1000 + j * 8, i << 30 | j << 21 | 0xe7);
      }
    }
  }
  void build_descriptors() {
    constexpr std::uint64_t kDescriptors[] = {0,
                                              0x00009300c000ffff,
                                              0x00af9b000000ffff,
                                              0x00cf93000000ffff,
                                              0x00cffb000000ffff,
                                              0x00cff3000000ffff,
                                              0x00affb000000ffff,
                                              0x00cf13000000ffff,
                                              0x00008b02d0000067,
                                              0};
    for (std::size_t i = 0; i < std::size(kDescriptors); ++i) store(kGdt + i * 8, kDescriptors[i]);
    store<std::uint64_t>(kTss + 4, kStack - 0x1000);   // RSP0
    store<std::uint64_t>(kTss + 36, kStack - 0x2000);  // IST1
    store<std::uint16_t>(kTss + 102, 0x68);            // no permission map
  }

  std::vector<std::byte> bytes_;
  NestedPageTableFormat format_;

 public:
  Clock clock;
  HostMemory memory;
  Frames frames;
  AddressSpace space;
  std::unique_ptr<Hardware> hardware;
  std::unique_ptr<CpuSet> set;
  unsigned faults = 0;  ///< for a test to count
};

}  // namespace retrap::test
