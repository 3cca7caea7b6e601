// traces/FORMAT.md is enough to read a trace: its tables are those of the program.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "traces/events.h"
#include "vmm/base/digest.h"

namespace retrap::traces::test {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

std::string page() {
  return retrap::test::contents_of(retrap::test::source_dir() / "traces" / "FORMAT.md");
}

/// The rows of the table that has this heading.
std::vector<std::string> rows_under(const std::string& text, std::string_view heading) {
  std::vector<std::string> rows;
  std::size_t at = text.find(heading);
  if (at == std::string::npos) return rows;
  const auto next_line = [&] {
    at = text.find('\n', at);
    if (at != std::string::npos) ++at;
    return at != std::string::npos && at < text.size() && text[at] == '|';
  };
  (void)next_line();  // the line between the heading and the rows
  while (next_line()) rows.push_back(text.substr(at, text.find('\n', at) - at));
  return rows;
}

/// The row of one kind of exit, as the page has it.
std::string row_of(std::size_t kind) {
  constexpr std::array<char, 3> kLetters = {'A', 'V', 'S'};
  std::string fields;
  for (const FieldRow& field : fields_of(kind)) {
    fields += fmt::format("{}{} {}", fields.empty() ? " " : ", ", field.name,
                          kLetters[static_cast<std::size_t>(field.column)]);
  }
  return fmt::format("| {} | {} |{} |", kind, kExitNames[kind], fields);
}

TEST(FormatPage, HasEveryKindOfExit) {
  std::vector<std::string> wanted;
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) wanted.push_back(row_of(kind));

  EXPECT_THAT(rows_under(page(), "| Tag | Exit | Fields |"), ElementsAreArray(wanted));
}

TEST(FormatPage, SaysWhichKindOfInputIsNext) {
  EXPECT_THAT(page(), HasSubstr(fmt::format("it will be the next number, {}.", kInputKinds)));
}

TEST(FormatPage, HasDigestsThatAreThose) {
  constexpr std::string_view kLong = "abcdefghijklmnopqrstuvwxyz0123456789";
  const Digest nothing;
  Digest one;
  one.add(1);
  Digest name;
  name.add(std::string_view("retrap"));
  Digest both = one;
  both.add(kLong);

  EXPECT_THAT(page(), HasSubstr(fmt::format("begin; value = {:016x}\n"
                                            "begin; word(1); value = {:016x}\n"
                                            "begin; bytes(\"retrap\"); value = {:016x}\n"
                                            "begin; word(1); bytes(\"{}\"); value = {:016x}\n",
                                            nothing.value(), one.value(), name.value(), kLong,
                                            both.value())));
}

}  // namespace
}  // namespace retrap::traces::test
