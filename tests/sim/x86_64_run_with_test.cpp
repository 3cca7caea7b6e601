// Exits that a handler deals with in the middle of a run, wherever the CPU calls it from.
#include <array>
#include <vector>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

/// A monitor in miniature: hypercalls and ports do nothing, devices read as zero, HLT ends the run.
class Monitor final : public RawExitHandler {
 public:
  explicit Monitor(CpuRig& rig) : rig_(rig) {}

  bool handle(const RawExit& exit) override {
    exits.push_back(exit);
    retired.push_back(rig_.clock.retired());
    rflags.push_back(rig_.cpu().rflags());
    switch (exit.code) {
      case SvmExit::Hlt:
      case SvmExit::Limit: return false;
      default:             break;
    }
    if (flags_to_set != 0) rig_.cpu().set_arithmetic_flags(flags_to_set);
    if (resets_another) rig_.cpu(1).set_state(CpuRig::long_mode());
    if (exit.code == SvmExit::NestedPageFault) return complete(GuestPhys(exit.info2));
    if (budget != 0) rig_.clock.set_slice_end(rig_.clock.retired() + 1 + budget);
    rig_.cpu().advance(static_cast<unsigned>(exit.next_rip - rig_.cpu().rip()));
    return true;
  }

  std::vector<RawExit> exits;
  std::vector<std::uint64_t> retired;
  std::vector<std::uint64_t> rflags;
  std::uint64_t flags_to_set = 0;
  bool resets_another = false;
  std::uint64_t budget = 0;  ///< of instructions behind the next exit; 0: as before

 private:
  bool complete(GuestPhys at) {
    std::array<std::byte, 4096> page{};
    const ScratchPage scratch{at.align_down(4096), page};
    return rig_.cpu().complete_on(std::span(&scratch, 1)) == Completion::Retired;
  }

  CpuRig& rig_;
};

/// The CPU with its own run_with(), or with that of the interface: run(), and the handler outside.
enum class Way { Inside, Outside };

void run(CpuRig& rig, Monitor& monitor, Way way = Way::Inside) {
  if (way == Way::Inside) {
    (void)rig.cpu().run_with(monitor);
  } else {
    (void)rig.cpu().Cpu::run_with(monitor);
  }
}

struct ProgramCase {
  std::string name;
  std::vector<int> bytes;
  std::size_t exits;  ///< with the HLT at its end
  friend void PrintTo(const ProgramCase& c, std::ostream* out) { *out << c.name; }
};

class AGuestThatExits : public testing::TestWithParam<ProgramCase> {
 protected:
  static void load(CpuRig& rig) {
    std::uint64_t at = CpuRig::kCode;
    for (const int byte : GetParam().bytes) rig.store(at++, static_cast<std::uint8_t>(byte));
    rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kNowhere + 0x10);
    rig.cpu().set_gpr(Gpr::Rsi, CpuRig::kNowhere + 0xffe);
    rig.cpu().set_gpr(Gpr::Rbx, CpuRig::kData);
  }
};

TEST_P(AGuestThatExits, EndsInTheSameStateWhereverItsExitsAreDealtWith) {
  CpuRig inside;
  CpuRig outside;
  load(inside);
  load(outside);
  Monitor within(inside);
  Monitor without(outside);

  run(inside, within, Way::Inside);
  run(outside, without, Way::Outside);

  EXPECT_EQ(within.exits.size(), GetParam().exits);
  EXPECT_TRUE(within.exits == without.exits);
  EXPECT_EQ(within.retired, without.retired);
  EXPECT_EQ(within.rflags, without.rflags);
  EXPECT_EQ(inside.cpu().rip(), CpuRig::kCode + GetParam().bytes.size() - 1);
  EXPECT_EQ(inside.digest(), outside.digest());
}

