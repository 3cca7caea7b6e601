// Every function of the firmware, with good arguments and bad ones (K2 to K7).
#include "arch/riscv64/sbi.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/arch/riscv64_fake.h"

namespace retrap::riscv64 {
namespace {

/// Four harts that remember what was done to them.
class Harts final : public SbiHarts {
 public:
  unsigned count() const override { return 4; }
  std::uint64_t id(unsigned hart) const override { return ids[hart]; }
  HartState state(unsigned hart) const override { return states[hart]; }
  void set_state(unsigned hart, HartState state) override { states[hart] = state; }
  void set_timer(unsigned hart, std::uint64_t ticks) override { timers[hart] = ticks; }
  void set_software_interrupt(unsigned hart, bool pending) override { software[hart] = pending; }
  void fence(unsigned hart) override { fenced.push_back(hart); }
  std::optional<std::uint64_t> load(unsigned, std::uint64_t va) override {
    const auto found = memory.find(va);
    return found == memory.end() ? std::nullopt : std::optional(found->second);
  }

  std::array<std::uint64_t, 4> ids = {0, 1, 2, 3};
  std::array<HartState, 4> states = {HartState::Started, HartState::Stopped, HartState::Stopped,
                                     HartState::Started};
  std::map<unsigned, std::uint64_t> timers;
  std::map<unsigned, bool> software;
  std::vector<unsigned> fenced;
  std::map<std::uint64_t, std::uint64_t> memory;
};

constexpr std::uint64_t kAll = ~std::uint64_t{0};

class Firmware : public ::testing::Test {
 public:
  SbiOutcome call(std::uint64_t extension, std::uint64_t function,
                  std::array<std::uint64_t, 6> args = {}) {
    return sbi_.call(0, {.extension = extension, .function = function, .args = args});
  }
  static SbiOutcome answer(SbiError error, std::uint64_t value = 0) {
    return SbiAnswer{static_cast<std::uint64_t>(error), value};
  }
  static SbiOutcome legacy(std::int64_t result) {
    return SbiAnswer{static_cast<std::uint64_t>(result), std::nullopt};
  }

  test::Host host_;
  Harts harts_;
  Sbi sbi_{harts_, host_.space, host_.console};
};

TEST_F(Firmware, SaysWhatItIs) {
  EXPECT_EQ(call(eid::kBase, 0), answer(SbiError::Success, 2u << 24));
  EXPECT_EQ(call(eid::kBase, 1), answer(SbiError::Success, Sbi::kImplementationId));
  EXPECT_EQ(call(eid::kBase, 2), answer(SbiError::Success, Sbi::kImplementationVersion));
  for (const std::uint64_t function : {4u, 5u, 6u}) {
    EXPECT_EQ(call(eid::kBase, function), answer(SbiError::Success, 0));
  }
}

TEST_F(Firmware, ProbesItsExtensions) {
  for (const std::uint64_t id : {eid::kBase, eid::kTime, eid::kIpi, eid::kRfence, eid::kHsm,
                                 eid::kSrst, eid::kDbcn, std::uint64_t{8}}) {
    EXPECT_EQ(call(eid::kBase, 3, {id}), answer(SbiError::Success, 1)) << std::hex << id;
  }
  EXPECT_EQ(call(eid::kBase, 3, {0x504d55}), answer(SbiError::Success, 0)) << "PMU";
}

TEST_F(Firmware, RefusesUnknownExtensions) {
  for (const std::uint64_t id : {0x504d55ull, 9ull, 0xfull, 0x11ull, ~0ull}) {
    EXPECT_EQ(call(id, 0), answer(SbiError::NotSupported)) << std::hex << id;
  }
}

TEST_F(Firmware, RefusesUnknownFunctions) {
  for (const std::uint64_t id :
       {eid::kBase, eid::kTime, eid::kIpi, eid::kRfence, eid::kHsm, eid::kSrst, eid::kDbcn}) {
    EXPECT_EQ(call(id, 77), answer(SbiError::NotSupported)) << std::hex << id;
  }
}

TEST_F(Firmware, ArmsTheTimerOfTheCaller) {
  EXPECT_EQ(call(eid::kTime, 0, {1234}), answer(SbiError::Success));
  EXPECT_EQ(harts_.timers[0], 1234u);

  EXPECT_EQ(call(eid::kLegacySetTimer, 0, {99}), legacy(0));
  EXPECT_EQ(harts_.timers[0], 99u);
}

TEST_F(Firmware, InterruptsTheHartsOfTheMask) {
  EXPECT_EQ(call(eid::kIpi, 0, {0b101, 1}), answer(SbiError::Success));

  EXPECT_EQ(harts_.software, (std::map<unsigned, bool>{{1, true}, {3, true}}));
}

TEST_F(Firmware, InterruptsEverybodyWithBaseMinusOne) {
  EXPECT_EQ(call(eid::kIpi, 0, {0, kAll}), answer(SbiError::Success));

  EXPECT_EQ(harts_.software.size(), 4u);
}

TEST_F(Firmware, TakesAnEmptyMaskForNobody) {
  EXPECT_EQ(call(eid::kIpi, 0, {0, 1000}), answer(SbiError::Success));

  EXPECT_TRUE(harts_.software.empty());
}

// K5: the reference hands hart masks to the host's firmware.
TEST_F(Firmware, K5InterruptsNobodyWhereAHartOfTheMaskIsNotThere) {
  for (const auto& [mask, base] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0b10000, 0}, {0b11, 3}, {1, 4}, {1, 1ull << 40}, {kAll, 0}}) {
    EXPECT_EQ(call(eid::kIpi, 0, {mask, base}), answer(SbiError::InvalidParam));
    EXPECT_EQ(call(eid::kRfence, 1, {mask, base}), answer(SbiError::InvalidParam));
    EXPECT_EQ(call(eid::kRfence, 0, {mask, base}), answer(SbiError::InvalidParam));
  }
  EXPECT_TRUE(harts_.software.empty());
  EXPECT_TRUE(harts_.fenced.empty());
}

