// What a hostile run puts into guest memory before it starts: tables, code, data, registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/hostile/parameters.h"
#include "vmm/arch_id.h"
#include "vmm/base/prng.h"

namespace retrap::hostile {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kTablePages = 16;
inline constexpr std::uint64_t kCodePages = 8;
inline constexpr std::uint64_t kDataPages = 16;
inline constexpr std::uint64_t kArenaPages = kTablePages + kCodePages + kDataPages;
/// Where the arena is mapped a second time.
inline constexpr std::uint64_t kWindow = 0x10'0000'0000;

/// Code and data of user mode are in the even pages of the arena.
[[nodiscard]] constexpr bool is_user_page(std::uint64_t page) {
  return page % 2 == 0;
}

/// Where things are in one architecture's guest-physical memory.
struct Places {
  std::uint64_t ram;       ///< start of RAM
  std::uint64_t launcher;  ///< its code; the parameters are in the next page
  std::uint64_t arena;     ///< tables, code, data
  std::vector<std::uint64_t> devices;
};

[[nodiscard]] const Places& places_of(ArchId arch);

/// The bytes of the parameters' page and of the arena.
struct World {
  Parameters parameters{};
  std::vector<std::byte> arena;
};

/// Draws everything from `prng`.
[[nodiscard]] World make_world(ArchId arch, Prng& prng);

/// Fills `page` with instructions, or with what looks like some.
void write_code(ArchId arch, Prng& prng, std::span<std::byte> page);

/// A value that makes trouble: an address of something, an edge, or anything.
[[nodiscard]] std::uint64_t nasty_value(ArchId arch, Prng& prng);

/// Stage-1 tables in `arena`: some right, some wrong. Gives the address of the root.
[[nodiscard]] std::uint64_t write_tables(ArchId arch, Prng& prng, std::span<std::byte> arena);

void store64(std::span<std::byte> bytes, std::uint64_t offset, std::uint64_t value);

}  // namespace retrap::hostile
