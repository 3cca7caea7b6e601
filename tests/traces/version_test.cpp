// Traces of every version that there was stay readable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/support/paths.h"
#include "tests/traces/sample.h"
#include "traces/digests.h"
#include "traces/text.h"

namespace retrap::traces::test {
namespace {

using retrap::test::Succeeds;

// retrap record --record full --digest-every 5000 --with-images of the riscv64 guest timer.
TEST(ATraceOfVersion1, IsReadAsItWasWritten) {
  const auto path = retrap::test::source_dir() / "tests" / "traces" / "version_1.rtr";
  const auto reader = Reader::open(path.string());

  ASSERT_THAT(reader, Succeeds());
  EXPECT_EQ(reader->version(), 1U);
  EXPECT_EQ(reader->missing(), "");
  EXPECT_EQ(reader->header().program, "retrap 0.1.0");
  EXPECT_EQ(reader->header().detail, Detail::Full);
  EXPECT_EQ(reader->header().configs.size(), 1U);
  ASSERT_EQ(reader->header().images.size(), 1U);
  EXPECT_EQ(reader->image(0)->size(), reader->header().images[0].size);
  EXPECT_EQ(reader->digests().size(), 1U);
  ASSERT_TRUE(reader->end());
  const auto events = events_of(*reader);
  ASSERT_THAT(events, Succeeds());
  const auto exits = std::count_if(events->begin(), events->end(), [](const Event& event) {
    return std::holds_alternative<ExitRecord>(event);
  });
  EXPECT_EQ(static_cast<std::uint64_t>(exits), reader->end()->exits);
  EXPECT_EQ(std::get<ExitRecord>(events->back()).reason, ExitReason(exits::SystemDown{}));
}

// retrap record --record full --digest-every 2000 --with-images of the aarch64 guest timer.
TEST(ATraceOfVersion2, IsReadAsItWasWritten) {
  const auto path = retrap::test::source_dir() / "tests" / "traces" / "version_2.rtr";
  const auto reader = Reader::open(path.string());

  ASSERT_THAT(reader, Succeeds());
  EXPECT_EQ(reader->version(), 2U);
  EXPECT_EQ(reader->missing(), "");
  EXPECT_EQ(reader->header().configs.size(), 1U);
  EXPECT_EQ(reader->image(0)->size(), reader->header().images[0].size);
  ASSERT_TRUE(reader->end());
  EXPECT_EQ(reader->end()->digest, 0x31e8'3631'ae02'b36a);

  ASSERT_EQ(reader->digests().size(), 3U);
  DigestState state;
  for (const DigestRecord& record : reader->digests()) {
    state.apply(record);
    EXPECT_EQ(root_of(state.parts()), record.root);
  }
  std::vector<std::string> names;
  for (const PartDigest& part : state.parts()) names.push_back(name_of(part));
  EXPECT_THAT(names, ::testing::IsSupersetOf({"clock", "registers of vm 1 vcpu 0",
                                              "RAM 0x40000000..0x40400000 of vm 1",
                                              "device pl011 at 0x9000000 of vm 1"}));

  const auto events = events_of(*reader);
  ASSERT_THAT(events, Succeeds());
  const auto deliveries = std::count_if(events->begin(), events->end(), [](const Event& event) {
    const auto* const injection = std::get_if<InjectionRecord>(&event);
    return injection != nullptr && injection->change == LineChange::Deliver;
  });
  EXPECT_EQ(deliveries, 6);
}

}  // namespace
}  // namespace retrap::traces::test