TEST_F(Firmware, KnowsHartsByTheirIds) {
  harts_.ids = {1, 0, 70, 4095};

  EXPECT_EQ(call(eid::kIpi, 0, {0b1, 1}), answer(SbiError::Success));
  EXPECT_EQ(call(eid::kIpi, 0, {bit(62) | bit(6), 64}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kIpi, 0, {bit(6), 64}), answer(SbiError::Success));
  EXPECT_EQ(call(eid::kIpi, 0, {bit(63), 4032}), answer(SbiError::Success));
  EXPECT_EQ(harts_.software, (std::map<unsigned, bool>{{0, true}, {2, true}, {3, true}}));

  EXPECT_EQ(call(eid::kRfence, 1, {0b11, 0}), answer(SbiError::Success));
  EXPECT_EQ(harts_.fenced, (std::vector<unsigned>{0, 1}));
  EXPECT_EQ(call(eid::kRfence, 1, {0, kAll}), answer(SbiError::Success));
  EXPECT_EQ(harts_.fenced.size(), 6u);
  EXPECT_EQ(call(eid::kRfence, 1, {0b100, 0}), answer(SbiError::InvalidParam));
}

TEST_F(Firmware, StartsAndLooksAtHartsByTheirIds) {
  harts_.ids = {1, 0, 70, 4095};

  EXPECT_EQ(call(eid::kHsm, 0, {70, test::Host::kRam, 42}),
            SbiOutcome(exits::CpuUp{
                .target_cpu = 70, .entry_point = GuestPhys(test::Host::kRam), .arg = 42}));
  EXPECT_EQ(call(eid::kHsm, 0, {2, test::Host::kRam}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kHsm, 0, {4095, test::Host::kRam}), answer(SbiError::AlreadyAvailable));
  EXPECT_EQ(call(eid::kHsm, 2, {1}), answer(SbiError::Success, 0)) << "vCPU 0 has started";
  EXPECT_EQ(call(eid::kHsm, 2, {0}), answer(SbiError::Success, 1)) << "vCPU 1 has not";
  EXPECT_EQ(call(eid::kHsm, 2, {3}), answer(SbiError::InvalidParam));
}

TEST_F(Firmware, ReadsAsMuchOfALegacyMaskAsItHasHartIds) {
  harts_.ids = {1, 0, 70, 128};
  harts_.memory = {{0x1000, 0b10}, {0x1008, bit(6)}};
  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x1000}),
            legacy(static_cast<std::int64_t>(SbiError::InvalidAddress)));
  EXPECT_TRUE(harts_.software.empty());

  harts_.memory[0x1010] = 0b10;
  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x1000}),
            legacy(static_cast<std::int64_t>(SbiError::InvalidParam)));
  EXPECT_TRUE(harts_.software.empty());

  harts_.memory[0x1010] = 0b1;
  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x1000}), legacy(0));
  EXPECT_EQ(harts_.software, (std::map<unsigned, bool>{{0, true}, {2, true}, {3, true}}));
}

