// Which translations of code the engine has to drop.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn::aarch64 {

/// Pages of host memory whose translations are dropped before the guest runs on.
class Translations {
 public:
  /// Virtual addresses of our own, above every canonical one: the engine drops translations by
  /// virtual address, and the fill hook maps kWindow | hpa to hpa while it does.
  static constexpr std::uint64_t kWindow = 0x00f0'0000'0000'0000;
  [[nodiscard]] static constexpr bool in_window(std::uint64_t va) {
    return va >> 48 == kWindow >> 48;
  }

  /// The page that `hpa` is in.
  void drop(std::uint64_t hpa);
  void drop_everything() { everything_ = true; }

  [[nodiscard]] bool pending() const { return everything_ || !pages_.empty(); }
  /// apply() is at work: fetches from the window are its own.
  [[nodiscard]] bool applying() const { return applying_; }
  /// Drops what is queued. Never inside a hook.
  void apply(Engine& engine);

 private:
  static constexpr std::size_t kMaxPages = 256;  ///< more, and everything goes

  std::vector<std::uint64_t> pages_;
  bool everything_ = false;
  bool applying_ = false;
};

}  // namespace retrap::unicorn::aarch64
