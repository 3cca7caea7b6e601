// x87 instructions that the engine leaves to libm: one result on every host. Each operand here is
// one for which glibc 2.36 answers otherwise, on some CPU models or on all.
#include <cmath>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr double kOne = 1;

/// Runs x87 code on operands: `st1` is loaded first, and `st0` on top of it. Gives what the code
/// leaves on top.
std::uint64_t run_x87(double st0, double st1, std::initializer_list<int> code) {
  CpuRig rig;
  rig.store(CpuRig::kData, st1);
  rig.store(CpuRig::kData + 8, st0);
  rig.code({0xdd, 0x06, 0xdd, 0x46, 0x08});  // fld qword [rsi]; fld qword [rsi + 8]
  rig.code(code, CpuRig::kCode + 5);
  rig.code({0xdd, 0x1f, 0xf4}, CpuRig::kCode + 5 + code.size());  // fstp qword [rdi]; hlt
  rig.cpu().set_gpr(Gpr::Rsi, CpuRig::kData);
  rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kData + 16);
  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
  return rig.load(CpuRig::kData + 16);
}

double from_bits(std::uint64_t bits) {
  return std::bit_cast<double>(bits);
}

TEST(TranscendentalInstructions, GiveTheCorrectlyRoundedSine) {
  EXPECT_EQ(run_x87(from_bits(0x40e5'668f'7f08'1edf), kOne, {0xd9, 0xfe}), 0xbfbf'f436'c55c'1b59);
  EXPECT_EQ(run_x87(from_bits(0xbfd6'4553'ff52'e763), kOne, {0xd9, 0xfe}), 0xbfd5'd2f5'9cf7'8ed5);
}

TEST(TranscendentalInstructions, GiveTheCorrectlyRoundedCosine) {
  EXPECT_EQ(run_x87(from_bits(0x40e5'668f'7f08'1edf), kOne, {0xd9, 0xff}), 0xbfef'bfee'fa2b'cc9f);
}

TEST(TranscendentalInstructions, GiveSineAndCosineTogether) {
  const double operand = from_bits(0x40e5'668f'7f08'1edf);
  EXPECT_EQ(run_x87(operand, kOne, {0xd9, 0xfb}), 0xbfef'bfee'fa2b'cc9f);
  // fsincos; fstp st(0)
  EXPECT_EQ(run_x87(operand, kOne, {0xd9, 0xfb, 0xdd, 0xd8}), 0xbfbf'f436'c55c'1b59);
}

TEST(TranscendentalInstructions, GiveTheCorrectlyRoundedTangent) {
  // fptan; fstp st(0)
  EXPECT_EQ(run_x87(from_bits(0xc026'24a5'73ae'a5b1), kOne, {0xd9, 0xf2, 0xdd, 0xd8}),
            0x402a'43d2'35e6'79c5);
}

TEST(TranscendentalInstructions, GiveTheCorrectlyRoundedArctangent) {
  EXPECT_EQ(run_x87(7, 3, {0xd9, 0xf3}), 0x3fd9'e9bf'3d20'dc71);
}

TEST(TranscendentalInstructions, GiveLogarithmsOfTheCorrectlyRoundedOne) {
  EXPECT_EQ(run_x87(from_bits(0x3ff2'3bf7'10cd'4127), 3, {0xd9, 0xf1}), 0x3fe2'1a7e'9058'0786);
}

TEST(TranscendentalInstructions, GivePowersOfTwoOfTheCorrectlyRoundedOne) {
  EXPECT_EQ(run_x87(from_bits(0x3fd6'dce1'22af'ed1f), kOne, {0xd9, 0xf0}), 0x3fd1'fb55'f0b5'5cc0);
}

// What the engine hands to libm is not a number, is infinite, or has a result below all doubles.
TEST(TranscendentalInstructions, HaveOneNanAndOneInfinity) {
  constexpr std::uint64_t kNan = 0x7ff8'0000'0000'1234;
  EXPECT_EQ(run_x87(from_bits(kNan), kOne, {0xd9, 0xfe}), kNan);
  const double infinity = from_bits(0x7ff0'0000'0000'0000);
  EXPECT_EQ(run_x87(infinity, infinity, {0xd9, 0xf3}), 0x3fe9'21fb'5444'2d18);  // a quarter of pi
  EXPECT_EQ(run_x87(from_bits(1), kOne, {0xd9, 0xfe}), 1u);  // the sine of the least double
}

TEST(TheHostsLibm, AnswersWhoeverIsNotAnEngine) {
  CpuRig rig;  // there is an engine, and it does not run
  volatile double zero = 0;
  EXPECT_EQ(std::sin(zero), 0);
  EXPECT_EQ(std::cos(zero), 1);
  EXPECT_EQ(std::tan(zero), 0);
  EXPECT_EQ(std::atan2(zero, 1.0 + zero), 0);
  EXPECT_EQ(std::log(1.0 + zero), 0);
  EXPECT_EQ(std::pow(2.0 + zero, 10.0), 1024);
}

}  // namespace
}  // namespace retrap::test
