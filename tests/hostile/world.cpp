// Memory and registers of a hostile guest.
#include "tests/hostile/world.h"

#include <array>

namespace retrap::hostile {
namespace {

/// A page of `count` from `first` on that belongs to user mode or to the kernel.
std::uint64_t page_in(const Places& places, std::uint64_t first, std::uint64_t count, bool user,
                      Prng& prng) {
  const std::uint64_t page = first + prng.below(count / 2) * 2 + (user ? 0 : 1);
  return places.arena + page * kPage;
}

std::uint64_t code_address(ArchId arch, bool user, Prng& prng) {
  const std::uint64_t page = page_in(places_of(arch), kTablePages, kCodePages, user, prng);
  return page + (prng.below(kPage) & ~std::uint64_t{arch == ArchId::X86_64 ? 0u : 3u});
}

/// Where a vector table may be: a page of the kernel's code, hardly ever anything else.
std::uint64_t vector_address(ArchId arch, Prng& prng) {
  if (prng.chance(1, 16)) return nasty_value(arch, prng);
  return page_in(places_of(arch), kTablePages, kCodePages, false, prng);
}

void choose_aarch64(Prng& prng, Parameters& parameters, bool paging, bool user) {
  parameters.control = 0x30d0'0800 | (paging ? 0x1005u : 0u);
  if (prng.chance(1, 4)) parameters.control ^= prng.next() & 0x000f'ffff & ~std::uint64_t{1};
  parameters.format = 25 | 1u << 8 | 1u << 10 | 3u << 12 | std::uint64_t{25} << 16 | 1u << 24 |
                      2u << 30 | std::uint64_t{2} << 32;
  if (prng.chance(1, 8)) parameters.format = prng.next();
  parameters.state = user ? 0 : 0x3c5 & ~(prng.below(16) << 6);
  if (prng.chance(1, 8)) parameters.state = prng.next() & 0xffff'ffff;
  parameters.extra = prng.chance(1, 4) ? prng.next() & 0xffff'ffff : 3u << 20;
  parameters.attributes = prng.chance(1, 8) ? prng.next() : 0xff00;
}

void choose_riscv64(Prng& prng, Parameters& parameters, bool paging, bool user) {
  const std::uint64_t mode = prng.chance(1, 16) ? prng.below(16) : 8;
  parameters.root = paging ? mode << 60 | parameters.root >> 12 : 0;
  parameters.control = prng.chance(1, 2) ? 0x222 : prng.next();
  parameters.state = (user ? 0u : 0x100u) | (prng.next() & 0xc'6022);
  if (prng.chance(1, 16)) parameters.state = prng.next();
  parameters.extra = prng.next();
}

void write_gdt(Prng& prng, Parameters& parameters, std::uint64_t at, std::uint64_t task) {
  const std::array<std::uint64_t, 8> fixed = {0,
                                              0,
                                              0x00af'9b00'0000'ffff,
                                              0x00cf'9300'0000'ffff,
                                              0x00cf'f300'0000'ffff,
                                              0x00af'fb00'0000'ffff,
                                              0x00cf'9b00'0000'ffff,
                                              0x00cf'fb00'0000'ffff};
  for (std::size_t i = 0; i < fixed.size(); ++i) parameters.gdt[i] = fixed[i];
  for (std::size_t i = fixed.size(); i < 16; ++i) parameters.gdt[i] = prng.next();
  parameters.gdt[10] =
      0x67 | (task & 0xff'ffff) << 16 | std::uint64_t{0x89} << 40 | (task >> 24 & 0xff) << 56;
  parameters.gdt[11] = task >> 32;
  parameters.gdtr[0] = std::uint64_t{16 * 8 - 1} << 48;
  parameters.gdtr[1] = at;
}

/// 256 gates to code, some of them broken, in one data page.
void write_idt(Prng& prng, std::span<std::byte> arena, std::uint64_t offset) {
  for (std::uint64_t vector = 0; vector < 256; ++vector) {
    const std::uint64_t target = code_address(ArchId::X86_64, false, prng);
    std::uint64_t type = prng.chance(1, 2) ? 0x8e : 0xee;
    std::uint64_t selector = 0x10;
    if (prng.chance(1, 16)) type = prng.below(256);
    if (prng.chance(1, 16)) selector = prng.below(0x80);
    const std::uint64_t stack = prng.chance(1, 8) ? prng.below(8) : 0;
    store64(arena, offset + 16 * vector,
            (target & 0xffff) | selector << 16 | stack << 32 | type << 40 |
                (target >> 16 & 0xffff) << 48);
    store64(arena, offset + 16 * vector + 8, target >> 32);
  }
}

void choose_x86(Prng& prng, World& world, bool user) {
  const Places& places = places_of(ArchId::X86_64);
  Parameters& parameters = world.parameters;
  parameters.control = 0x8000'0031 | (prng.next() & 0x1'000e);
  parameters.format = 0x20 | (prng.next() & 0x6cc);
  if (prng.chance(1, 8)) parameters.format |= std::uint64_t{1} << prng.below(24);
  parameters.extra = 0xd01;
  parameters.state = 2 | (prng.next() & 0x4'0ad5);
  if (prng.chance(1, 8)) parameters.state |= prng.next() & 0x3f'7fd5;
  const bool narrow = prng.chance(1, 6);
  parameters.code_selector = user ? (narrow ? 0x3bu : 0x2bu) : (narrow ? 0x30u : 0x10u);
  parameters.stack_selector = user ? 0x23 : 0x18;
  parameters.attributes = std::uint64_t{0x10} << 32 | std::uint64_t{0x1b} << 48;
  const std::uint64_t data = kTablePages + kCodePages;
  const std::uint64_t task = places.arena + data * kPage;
  for (unsigned i = 0; i < 10; ++i) {
    const std::uint64_t stack =
        prng.chance(1, 8) ? nasty_value(ArchId::X86_64, prng)
                          : page_in(places, data + 2, kDataPages - 2, false, prng) + kPage;
    store64(world.arena, data * kPage + 4 + 8 * i, stack);
  }
  write_gdt(prng, parameters, places.launcher + kPage + 0x150, task);
  write_idt(prng, world.arena, (data + 1) * kPage);
  parameters.idtr[0] = (prng.chance(1, 8) ? prng.below(0x1000) : 0xfff) << 48;
  parameters.idtr[1] = places.arena + (data + 1) * kPage;
}

}  // namespace

const Places& places_of(ArchId arch) {
  static const std::array<Places, 3> kPlaces = {{
      {0, 0x10'0000, 0x11'0000, {0xfee0'0000, 0xfec0'0000, 0xd000'0000, 0xb'8000}},
      {0x4000'0000,
       0x4008'0000,
       0x4009'0000,
       {0x0900'0000, 0x0800'0000, 0x080a'0000, 0x080b'0000, 0x0901'0000}},
      {0x8000'0000,
       0x8020'0000,
       0x8021'0000,
       {0x1000'0000, 0x0c00'0000, 0x0c20'1000, 0x10'0000, 0x10'1000}},
  }};
  return kPlaces[static_cast<std::size_t>(arch)];
}

std::uint64_t nasty_value(ArchId arch, Prng& prng) {
  const Places& places = places_of(arch);
  const std::uint64_t page = places.arena + prng.below(kArenaPages) * kPage;
  switch (prng.below(12)) {
    case 0:  return prng.next();
    case 1:  return prng.below(256);
    case 2:  return ~prng.below(256);
    case 3:  return places.devices[prng.below(places.devices.size())] + prng.below(0x100);
    case 4:  return places.arena + 8 * prng.below(kTablePages * kPage / 8);
    case 5:  return page + kPage - 1 - prng.below(16);
    case 6:  return kWindow + prng.below(kArenaPages * kPage);
    case 7:  return (std::uint64_t{1} << prng.below(64)) - prng.below(2);
    case 8:  return places.ram + 0x40'0000 - prng.below(32);  // the end of RAM
    default: return page + 8 * prng.below(kPage / 8);
  }
}

World make_world(ArchId arch, Prng& prng) {
  World world;
  world.arena.resize(kArenaPages * kPage);
  const std::span<std::byte> arena = world.arena;
  for (std::uint64_t page = kTablePages; page < kTablePages + kCodePages; ++page) {
    write_code(arch, prng, arena.subspan(page * kPage, kPage));
  }
  for (std::uint64_t at = (kTablePages + kCodePages) * kPage; at < arena.size(); at += 8) {
    store64(arena, at, prng.chance(1, 4) ? nasty_value(arch, prng) : prng.next());
  }
  Parameters& parameters = world.parameters;
  parameters.root = write_tables(arch, prng, arena);
  parameters.vectors = vector_address(arch, prng);
  const bool user = prng.chance(1, 2);
  parameters.pc = code_address(arch, user, prng);
  parameters.stack =
      page_in(places_of(arch), kTablePages + kCodePages + 2, kDataPages - 2, user, prng) + 2048;
  for (std::uint64_t& value : parameters.registers) value = nasty_value(arch, prng);
  const bool paging = prng.chance(3, 4);
  switch (arch) {
    case ArchId::X86_64:  choose_x86(prng, world, user); break;
    case ArchId::Aarch64: choose_aarch64(prng, parameters, paging, user); break;
    case ArchId::Riscv64: choose_riscv64(prng, parameters, paging, user); break;
  }
  if (prng.chance(1, 16)) parameters.pc = nasty_value(arch, prng);
  return world;
}

}  // namespace retrap::hostile
