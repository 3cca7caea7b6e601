// Errors, and the two ways to hand them on.
#include "vmm/base/result.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/matchers.h"
#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"

namespace retrap {
namespace {

using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;
using test::SucceedsWith;

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorCode::InvalidInput, "{} is odd", number);
  return number / 2;
}

Result<> is_even(int number) {
  RETRAP_TRY(half(number));
  return {};
}

Result<int> quarter(int number) {
  RETRAP_TRY(is_even(number));
  RETRAP_TRY(const int once, half(number));
  RETRAP_TRY(const int twice, half(once).map_error(while_doing("halving {} again", once)));
  return twice;
}

Result<std::unique_ptr<int>> boxed(int number) {
  RETRAP_TRY(auto box,
             [&]() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(number); }());
  return box;
}

TEST(Result, GivesItsValueOn) {
  EXPECT_THAT(quarter(12), SucceedsWith(3));
  EXPECT_THAT(is_even(2), Succeeds());
}

TEST(Result, GivesItsErrorOnWithWhatWasBeingDone) {
  EXPECT_THAT(quarter(3), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(quarter(6), FailsSaying(ErrorCode::InvalidInput, "halving 3 again: 3 is odd"));
}

TEST(Result, MovesWhatCannotBeCopied) {
  EXPECT_EQ(**boxed(5), 5);
}

TEST(ErrorCode, HasAWordForEachValue) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::Diverged); ++code) {
    EXPECT_NE(to_string(static_cast<ErrorCode>(code)), "unknown") << code;
  }
  EXPECT_EQ(to_string(ErrorCode::PermissionDenied), "permission denied");
  EXPECT_EQ(to_string(static_cast<ErrorCode>(200)), "unknown");
}

TEST(Check, StopsTheProgramWithTheReason) {
  RETRAP_CHECK(true, "not printed");
  EXPECT_DEATH(RETRAP_CHECK(1 + 1 == 3, "sums are {}", "wrong"),
               "check failed: 1 \\+ 1 == 3: sums are wrong");
}

}  // namespace
}  // namespace retrap
