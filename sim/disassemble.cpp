// Disassembly by Capstone; the only file that knows it.
#include "sim/disassemble.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include <algorithm>

namespace retrap {
namespace {

struct Machinery {
  cs_arch arch;
  cs_mode mode;
};

Machinery machinery_of(ArchId arch, unsigned bits) {
  switch (arch) {
    case ArchId::X86_64:
      return {CS_ARCH_X86, bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16};
    case ArchId::Aarch64: return {CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN};
    case ArchId::Riscv64:
      return {CS_ARCH_RISCV, static_cast<cs_mode>(CS_MODE_RISCV64 | CS_MODE_RISCVC)};
  }
  return {CS_ARCH_X86, CS_MODE_64};
}

std::string undecoded(std::uint64_t pc, std::span<const std::uint8_t> bytes) {
  std::string text = fmt::format("{:#x}  .byte", pc);
  for (const std::uint8_t byte : bytes) text += fmt::format(" {:02x}", byte);
  return text;
}

}  // namespace

std::vector<std::string> disassemble(ArchId arch, std::uint64_t pc, const CodeAtPc& code) {
  return disassemble(arch, code.bits, pc,
                     std::span(code.bytes).first(std::min(code.size, code.bytes.size())));
}

std::vector<std::string> disassemble(ArchId arch, unsigned bits, std::uint64_t address,
                                     std::span<const std::byte> code) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(code.size());
  for (const std::byte byte : code) bytes.push_back(std::to_integer<std::uint8_t>(byte));
  std::vector<std::string> lines;
  const auto [engine, mode] = machinery_of(arch, bits);
  csh handle = 0;
  if (cs_open(engine, mode, &handle) != CS_ERR_OK) {
    lines.push_back(undecoded(address, bytes));
    return lines;
  }
  cs_insn* instructions = nullptr;
  const std::size_t count =
      cs_disasm(handle, bytes.data(), bytes.size(), address, 0, &instructions);
  for (std::size_t i = 0; i < count; ++i) {
    const cs_insn& one = instructions[i];
    lines.push_back(fmt::format("{:#x}  {} {}", one.address, one.mnemonic, one.op_str));
  }
  if (count != 0) cs_free(instructions, count);
  (void)cs_close(&handle);
  // The last bytes may be the begin of an instruction that goes on behind them.
  if (lines.empty() && !bytes.empty()) lines.push_back(undecoded(address, bytes));
  return lines;
}

}  // namespace retrap
