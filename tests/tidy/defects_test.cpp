// docs/axvm-defects.md names tests that exist, for every entry once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/source_file.h"

namespace retrap::tidy {
namespace {

constexpr std::string_view kCatalogue = "docs/axvm-defects.md";

struct Row {
  std::string entry;
  std::vector<std::string> tests;
};

/// What stands between backticks in `text`.
std::vector<std::string> quoted(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t from = text.find('`');
    if (from == std::string_view::npos) return words;
    const std::size_t to = text.find('`', from + 1);
    if (to == std::string_view::npos) return words;
    words.emplace_back(text.substr(from + 1, to - from - 1));
    text.remove_prefix(to + 1);
  }
}

std::vector<Row> rows_of(const SourceFile& file) {
  std::vector<Row> rows;
  for (const std::string_view line : file.lines) {
    if (!line.starts_with("| ") || line.starts_with("| Entry")) continue;
    const std::size_t entry_end = line.find(' ', 2);
    const std::size_t last_cell = line.rfind('|', line.size() - 2);
    rows.push_back({std::string(line.substr(2, entry_end - 2)), quoted(line.substr(last_cell))});
  }
  return rows;
}

/// "Suite.Test" for each definition in `file`, which may go on in the next line.
void add_tests_of(const SourceFile& file, std::set<std::string>& tests) {
  std::string text;
  for (const std::string& line : file.lines) text += line + ' ';
  for (const std::string_view macro : {"TEST(", "TEST_F(", "TEST_P("}) {
    for (std::size_t at = text.find(macro); at != std::string::npos; at = text.find(macro, at)) {
      at += macro.size();
      std::string name = text.substr(at, text.find(')', at) - at);
      std::erase(name, ' ');
      std::replace(name.begin(), name.end(), ',', '.');
      tests.insert(std::move(name));
    }
  }
}

class TheCatalogueOfDefects : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const SourceFile& file : project_files()) {
      if (file.path == kCatalogue) rows_ = rows_of(file);
      if (file.path.starts_with("tests/") && file.is_cpp()) add_tests_of(file, tests_);
    }
  }

  std::vector<Row> rows_;
  std::set<std::string> tests_;
};

TEST_F(TheCatalogueOfDefects, HasEveryEntryOfTheReferenceOnce) {
  struct Chapter {
    char letter;
    unsigned entries;
  };
  constexpr std::array<Chapter, 8> kChapters = {
      {{'V', 26}, {'C', 7}, {'A', 14}, {'D', 9}, {'R', 19}, {'K', 12}, {'X', 15}, {'N', 17}}};
  std::vector<std::string> want;
  for (const auto& [letter, entries] : kChapters) {
    for (unsigned i = 1; i <= entries; ++i) want.push_back(letter + std::to_string(i));
  }

  std::vector<std::string> entries;
  entries.reserve(rows_.size());
  for (const Row& row : rows_) entries.push_back(row.entry);

  EXPECT_EQ(entries, want);
}

TEST_F(TheCatalogueOfDefects, NamesTestsThatExist) {
  for (const Row& row : rows_) {
    EXPECT_FALSE(row.tests.empty()) << row.entry;
    for (const std::string& test : row.tests) {
      EXPECT_TRUE(tests_.contains(test)) << row.entry << ": no test " << test;
    }
  }
}

}  // namespace
}  // namespace retrap::tidy
