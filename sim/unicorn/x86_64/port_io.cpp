// Port instructions: the permission checks of the manual, then the exit.
#include "sim/unicorn/x86_64/port_io.h"

namespace retrap::unicorn::x86_64 {

PortAccess describe_port_access(const Instruction& in, const Env& env) {
  const bool string = in.opcode >= 0x6c && in.opcode <= 0x6f;
  const bool byte = (in.opcode & 1) == 0;
  const bool output = (in.opcode & 2) != 0;
  PortAccess access;
  access.bytes = byte ? 1 : in.operand_bytes == 2 ? 2 : 4;
  const bool immediate = in.opcode >= 0xe4 && in.opcode <= 0xe7;
  access.port = immediate
                    ? in.immediate8
                    : static_cast<std::uint16_t>(env.head().regs[static_cast<unsigned>(Gpr::Rdx)]);
  std::uint64_t& info = access.info1;
  info = std::uint64_t{access.port} << ioio::kPortShift;
  if (!output) info |= ioio::kIn;
  info |= access.bytes == 1 ? ioio::kSize8 : access.bytes == 2 ? ioio::kSize16 : ioio::kSize32;
  if (!string) return access;
  info |= ioio::kString;
  if (in.repeat != 0) info |= ioio::kRep;
  info |= in.address_bytes == 2   ? ioio::kAddress16
          : in.address_bytes == 4 ? ioio::kAddress32
                                  : ioio::kAddress64;
  const unsigned source =
      in.segment == Instruction::kNoSegment ? static_cast<unsigned>(SegmentName::Ds) : in.segment;
  const auto segment = output ? source : static_cast<unsigned>(SegmentName::Es);
  info |= std::uint64_t{segment} << ioio::kSegmentShift;
  return access;
}

PortCheck check_port_access(const PortAccess& access, const Env& env, LinearMemory& memory) {
  if (!env.protected_mode()) return PortCheck::Allowed;
  const EnvHead& head = env.head();
  if (!env.virtual_8086() && env.cpl() <= rflags::iopl(head.eflags)) return PortCheck::Allowed;

  // A 32-bit or 64-bit TSS holds the offset of the map at 102.
  constexpr std::uint32_t kMapOffset = 102;
  const unsigned type = head.tr.flags >> 8 & 0xf;
  if ((type != 9 && type != 11) || head.tr.limit < kMapOffset + 1) return PortCheck::Refused;
  std::uint16_t map = 0;
  if (!memory.load(head.tr.base + kMapOffset, map)) return PortCheck::Fault;
  const std::uint32_t at = std::uint32_t{map} + access.port / 8;
  if (at + 1 > head.tr.limit) return PortCheck::Refused;
  std::uint16_t bits = 0;
  if (!memory.load(head.tr.base + at, bits)) return PortCheck::Fault;
  const unsigned mask = (1U << access.bytes) - 1;
  return (static_cast<unsigned>(bits) >> (access.port % 8) & mask) == 0 ? PortCheck::Allowed
                                                                        : PortCheck::Refused;
}

}  // namespace retrap::unicorn::x86_64
