// A trace says on which board it was recorded; a replay on another one begins with that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/architectures.h"
#include "tests/replay/crafted.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace retrap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class BoardRevision : public ::testing::TestWithParam<ArchId> {
 public:
  void write(const std::string& name, const std::vector<traces::BoardRecord>& boards) const {
    test::Crafted crafted = test::crafted_from(GetParam(), "hello");
    crafted.header.program = "retrap 0.0.9";
    crafted.header.boards = boards;
    const auto bytes = test::bytes_of(crafted);
    folder_.write(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  [[nodiscard]] test::Finished run(const std::vector<std::string>& arguments) const {
    return test::run_program(test::retrap_program(), arguments, folder_.path());
  }

  test::TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(All, BoardRevision, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(BoardRevision, IsWhatRetrapRecordWrites) {
  const auto recorded =
      run({"record", "-o", "t.rtr", "--kernel", test::builtin_guest(GetParam(), "hello")});
  ASSERT_EQ(recorded.status, 0) << recorded.err;
  const auto trace = traces::Reader::open((folder_.path() / "t.rtr").string()).value();

  EXPECT_EQ(trace.header().boards,
            (std::vector<traces::BoardRecord>{
                {std::string(to_string(GetParam())), board_revision(GetParam())}}));
  EXPECT_THAT(run({"replay", "t.rtr"}).err, StartsWith("retrap: identical: "));
}

TEST_P(BoardRevision, ThatIsAnotherIsSaidFirst) {
  const std::string arch(to_string(GetParam()));
  const std::uint64_t ours = board_revision(GetParam());
  write("other.rtr", {{arch, ours + 1}});
  const std::string says = fmt::format(
      "retrap: recorded with revision {} of the {} board, this program has {}: it may "
      "diverge; use retrap 0.0.9\n",
      ours + 1, arch, ours);
  for (const std::vector<std::string>& mode : {std::vector<std::string>{"replay", "other.rtr"},
                                               {"replay", "other.rtr", "--exits-only"},
                                               {"replay", "other.rtr", "--guest-only"}}) {
    const auto replayed = run(mode);
    EXPECT_EQ(replayed.status, 0);
    EXPECT_THAT(replayed.err, StartsWith(says));
  }
}

TEST_P(BoardRevision, ThatIsNotKnownIsNoOther) {
  write("old.rtr", {});
  write("strange.rtr", {{"mips\x1b", 7}});

  EXPECT_THAT(run({"replay", "old.rtr"}).err, StartsWith("retrap: identical"));
  EXPECT_THAT(run({"replay", "strange.rtr"}).err, StartsWith("retrap: identical"));
}

TEST_P(BoardRevision, IsComparedByDiff) {
  const std::string arch(to_string(GetParam()));
  write("a.rtr", {{arch, 1}});
  write("b.rtr", {{arch, 2}});
  write("old.rtr", {});

  EXPECT_THAT(run({"diff", "a.rtr", "b.rtr"}).out,
              HasSubstr("revision of the " + arch + " board: 1 and 2"));
  EXPECT_THAT(run({"diff", "a.rtr", "old.rtr"}).out, Not(HasSubstr("revision")));
}

}  // namespace
}  // namespace retrap
