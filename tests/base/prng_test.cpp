// The generators give the numbers that their authors publish.
#include "vmm/base/prng.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <map>

namespace retrap {
namespace {

TEST(SplitMix64, GivesTheReferenceNumbersOfSeed1234567) {
  SplitMix64 words(1234567);

  for (const std::uint64_t expected : std::initializer_list<std::uint64_t>{
           6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
           16408922859458223821u}) {
    EXPECT_EQ(words.next(), expected);
  }
}

TEST(Prng, GivesTheReferenceNumbersOfXoshiro256StarStar) {
  Prng prng(Prng::State{1, 2, 3, 4});

  for (const std::uint64_t expected : std::initializer_list<std::uint64_t>{
           11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u,
           16172922978634559625u, 8476171486693032832u, 10595114339597558777u,
           2904607092377533576u}) {
    EXPECT_EQ(prng.next(), expected);
  }
}

TEST(Prng, DrawsBelowTheLimitAndReachesAllOfIt) {
  Prng prng(7);
  std::map<std::uint64_t, int> seen;
  for (int i = 0; i < 6000; ++i) ++seen[prng.below(6)];

  ASSERT_EQ(seen.size(), 6u);
  for (const auto& [face, count] : seen) {
    EXPECT_LT(face, 6u);
    EXPECT_NEAR(count, 1000, 150);
  }
}

TEST(Prng, IsFairWhereTheLimitIsThreeQuartersOfTheSpace) {
  Prng prng(1);
  constexpr std::uint64_t kLimit = 0xc000'0000'0000'0000;
  int low = 0;
  for (int i = 0; i < 6000; ++i) low += prng.below(kLimit) < kLimit / 2 ? 1 : 0;

  EXPECT_NEAR(low, 3000, 200);
}

TEST(Prng, DrawsNothingFromAnEmptyRange) {
  EXPECT_EQ(Prng(1).below(0), 0u);
  EXPECT_EQ(Prng(1).below(1), 0u);
  EXPECT_EQ(Prng(1).between(5, 5), 5u);
  EXPECT_EQ(Prng(1).between(0, ~0ull), Prng(1).next());
}

TEST(Prng, TakesAChanceAsOftenAsItSays) {
  Prng prng(3);
  int taken = 0;
  for (int i = 0; i < 4000; ++i) taken += prng.chance(1, 4) ? 1 : 0;

  EXPECT_NEAR(taken, 1000, 120);
  EXPECT_TRUE(prng.chance(1, 1));
  EXPECT_FALSE(prng.chance(0, 5));
}

TEST(Prng, IsAValueThatCanBeWrittenDown) {
  Prng prng(42);
  (void)prng.next();
  Prng same(prng.state());

  EXPECT_EQ(same, prng);
  EXPECT_EQ(same.next(), prng.next());
  EXPECT_NE(prng.fork().next(), prng.next());
}

}  // namespace
}  // namespace retrap