INSTANTIATE_TEST_SUITE_P(
    All, AGuestThatExits,
    testing::Values(
        ProgramCase{"three hypercalls in a loop",
                    {0xb9, 3, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xff, 0xc9, 0x75, 0xf9, 0xf4},
                    4},
        ProgramCase{"ports between other instructions",
                    {0xff, 0xc0, 0xe6, 0x80, 0xff, 0xc3, 0xe4, 0x80, 0xff, 0xc2, 0xf4},
                    3},
        ProgramCase{"a port with flags that nobody has computed yet",
                    {0x83, 0xe8, 1, 0xe6, 0x80, 0x0f, 0x92, 0xc3, 0xf4},
                    2},
        ProgramCase{"a port with the direction flag set",
                    {0xfd, 0xe6, 0x80, 0x48, 0x89, 0xdf, 0xaa, 0xfc, 0xf4},
                    2},
        ProgramCase{"a device read and written by plain moves",
                    {0x8b, 0x07, 0x89, 0x07, 0x0f, 0xb6, 0x4f, 3, 0x66, 0x89, 0x4f, 8, 0xf4},
                    5},
        ProgramCase{"a device in the middle of a block",
                    {0xff, 0xc0, 0x03, 0x07, 0xff, 0xc0, 0x01, 0x07, 0xff, 0xc0, 0xf4},
                    3},
        ProgramCase{"a device by SSE", {0xf3, 0x0f, 0x6f, 0x07, 0xf3, 0x0f, 0x7f, 0x07, 0xf4}, 3},
        ProgramCase{"a device by PUSH and POP", {0xff, 0x37, 0x8f, 0x07, 0xf4}, 3},
        ProgramCase{"a device at the start of its page",
                    {0x48, 0x83, 0xef, 0x10, 0x8b, 0x07, 0x8b, 0x03, 0x01, 0x07, 0x8b, 0x03, 0xf4},
                    3},
        ProgramCase{"a hypercall in an interrupt shadow",
                    {0xfb, 0x0f, 0x01, 0xd9, 0xfa, 0x0f, 0x01, 0xd9, 0xf4},
                    3}),
    [](const auto& test) {
      std::string name = test.param.name;
      std::ranges::replace(name, ' ', '_');
      return name;
    });

TEST(ExitsDealtWithInside, ASplitAccessLeavesNothingBehindForTheNextOne) {
  CpuRig rig;
  // mov eax, [rsi], which crosses into a second page; mov eax, [rbx]; hlt
  rig.code({0x8b, 0x06, 0x8b, 0x03, 0xf4});
  rig.store(CpuRig::kData, 0x1234'5678U);
  rig.cpu().set_gpr(Gpr::Rsi, CpuRig::kMemory - 2);
  rig.cpu().set_gpr(Gpr::Rbx, CpuRig::kData);
  Monitor monitor(rig);

  run(rig, monitor);

  ASSERT_EQ(monitor.exits.size(), 2u);
  EXPECT_EQ(monitor.exits[0].info2, CpuRig::kMemory);
  EXPECT_EQ(monitor.exits[1].code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 0x1234'5678u);
}

TEST(ExitsDealtWithInside, TheHandlerSeesAndSetsFlags) {
  CpuRig rig;
  rig.code({0x31, 0xc0, 0x0f, 0x01, 0xd9, 0x0f, 0x92, 0xc3, 0xf4});  // xor; vmmcall; setc bl; hlt
  rig.cpu().set_gpr(Gpr::Rbx, 0);
  Monitor monitor(rig);
  monitor.flags_to_set = 1;  // CF

  run(rig, monitor);

  EXPECT_EQ(monitor.rflags[0] & 0x8d5, 0x44u) << "ZF and PF of the XOR";
  EXPECT_EQ(monitor.rflags[1] & 0x8d5, 1u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 1u);
}

TEST(ExitsDealtWithInside, TheHandlerMayResetAnotherCpu) {
  CpuRig rig(2);
  rig.code({0xff, 0xc0, 0x0f, 0x01, 0xd9, 0xff, 0xc0, 0xf4});  // inc eax; vmmcall; inc eax; hlt
  rig.cpu(1).set_rip(0x1234);
  Monitor monitor(rig);
  monitor.resets_another = true;

  run(rig, monitor);

  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 2u);
  EXPECT_EQ(rig.cpu(1).rip(), CpuRig::kCode);
  EXPECT_EQ(rig.cpu(1).gpr(Gpr::Rax), 0u);
  EXPECT_EQ(rig.clock.retired(), 3u);
}

TEST(ExitsDealtWithInside, TheHandlerMayResetAnotherCpuForAStoreInAStep) {
  CpuRig rig(2);
  rig.code({0x89, 0x07, 0xff, 0xc0, 0xf4});  // mov [rdi], eax; inc eax; hlt
  rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kNowhere + 0x10);
  rig.clock.set_slice_end(2);  // so few go one by one
  rig.cpu(1).set_rip(0x1234);
  Monitor monitor(rig);
  monitor.resets_another = true;

  run(rig, monitor);

  EXPECT_EQ(monitor.exits.front().code, SvmExit::NestedPageFault);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), 1u);
  EXPECT_EQ(rig.cpu(1).rip(), CpuRig::kCode);
  EXPECT_EQ(rig.clock.retired(), 2u);
}

