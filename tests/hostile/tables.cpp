// Stage-1 tables of a hostile guest: a right mapping of the arena, then damage.
#include <array>
#include <cstring>

#include "tests/hostile/world.h"

namespace retrap::hostile {
namespace {

enum Access : unsigned { kWrite = 1, kExecute = 2, kUser = 4 };

std::uint64_t table_entry(ArchId arch, std::uint64_t table) {
  switch (arch) {
    case ArchId::X86_64:  return table | 7;
    case ArchId::Aarch64: return table | 3;
    case ArchId::Riscv64: return table >> 2 | 1;
  }
  return 0;
}

std::uint64_t page_entry(ArchId arch, std::uint64_t pa, unsigned access) {
  const bool write = (access & kWrite) != 0;
  const bool execute = (access & kExecute) != 0;
  const bool user = (access & kUser) != 0;
  switch (arch) {
    case ArchId::X86_64:
      return pa | 0x61u | (write ? 2u : 0u) | (user ? 4u : 0u) |
             (execute ? 0 : std::uint64_t{1} << 63);
    case ArchId::Aarch64:
      return pa | 0x707u | (write ? 0u : 0x80u) | (user ? 0x40u : 0u) |
             (execute ? 0 : std::uint64_t{3} << 53);
    case ArchId::Riscv64:
      return pa >> 2 | 0xc3u | (write ? 4u : 0u) | (execute ? 8u : 0u) | (user ? 16u : 0u);
  }
  return 0;
}

/// Builds tables out of the arena's first pages.
class Builder {
 public:
  Builder(ArchId arch, std::span<std::byte> arena) : arch_(arch), arena_(arena) {}

  [[nodiscard]] std::uint64_t root() const { return places_of(arch_).arena; }

  void map(std::uint64_t va, std::uint64_t pa, unsigned access) {
    std::uint64_t table = 0;  // number of the page in the arena
    for (unsigned level = arch_ == ArchId::X86_64 ? 3 : 2; level > 0; --level) {
      table = next_table(table, index(va, level));
      if (table == 0) return;  // out of pages: this address stays unmapped
    }
    store64(arena_, table * kPage + 8 * index(va, 0), page_entry(arch_, pa, access));
  }

 private:
  static std::uint64_t index(std::uint64_t va, unsigned level) {
    return va >> (12 + 9 * level) & 511;
  }

  std::uint64_t next_table(std::uint64_t table, std::uint64_t slot) {
    for (const Link& link : links_) {
      if (link.table == table && link.slot == slot) return link.next;
    }
    if (used_ == kTablePages) return 0;
    store64(arena_, table * kPage + 8 * slot, table_entry(arch_, root() + used_ * kPage));
    links_.push_back({table, slot, used_});
    return used_++;
  }

  struct Link {
    std::uint64_t table;
    std::uint64_t slot;
    std::uint64_t next;
  };

  ArchId arch_;
  std::span<std::byte> arena_;
  std::vector<Link> links_;
  std::uint64_t used_ = 1;
};

/// Tables and odd pages are the kernel's, even ones the user's.
unsigned usual_access(std::uint64_t page) {
  if (page < kTablePages) return kWrite;
  const unsigned user = is_user_page(page) ? kUser : 0u;
  return page < kTablePages + kCodePages ? kExecute | user : kWrite | user;
}

/// Entries with random flags, to places of all kinds, anywhere in the tables.
void damage(ArchId arch, Prng& prng, std::span<std::byte> arena) {
  const std::uint64_t count = prng.chance(1, 3) ? 0 : prng.below(48);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t place = 8 * prng.below(kTablePages * kPage / 8);
    const std::uint64_t target = nasty_value(arch, prng) & 0x0000'ffff'ffff'f000;
    std::uint64_t entry = prng.next();
    if (prng.chance(3, 4)) {
      entry = arch == ArchId::Riscv64 ? target >> 2 | prng.below(1024)
                                      : target | prng.below(4096) | prng.next() << 52;
    }
    // In the first entries of a table half of the time: they are the ones in use.
    store64(arena, prng.chance(1, 2) ? place & ~std::uint64_t{0xf80} : place, entry);
  }
}

}  // namespace

std::uint64_t write_tables(ArchId arch, Prng& prng, std::span<std::byte> arena) {
  const Places& places = places_of(arch);
  Builder tables(arch, arena);
  // The launcher must get as far as the jump.
  tables.map(places.launcher, places.launcher, kExecute);
  tables.map(places.launcher + kPage, places.launcher + kPage, kWrite);
  for (std::uint64_t page = 0; page < kArenaPages; ++page) {
    const std::uint64_t pa = places.arena + page * kPage;
    const unsigned access =
        prng.chance(1, 16) ? static_cast<unsigned>(prng.below(8)) : usual_access(page);
    tables.map(pa, pa, access);
    const std::uint64_t other = places.arena + prng.below(kArenaPages) * kPage;
    tables.map(kWindow + page * kPage, prng.chance(1, 2) ? pa : other,
               static_cast<unsigned>(prng.below(8)));
  }
  for (const std::uint64_t device : places.devices) {
    tables.map(device & ~(kPage - 1), device & ~(kPage - 1),
               kWrite | (prng.chance(1, 2) ? kUser : 0u));
  }
  damage(arch, prng, arena);
  return tables.root();
}

void store64(std::span<std::byte> bytes, std::uint64_t offset, std::uint64_t value) {
  if (offset + sizeof value <= bytes.size()) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }
}

}  // namespace retrap::hostile
