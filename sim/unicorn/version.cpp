// Which Unicorn this process runs on.
#include "sim/unicorn/version.h"

#include <fmt/format.h>
#include <unicorn/unicorn.h>

namespace retrap::unicorn {

std::string library_version() {
  // 8 bits each: major, minor, patch, and 0xff for a release.
  const unsigned packed = uc_version(nullptr, nullptr);
  return fmt::format("{}.{}.{}", packed >> 24, (packed >> 16) & 0xff, (packed >> 8) & 0xff);
}

}  // namespace retrap::unicorn