TEST(ExitsDealtWithInside, TheHandlerMayResetACpuAndEndTheRun) {
  for (const unsigned which : {0U, 1U}) {
    struct Resetter final : RawExitHandler {
      explicit Resetter(Cpu& which) : cpu(which) {}
      bool handle(const RawExit& /*exit*/) override {
        cpu.set_state(CpuRig::long_mode());
        return false;
      }
      Cpu& cpu;
    };
    CpuRig rig(2);
    rig.code({0xff, 0xc0, 0x0f, 0x01, 0xd9, 0xf4});  // inc eax; vmmcall; hlt
    Resetter resetter(rig.cpu(which));

    (void)rig.cpu().run_with(resetter);

    EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), which == 0 ? 0u : 1u);
    EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode + (which == 0 ? 0 : 2));
    EXPECT_EQ(rig.run().code, SvmExit::Vmmcall);
  }
}

TEST(ExitsDealtWithInside, ALimitThatTheHandlerSetsIsExact) {
  CpuRig rig;
  rig.code({0x0f, 0x01, 0xd9, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xf4});
  Monitor monitor(rig);
  monitor.budget = 6;

  run(rig, monitor);

  EXPECT_EQ(monitor.exits.back().code, SvmExit::Limit);
  EXPECT_EQ(rig.clock.retired(), 7u);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode + 3 + 6);
}

TEST(ExitsDealtWithInside, MemoryThatTheHandlerMapsIsThereAtOnce) {
  CpuRig rig;
  class Mapper final : public RawExitHandler {
   public:
    explicit Mapper(CpuRig& rig) : rig_(rig) {}
    bool handle(const RawExit& exit) override {
      if (exit.code != SvmExit::NestedPageFault) return false;
      const auto flags = MappingFlags::Read | MappingFlags::Write;
      return ++faults == 1 && rig_.space
                                  .map_ram(GuestPhys(CpuRig::kNowhere), 0x1000, flags,
                                           MapType::Alloc, Populate::Eager, "late")
                                  .has_value();
    }
    unsigned faults = 0;

   private:
    CpuRig& rig_;
  } mapper(rig);
  rig.code({0x89, 0x07, 0x8b, 0x1f, 0xf4});  // mov [rdi], eax; mov ebx, [rdi]; hlt
  rig.cpu().set_gpr(Gpr::Rax, 0x77);
  rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kNowhere);

  const RawExit& last = rig.cpu().run_with(mapper);

  EXPECT_EQ(last.code, SvmExit::Hlt);
  EXPECT_EQ(mapper.faults, 1u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 0x77u);
}

}  // namespace
}  // namespace retrap::test
