// Memory accesses that the CPU makes by itself: event delivery, the TSS, instructions done here.
#pragma once

#include "sim/unicorn/x86_64/mmu.h"
#include "vmm/base/bytes.h"

namespace retrap::unicorn::x86_64 {

/// Accesses by linear address through both stages. An access that faults has changed nothing, but
/// for accessed and dirty bits; fault() then says what happened.
class LinearMemory {
 public:
  /// `env` is the state that the accesses are made in. Both outlive this.
  LinearMemory(Mmu& mmu, const Env& env) : mmu_(mmu), env_(env) {}

  [[nodiscard]] bool read(std::uint64_t linear, std::span<std::byte> into, Privilege privilege);
  [[nodiscard]] bool write(std::uint64_t linear, std::span<const std::byte> from,
                           Privilege privilege);
  /// Reads what will be written next: faults as a write.
  [[nodiscard]] bool read_for_write(std::uint64_t linear, std::span<std::byte> into,
                                    Privilege privilege);

  template <std::unsigned_integral T>
  [[nodiscard]] bool load(std::uint64_t linear, T& value) {
    if (!read(linear, std::as_writable_bytes(std::span(&value, 1)), Privilege::Supervisor)) {
      return false;
    }
    value = little_endian(value);
    return true;
  }

  [[nodiscard]] const MemoryFault& fault() const { return fault_; }

 private:
  /// At most two pages.
  struct Pieces {
    std::array<std::span<std::byte>, 2> bytes;
    std::array<std::uint64_t, 2> host{};  ///< kScratch where it is no host memory
  };
  static constexpr std::uint64_t kScratch = ~std::uint64_t{0};
  [[nodiscard]] bool find(std::uint64_t linear, std::size_t size, Access access,
                          Privilege privilege, Pieces& pieces);
  [[nodiscard]] bool find_page(std::uint64_t linear, std::size_t size, Access access,
                               Privilege privilege, std::span<std::byte>& bytes,
                               std::uint64_t& host);
  static void copy_out(const Pieces& pieces, std::span<std::byte> into);

  Mmu& mmu_;
  const Env& env_;
  MemoryFault fault_;
};

}  // namespace retrap::unicorn::x86_64
