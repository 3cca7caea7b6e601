// Addresses of memory operands: APM volume 2, 4.5 (segmentation); volume 1, 2.2 (canonical form).
#include "arch/x86_64/operand.h"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t truncate_to(std::uint64_t value, unsigned bytes) {
  return value & low_bits(8 * bytes);
}

}  // namespace

std::uint64_t OperandReader::linear(const Instruction& instruction) const {
  const MemoryOperand& memory = instruction.memory;
  std::uint64_t offset = memory.displacement;
  if (memory.base != MemoryOperand::kNone) offset += cpu_.gpr(Gpr(memory.base));
  if (memory.index != MemoryOperand::kNone) {
    offset += cpu_.gpr(Gpr(memory.index)) << memory.scale;
  }
  if (memory.rip_relative) offset += cpu_.rip() + length_;
  return linear(memory.segment, offset, instruction.address_bytes);
}

std::uint64_t OperandReader::linear(SegmentName segment, std::uint64_t offset,
                                    unsigned address_bytes) const {
  offset = truncate_to(offset, address_bytes);
  const bool code64 = cpu_.code_bytes() == 8;
  if (!code64) return truncate_to(offset + cpu_.segment(segment).base, 4);
  // 64-bit mode has bases for FS and GS only.
  if (segment != SegmentName::Fs && segment != SegmentName::Gs) return offset;
  return offset + cpu_.segment(segment).base;
}

void OperandReader::know(const RawExit& exit) {
  const bool is_operand = exit.size != 0 && (exit.info1 & npf::kFinal) != 0;
  if (!is_operand || exit.linear % kPage != exit.info2 % kPage) return;
  known_page_ = exit.linear - exit.linear % kPage;
  known_gpa_ = GuestPhys(exit.info2 - exit.info2 % kPage);
}

Translation OperandReader::translate(std::uint64_t linear, Access access, Privilege privilege) {
  const std::uint64_t offset = linear % kPage;
  if (linear - offset == known_page_) return {.gpa = known_gpa_.wrapping_add(offset)};
  return cpu_.translate(linear, access, privilege);
}

std::optional<OperandFault> OperandReader::translate(std::uint64_t linear, unsigned bytes,
                                                     Access access, SegmentName segment,
                                                     Operand& operand) {
  const auto privilege = cpu_.cpl() == 3 ? Privilege::User : Privilege::Supervisor;
  const bool code64 = cpu_.code_bytes() == 8;
  operand.count = 0;
  unsigned done = 0;
  while (done < bytes) {
    std::uint64_t at = linear + done;
    if (!code64) at = truncate_to(at, 4);
    const Translation translation = translate(at, access, privilege);
    if (translation.kind != Translation::Kind::Ok) return fault(translation, at, segment);
    const auto in_page =
        static_cast<unsigned>(std::min<std::uint64_t>(bytes - done, kPage - at % kPage));
    for (unsigned taken = 0; taken < in_page;) {
      const unsigned width = std::min(std::bit_floor(in_page - taken), 8U);
      operand.storage[operand.count++] = {.gpa = translation.gpa.wrapping_add(taken),
                                          .offset = static_cast<std::uint8_t>(done + taken),
                                          .width = static_cast<Width>(width)};
      taken += width;
    }
    done += in_page;
  }
  return std::nullopt;
}

OperandFault OperandReader::fault(const Translation& translation, std::uint64_t linear,
                                  SegmentName segment) {
  constexpr std::uint8_t kStackFault = 12;
  constexpr std::uint8_t kGeneralProtection = 13;
  switch (translation.kind) {
    case Translation::Kind::NestedFault:
      return {
          .kind = OperandFault::Kind::Nested, .gpa = translation.gpa, .info1 = translation.error};
    case Translation::Kind::NonCanonical:
      cpu_.inject(
          Event::exception(segment == SegmentName::Ss ? kStackFault : kGeneralProtection, 0));
      break;
    case Translation::Kind::PageFault:
    case Translation::Kind::Ok:
      cpu_.inject(Event::page_fault(static_cast<std::uint32_t>(translation.error), linear));
      break;
  }
  return {.kind = OperandFault::Kind::Guest, .gpa = GuestPhys()};
}

}  // namespace retrap::x86_64
