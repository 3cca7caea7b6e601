// Assertions that stay on in every build.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

/// Stops the program when the project itself is wrong: RETRAP_CHECK(condition, "text {}", value).
/// What a guest, a file or a user does wrong never ends here. A harness that goes on after a
/// broken invariant reports bugs that are not there.
#define RETRAP_CHECK(condition, ...)                                                      \
  do {                                                                                    \
    if (!(condition)) [[unlikely]] {                                                      \
      fmt::print(stderr, "{}:{}: check failed: {}: {}\n", __FILE__, __LINE__, #condition, \
                 fmt::format(__VA_ARGS__));                                               \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
