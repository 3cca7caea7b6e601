// Instructions that the engine gets wrong or must not execute, and where they were seen.
//
// CMPXCHG8B and CMPXCHG16B compute RFLAGS from stale state; RDRAND and RDSEED give the randomness
// of the host; RCL and RCR change the carry before they know whether they may write; INS writes
// zeroes to its operand before it asks for the port; LOOPE and LOOPNE lose the status flags where
// the count ends. Each new block is searched for them before it runs; a bounded code hook then
// stops in front of each.
#pragma once

#include <vector>

#include "sim/unicorn/engine.h"
#include "sim/unicorn/x86_64/instruction.h"

namespace retrap::unicorn::x86_64 {

/// Whether it is one of those.
[[nodiscard]] constexpr bool is_trapped(const Instruction& instruction) {
  if (is_rotate_through_carry(instruction)) return instruction.has_memory_operand();
  if (is_port_to_string(instruction) || is_conditional_loop(instruction)) return true;
  if (!instruction.is(OpcodeMap::Two, 0xc7)) return false;
  if (instruction.has_memory_operand()) return instruction.reg() == 1;
  return instruction.reg() >= 6;
}

/// The hooks on them, by linear address.
class TrappedSites {
 public:
  TrappedSites(Engine& engine, void* callback, void* user)
      : engine_(engine), callback_(callback), user_(user) {}

  [[nodiscard]] bool contains(std::uint64_t linear) const;
  /// Remembers a site; its hook is added by install(), for no hook may be added in a hook.
  void note(std::uint64_t linear) { noted_.push_back(linear); }
  [[nodiscard]] bool has_noted() const { return !noted_.empty(); }
  /// Adds the hooks and drops the translations of `block`. True where the table of sites was full:
  /// then it has been emptied, and so has the cache of translations.
  [[nodiscard]] bool install(std::uint64_t block);

 private:
  static constexpr std::size_t kMost = 256;
  struct Site {
    std::uint64_t linear;
    uc_hook hook;
  };
  Engine& engine_;
  void* callback_;
  void* user_;
  std::vector<Site> sites_;  ///< sorted
  std::vector<std::uint64_t> noted_;
};

}  // namespace retrap::unicorn::x86_64
