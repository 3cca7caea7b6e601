// Each house rule catches what it forbids and lets the rest through.
#include "tests/tidy/rules.h"

#include <gmock/gmock.h>

#include "tests/tidy/layers.h"

namespace retrap::tidy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SourceFile file(std::string path, std::vector<std::string> lines) {
  return {.path = std::move(path), .lines = std::move(lines)};
}

TEST(LayerRule, RefusesToClimb) {
  EXPECT_THAT(layer_offences(file("vmm/vm.h", {"#include \"arch/arch.h\""})), SizeIs(1));
  EXPECT_THAT(layer_offences(file("vmm/base/bits.h", {"#include \"vmm/exit.h\""})), SizeIs(1));
  EXPECT_THAT(layer_offences(file("arch/arch.h", {"#include \"sim/machine.h\""})), SizeIs(1));
  EXPECT_THAT(layer_offences(file("traces/a.cpp", {"#include \"sim/machine.h\""})), SizeIs(1));
  EXPECT_THAT(layer_offences(file("sim/machine.cpp", {"#include \"sim/cli/run.h\""})), SizeIs(1));
  EXPECT_THAT(layer_offences(file("tests/vmm/a_test.cpp", {"#include \"sim/machine.h\""})),
              SizeIs(1));
}

TEST(LayerRule, LetsDownwardsThrough) {
  EXPECT_THAT(
      layer_offences(file("vmm/vm.h", {"#include \"vmm/base/bits.h\"", "#include <fmt/format.h>"})),
      IsEmpty());
  EXPECT_THAT(layer_offences(file("sim/cli/main.cpp", {"#include \"sim/cli/run.h\""})), IsEmpty());
  EXPECT_THAT(layer_offences(file("tests/sim/a_test.cpp", {"#include \"sim/machine.h\""})),
              IsEmpty());
}

TEST(LayerRule, KeepsInstructionSetsApart) {
  EXPECT_THAT(layer_offences(file("arch/x86_64/vcpu.cpp", {"#include \"arch/aarch64/esr.h\""})),
              ElementsAre(HasSubstr("arch/x86_64/vcpu.cpp:1: x86_64 may not know")));
  EXPECT_THAT(layer_offences(file("arch/arch.h", {"#include \"arch/aarch64/esr.h\""})), IsEmpty());
}

TEST(UnicornRule, KnowsOneFolder) {
  const std::vector<std::string> lines = {"#include <unicorn/unicorn.h>"};

  EXPECT_THAT(unicorn_offences(file("sim/machine.cpp", lines)), SizeIs(1));
  EXPECT_THAT(unicorn_offences(file("sim/unicorn/engine.h", lines)), IsEmpty());
}

TEST(LibraryRule, AllowsOneSourceFile) {
  const std::vector<std::string> lines = {"#include <libfdt.h>"};

  EXPECT_THAT(library_offences({file("vmm/fdt.cpp", lines)}), IsEmpty());
  EXPECT_THAT(library_offences({file("vmm/fdt.h", lines)}), SizeIs(1));
  EXPECT_THAT(library_offences({file("vmm/fdt.cpp", lines), file("vmm/image.cpp", lines)}),
              ElementsAre(HasSubstr("vmm/fdt.cpp vmm/image.cpp")));
}

TEST(BanRule, FindsHostDependentCodeBelowTheCommandLine) {
  EXPECT_THAT(banned_offences(file("vmm/a.cpp", {"std::unordered_map<int, int> map;"})), SizeIs(1));
  EXPECT_THAT(banned_offences(file("sim/a.cpp", {"auto now = std::chrono::steady_clock::now();"})),
              SizeIs(1));
  EXPECT_THAT(banned_offences(file("sim/cli/a.cpp", {"std::chrono::steady_clock::now();"})),
              IsEmpty());
  EXPECT_THAT(banned_offences(file("vmm/a.cpp", {"int x;  // not an unordered_map"})), IsEmpty());
  EXPECT_THAT(banned_offences(file("vmm/a.h", {"using namespace std;"})), SizeIs(1));
}

TEST(ShapeRule, WantsAPurposeShortLinesAndAPragma) {
  const std::string purpose = "// What this file is for.";

  EXPECT_THAT(shape_offences(file("vmm/a.h", {purpose, "#pragma once"})), IsEmpty());
  EXPECT_THAT(shape_offences(file("vmm/a.h", {purpose})), SizeIs(1));
  EXPECT_THAT(shape_offences(file("vmm/a.cpp", {"#include <x>"})), SizeIs(1));
  EXPECT_THAT(shape_offences(file("vmm/a.cpp", {purpose, std::string(101, 'x')})), SizeIs(1));
  EXPECT_THAT(shape_offences(file("vmm/a.cpp", {purpose, "// clang-format off",
                                                std::string(120, 'x'), "// clang-format on"})),
              IsEmpty());
  EXPECT_THAT(shape_offences(file("vmm/a.cpp", {purpose, "// clang-format off",
                                                "// clang-format on", std::string(101, 'x')})),
              SizeIs(1));
  EXPECT_THAT(shape_offences(file("vmm/a.cpp", std::vector<std::string>(501, purpose))), SizeIs(1));
}

TEST(LeftoverRule, FindsRemindersAndMachines) {
  EXPECT_THAT(leftover_offences(file("a.md", {std::string("TO") + "DO later"})), SizeIs(1));
  EXPECT_THAT(leftover_offences(file("a.md", {std::string("0x0XX") + "X"})), IsEmpty());
  EXPECT_THAT(leftover_offences(file("dev", {std::string("cd /wo") + "rk/x"})), SizeIs(1));
}

}  // namespace
}  // namespace retrap::tidy
