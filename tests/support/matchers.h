// Results in tests read as sentences: EXPECT_THAT(space.unmap(x), FailsWith(ErrorCode::NotFound)).
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "vmm/base/result.h"

namespace retrap::test {

MATCHER(Succeeds, negation ? "fails" : "succeeds") {
  if (arg) return true;
  *result_listener << "which failed: " << arg.error().message;
  return false;
}

MATCHER_P(SucceedsWith, value, "succeeds with " + ::testing::PrintToString(value)) {
  if (arg) return *arg == value;
  *result_listener << "which failed: " << arg.error().message;
  return false;
}

MATCHER_P(FailsWith, code, "fails with '" + std::string(to_string(code)) + "'") {
  if (arg) return false;
  *result_listener << "which failed: " << arg.error().message;
  return arg.error().code == code;
}

/// Fails with this code, and says `text` somewhere in the message.
MATCHER_P2(FailsSaying, code, text,
           "fails with '" + std::string(to_string(code)) + "' and says '" + text + "'") {
  if (arg) return false;
  *result_listener << "which failed: " << arg.error().message;
  return arg.error().code == code && arg.error().message.find(text) != std::string::npos;
}

}  // namespace retrap::test
