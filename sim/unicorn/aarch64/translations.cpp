// Dropping translations, by the only way that the engine's interface has.
#include "sim/unicorn/aarch64/translations.h"

#include <algorithm>

namespace retrap::unicorn::aarch64 {

void Translations::drop(std::uint64_t hpa) {
  const std::uint64_t page = hpa & ~(kPageSize - 1);
  if (everything_ || std::ranges::find(pages_, page) != pages_.end()) return;
  pages_.push_back(page);
  everything_ = pages_.size() > kMaxPages;
}

void Translations::apply(Engine& engine) {
  applying_ = true;
  if (everything_) {
    engine.flush_code();
  } else {
    for (const std::uint64_t page : pages_) {
      const std::uint64_t at = kWindow | page;
      check(uc_ctl_remove_cache(engine.get(), at, at + kPageSize), "remove_cache");
    }
  }
  pages_.clear();
  everything_ = false;
  applying_ = false;
}

}  // namespace retrap::unicorn::aarch64
