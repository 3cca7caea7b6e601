// Programs of 32-bit instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace retrap {

/// A machine word and what it says.
struct Insn {
  const char* assembly;
  std::uint32_t word;
};
using Program = std::vector<Insn>;

inline std::vector<std::byte> bytes_of(const Program& program) {
  std::vector<std::byte> bytes(program.size() * 4);
  for (std::size_t i = 0; i < program.size(); ++i) {
    std::memcpy(bytes.data() + 4 * i, &program[i].word, 4);
  }
  return bytes;
}

}  // namespace retrap
