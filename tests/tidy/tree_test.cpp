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

/// One offence a line, so that a failure is a list to work through.
std::string list_of(const Offences& offences) {
  return fmt::format("{}", fmt::join(offences, "\n"));
}

TEST(TheProject, IsThereToBeRead) {
  EXPECT_GT(project_files().size(), 20u);
}

TEST(TheProject, IncludesDownwardsOnly) {
  EXPECT_EQ(list_of(in_the_tree(layer_offences)), "");
}

TEST(TheProject, KnowsUnicornInOneFolder) {
  EXPECT_EQ(list_of(in_the_tree(unicorn_offences)), "");
}

TEST(TheProject, KnowsEachLibraryInOneFile) {
  EXPECT_EQ(list_of(library_offences(project_files())), "");
}

TEST(TheProject, AsksTheHostForNothing) {
  EXPECT_EQ(list_of(in_the_tree(banned_offences)), "");
}

TEST(TheProject, KeepsLinesAndFilesShort) {
  EXPECT_EQ(list_of(in_the_tree(shape_offences)), "");
}

TEST(TheProject, LeavesNoRemindersAndNoMachineBehind) {
  EXPECT_EQ(list_of(in_the_tree(leftover_offences)), "");
}

}  // namespace
}  // namespace retrap::tidy
