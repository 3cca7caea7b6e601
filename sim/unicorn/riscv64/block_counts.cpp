// Counting variable-length instructions four parcels at a time.
#include "sim/unicorn/riscv64/block_counts.h"

#include <cstring>

namespace retrap::unicorn::riscv64 {
namespace {

/// By [the first is a second half][which have low bits 11], of four parcels: the instructions that
/// start there, and in kGoesOn whether the last one goes on.
constexpr std::uint8_t kGoesOn = 0x80;
using CountTable = std::array<std::array<std::uint8_t, 16>, 2>;

constexpr CountTable make_table() {
  CountTable table{};
  for (unsigned carry = 0; carry < 2; ++carry) {
    for (unsigned wide = 0; wide < 16; ++wide) {
      unsigned inside = carry;
      unsigned count = 0;
      for (unsigned i = 0; i < 4; ++i) {
        if (inside != 0) {
          inside = 0;
          continue;
        }
        ++count;
        inside = (wide >> i) & 1;
      }
      table[carry][wide] = static_cast<std::uint8_t>(count | (inside != 0 ? kGoesOn : 0u));
    }
  }
  return table;
}
constexpr CountTable kTable = make_table();

/// Bit i: parcel i of the four at `code` begins a 32-bit instruction, if one begins there.
unsigned wide_parcels(const std::uint8_t* code) {
  std::uint64_t word = 0;
  std::memcpy(&word, code, sizeof(word));
  const std::uint64_t both = word & (word >> 1) & 0x0001'0001'0001'0001;
  return static_cast<unsigned>((both * 0x0001'0002'0004'0008) >> 48) & 15;
}

}  // namespace

std::uint32_t count_instructions(const std::uint8_t* code, std::uint32_t size) {
  std::uint32_t count = 0;
  unsigned carry = 0;
  for (; size >= 8; size -= 8, code += 8) {
    const unsigned entry = kTable[carry][wide_parcels(code)];
    count += entry & (kGoesOn - 1u);
    carry = entry >= kGoesOn ? 1 : 0;
  }
  for (std::uint32_t offset = 2 * carry; offset < size;) {
    offset += (code[offset] & 3) == 3 ? 4 : 2;
    ++count;
  }
  return count;
}

std::uint32_t offset_of_instruction(const std::uint8_t* code, std::uint32_t index) {
  std::uint32_t offset = 0;
  for (; index > 0; --index) offset += (code[offset] & 3) == 3 ? 4 : 2;
  return offset;
}

// The count stays readable: the block may be the one that runs.
void BlockCounts::drop(std::uint64_t pc) {
  if (last_at(pc)) slots_[index_of(pc)] |= kNoSize << kSizeShift;
}

void BlockCounts::drop_page(std::uint64_t page) {
  for (std::uint64_t offset = 0; offset < 4096; offset += 2) drop(page + offset);
}

}  // namespace retrap::unicorn::riscv64