TEST_F(Firmware, FencesTheHartsOfTheMask) {
  EXPECT_EQ(call(eid::kRfence, 0, {1, 0}), answer(SbiError::Success));
  EXPECT_EQ(call(eid::kRfence, 1, {0b10, 0, 0x1000, 0x1000}), answer(SbiError::Success));
  EXPECT_EQ(call(eid::kRfence, 2, {0b1, 2, 0, kAll, 7}), answer(SbiError::Success));

  EXPECT_EQ(harts_.fenced, (std::vector<unsigned>{1, 2}));
}

TEST_F(Firmware, RefusesAFenceRangeThatWraps) {
  EXPECT_EQ(call(eid::kRfence, 1, {1, 0, kAll, 2}), answer(SbiError::InvalidAddress));
}

TEST_F(Firmware, HasNoHypervisorFences) {
  for (std::uint64_t function = 3; function <= 6; ++function) {
    EXPECT_EQ(call(eid::kRfence, function, {1, 0}), answer(SbiError::NotSupported));
  }
}

TEST_F(Firmware, StartsAHart) {
  EXPECT_EQ(call(eid::kHsm, 0, {1, test::Host::kRam, 42}),
            SbiOutcome(exits::CpuUp{
                .target_cpu = 1, .entry_point = GuestPhys(test::Host::kRam), .arg = 42}));
}

TEST_F(Firmware, RefusesToStartWhatItCannotStart) {
  EXPECT_EQ(call(eid::kHsm, 0, {4, test::Host::kRam}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kHsm, 0, {3, test::Host::kRam}), answer(SbiError::AlreadyAvailable));
  EXPECT_EQ(call(eid::kHsm, 0, {1, 0x1000}), answer(SbiError::InvalidAddress));
  EXPECT_EQ(call(eid::kHsm, 0, {1, test::Host::kRam + 1}), answer(SbiError::InvalidAddress));
}

TEST_F(Firmware, StopsTheCaller) {
  EXPECT_EQ(call(eid::kHsm, 1), SbiOutcome(exits::CpuDown{.state = 0}));
  EXPECT_EQ(harts_.states[0], HartState::Stopped);
}

// K2: STATUS is a panic in the reference.
TEST_F(Firmware, K2SaysTheStateOfAHart) {
  EXPECT_EQ(call(eid::kHsm, 2, {0}), answer(SbiError::Success, 0));
  EXPECT_EQ(call(eid::kHsm, 2, {1}), answer(SbiError::Success, 1));
  EXPECT_EQ(call(eid::kHsm, 2, {4}), answer(SbiError::InvalidParam));
}

