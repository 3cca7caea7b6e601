// Remembers where trapped instructions stand in guest code.
#include "sim/unicorn/x86_64/trapped_sites.h"

#include <algorithm>

namespace retrap::unicorn::x86_64 {

bool TrappedSites::contains(std::uint64_t linear) const {
  return std::ranges::binary_search(sites_, linear, {}, &Site::linear);
}

bool TrappedSites::install(std::uint64_t block) {
  const bool full = sites_.size() + noted_.size() > kMost;
  if (full) {
    for (const Site& site : sites_) engine_.remove_hook(site.hook);
    sites_.clear();
  }
  for (const std::uint64_t linear : noted_) {
    if (contains(linear)) continue;
    const uc_hook hook = engine_.add_hook(UC_HOOK_CODE, callback_, user_, linear, linear);
    const auto at = std::ranges::lower_bound(sites_, linear, {}, &Site::linear);
    sites_.insert(at, {linear, hook});
  }
  noted_.clear();
  if (full) {
    engine_.flush_code();
  } else {
    check(uc_ctl_remove_cache(engine_.get(), block, block + 1), "remove_cache");
  }
  return full;
}

}  // namespace retrap::unicorn::x86_64
