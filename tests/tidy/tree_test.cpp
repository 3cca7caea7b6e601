// The project keeps its own rules.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/tidy/layers.h"
#include "tests/tidy/rules.h"

namespace retrap::tidy {
namespace {

template <class Rule>
Offences in_the_tree(Rule rule) {
  Offences all;
  for (const SourceFile& file : project_files()) {
    for (std::string& offence : rule(file)) all.push_back(std::move(offence));
  }
  return all;
}

// A macro, so that a failure names the line of the test.
#define EXPECT_NO_OFFENCES(offences)                                       \
  do {                                                                     \
    const Offences list = (offences);                                      \
    EXPECT_TRUE(list.empty()) << fmt::format("{}", fmt::join(list, "\n")); \
  } while (false)

TEST(TheProject, IsThereToBeRead) {
  EXPECT_GT(project_files().size(), 20u);
}

TEST(TheProject, IncludesDownwardsOnly) {
  EXPECT_NO_OFFENCES(in_the_tree(layer_offences));
}

TEST(TheProject, KnowsUnicornInOneFolder) {
  EXPECT_NO_OFFENCES(in_the_tree(unicorn_offences));
}

TEST(TheProject, KnowsEachLibraryInOneFile) {
  EXPECT_NO_OFFENCES(library_offences(project_files()));
}

TEST(TheProject, AsksTheHostForNothing) {
  EXPECT_NO_OFFENCES(in_the_tree(banned_offences));
}

TEST(TheProject, KeepsLinesAndFilesShort) {
  EXPECT_NO_OFFENCES(in_the_tree(shape_offences));
}

TEST(TheProject, LeavesNoRemindersAndNoMachineBehind) {
  EXPECT_NO_OFFENCES(in_the_tree(leftover_offences));
}

}  // namespace
}  // namespace retrap::tidy