TEST_F(Firmware, K2SuspendsWithTheResumeAddressAndItsArgument) {
  EXPECT_EQ(call(eid::kHsm, 3, {0}), SbiOutcome(SbiSuspend{}));
  EXPECT_EQ(harts_.states[0], HartState::Suspended);
  EXPECT_EQ(call(eid::kHsm, 3, {0x8000'0000, test::Host::kRam, 5}),
            SbiOutcome(SbiSuspend{.resume = SbiSuspend::Resume{test::Host::kRam, 5}}));
}

TEST_F(Firmware, RefusesToSuspendInWaysItDoesNotKnow) {
  EXPECT_EQ(call(eid::kHsm, 3, {0x8000'0000, 0x1000}), answer(SbiError::InvalidAddress));
  EXPECT_EQ(call(eid::kHsm, 3, {1}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kHsm, 3, {0x8000'0001}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kHsm, 3, {0x1000'0000}), answer(SbiError::NotSupported));
  EXPECT_EQ(call(eid::kHsm, 3, {0x9000'0000}), answer(SbiError::NotSupported));
  EXPECT_EQ(call(eid::kHsm, 3, {1ull << 32}), answer(SbiError::InvalidParam));
  EXPECT_EQ(harts_.states[0], HartState::Started);
}

TEST_F(Firmware, ShutsTheSystemDown) {
  EXPECT_EQ(call(eid::kSrst, 0, {0, 0}), SbiOutcome(exits::SystemDown{}));
  EXPECT_EQ(call(eid::kLegacyShutdown, 0), SbiOutcome(exits::SystemDown{}));
}

// K3: a reboot is a panic in the reference.
TEST_F(Firmware, K3RebootsTheSystem) {
  EXPECT_EQ(call(eid::kSrst, 0, {1, 0}), SbiOutcome(exits::SystemReset{}));
  EXPECT_EQ(call(eid::kSrst, 0, {2, 1}), SbiOutcome(exits::SystemReset{}));
}

TEST_F(Firmware, K3RefusesResetsThatDoNotExist) {
  EXPECT_EQ(call(eid::kSrst, 0, {3, 0}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kSrst, 0, {0, 2}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kSrst, 0, {1ull << 32, 0}), answer(SbiError::InvalidParam));
  EXPECT_EQ(call(eid::kSrst, 0, {0xf000'0000, 0}), answer(SbiError::NotSupported));
}

TEST_F(Firmware, PrintsABuffer) {
  EXPECT_THAT(host_.space.write(GuestPhys(test::Host::kRam), std::as_bytes(std::span("hello", 5))),
              retrap::test::Succeeds());

  EXPECT_EQ(call(eid::kDbcn, 0, {5, test::Host::kRam}), answer(SbiError::Success, 5));
  EXPECT_EQ(host_.console.text, "hello");
}

TEST_F(Firmware, PrintsAByte) {
  EXPECT_EQ(call(eid::kDbcn, 2, {'x'}), answer(SbiError::Success));
  EXPECT_EQ(call(eid::kLegacyPutchar, 0, {'y'}), legacy(0));
  EXPECT_EQ(host_.console.text, "xy");
}

TEST_F(Firmware, PrintsNothingOfAnEmptyBuffer) {
  EXPECT_EQ(call(eid::kDbcn, 0, {0, 0}), answer(SbiError::Success, 0));
}

// K4: the reference allocates whatever length the guest asks for.
TEST_F(Firmware, K4PrintsABoundedPartOfAHugeBuffer) {
  EXPECT_EQ(call(eid::kDbcn, 0, {test::Host::kRamSize, test::Host::kRam}),
            answer(SbiError::Success, Sbi::kConsoleLimit));
  EXPECT_EQ(host_.console.text.size(), Sbi::kConsoleLimit);
}

TEST_F(Firmware, K4RefusesBuffersThatAreNotMemory) {
  for (const auto& args :
       std::vector<std::array<std::uint64_t, 6>>{{1, 0x1000},
                                                 {kAll, test::Host::kRam},
                                                 {2, test::Host::kRam + test::Host::kRamSize - 1},
                                                 {1, test::Host::kRam, 1},
                                                 {16, kAll}}) {
    EXPECT_EQ(call(eid::kDbcn, 0, args), answer(SbiError::InvalidParam));
    EXPECT_EQ(call(eid::kDbcn, 1, args), answer(SbiError::InvalidParam));
  }
  EXPECT_EQ(host_.console.text, "");
}

TEST_F(Firmware, HasNoInput) {
  EXPECT_EQ(call(eid::kDbcn, 1, {16, test::Host::kRam}), answer(SbiError::Success, 0));
  EXPECT_EQ(call(eid::kLegacyGetchar, 0), legacy(-1));
}

// K6: these return nothing in the reference.
TEST_F(Firmware, K6AnswersTheLegacyCalls) {
  harts_.memory[0x5000] = 0b1001;

  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x5000}), legacy(0));
  EXPECT_EQ(harts_.software, (std::map<unsigned, bool>{{0, true}, {3, true}}));
  EXPECT_EQ(call(eid::kLegacyClearIpi, 0), legacy(0));
  EXPECT_FALSE(harts_.software[0]);
  EXPECT_EQ(call(eid::kLegacyFenceI, 0, {0x5000}), legacy(0));
  EXPECT_EQ(call(eid::kLegacySfence, 0, {0x5000}), legacy(0));
  EXPECT_EQ(harts_.fenced, (std::vector<unsigned>{0, 3}));
}

TEST_F(Firmware, K6TakesNoMaskForAllHarts) {
  EXPECT_EQ(call(eid::kLegacySfenceAsid, 0, {0}), legacy(0));
  EXPECT_EQ(harts_.fenced.size(), 4u);
}

TEST_F(Firmware, K6RefusesAMaskThatCannotBeRead) {
  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x6000}), legacy(-5));
  harts_.memory[0x6000] = 0x10;
  EXPECT_EQ(call(eid::kLegacySendIpi, 0, {0x6000}), legacy(-3));
}

TEST_F(Firmware, PassesHypercallsOn) {
  EXPECT_EQ(call(eid::kHypercall, 3, {1, 2, 3, 4, 5, 6}),
            SbiOutcome(exits::Hypercall{.nr = 3, .args = {1, 2, 3, 4, 5, 6}}));
}

}  // namespace
}  // namespace retrap::riscv64
