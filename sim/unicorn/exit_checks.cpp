// Finds the switch inside the engine by what surrounds it, or leaves the checks where they are.
#include "sim/unicorn/exit_checks.h"

#include <malloc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn {
namespace {

/// The fields of Unicorn 2.1.4's uc_struct around the switch.
struct Surroundings {
  std::int32_t context_content;   // what uc_ctl_context_mode() sets
  std::int32_t cpu_context_size;  // uc_context_size() without the header
  std::int32_t padding;
  std::uint32_t next_pc[2];
  std::uint8_t hook_insert;
  std::uint8_t first_tb;
  std::uint8_t no_exit_request;
  std::uint8_t init_done;
};
constexpr std::size_t kContextHeader = 40;  // of a uc_context, in front of its data

bool matches(uc_engine* uc, const std::byte* at, uc_context_content content) {
  Surroundings found;
  std::memcpy(&found, at, sizeof found);
  return found.context_content == content &&
         static_cast<std::size_t>(found.cpu_context_size) + kContextHeader == uc_context_size(uc) &&
         found.hook_insert == 0 && found.first_tb <= 1 && found.no_exit_request == 0 &&
         found.init_done == 1;
}

}  // namespace

bool drop_exit_checks(uc_engine* uc) {
  constexpr unsigned kKnown = 2U << 24 | 1U << 16 | 4U << 8;
  if (uc_version(nullptr, nullptr) >> 8 != kKnown >> 8) return false;
  // The first register access initialises the engine.
  std::array<std::byte, 64> any{};
  static_cast<void>(uc_reg_read(uc, 1, any.data()));
  auto* const bytes = reinterpret_cast<std::byte*>(uc);
  const std::size_t size = malloc_usable_size(uc);
  std::byte* place = nullptr;
  for (std::size_t at = 0; at + sizeof(Surroundings) <= size; at += 4) {
    if (!matches(uc, bytes + at, UC_CTL_CONTEXT_CPU)) continue;
    if (place != nullptr) return false;
    place = bytes + at;
  }
  if (place == nullptr) return false;
  check(uc_ctl_context_mode(uc, UC_CTL_CONTEXT_MEMORY), "context_mode");
  const bool follows = matches(uc, place, UC_CTL_CONTEXT_MEMORY);
  check(uc_ctl_context_mode(uc, UC_CTL_CONTEXT_CPU), "context_mode");
  if (!follows || !matches(uc, place, UC_CTL_CONTEXT_CPU)) return false;
  place[offsetof(Surroundings, no_exit_request)] = std::byte{1};
  return true;
}

}  // namespace retrap::unicorn
