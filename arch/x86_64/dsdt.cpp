// AML as far as the board needs it: ACPI specification 6.5, sections 6.4 (resources) and 20.2 (byte
// code).
#include "arch/x86_64/dsdt.h"

#include <cstdint>
#include <string_view>

#include "arch/x86_64/board.h"
#include "arch/x86_64/power.h"
#include "vmm/base/check.h"
#include "vmm/devices/virtio_mmio.h"

namespace retrap::x86_64 {
namespace {

/// The low `count` bytes of `value`, the lowest first.
std::string number(std::uint64_t value, unsigned count) {
  std::string bytes;
  for (unsigned i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

std::string byte(std::uint64_t value) {
  return number(value, 1);
}

/// ByteConst, 20.2.3.
std::string constant(std::uint64_t value) {
  return byte(0x0a) + byte(value);
}

std::string name(std::string_view letters, std::string_view value) {
  return byte(0x08).append(letters).append(value);
}

std::string text(std::string_view letters) {
  return byte(0x0d).append(letters) + byte(0);
}

/// PkgLength and what it is the length of, itself included: 20.2.4, one byte or two.
std::string sized(std::string_view content) {
  constexpr std::size_t kShort = 0x3f;
  constexpr std::size_t kLong = 0xfff;
  const std::size_t size = content.size() + 1;
  RETRAP_CHECK(size < kLong, "{} bytes of AML need a longer length", size);
  if (size <= kShort) return byte(size).append(content);
  return (byte(0x40 | ((size + 1) & 0xf)) + byte((size + 1) >> 4)).append(content);
}

std::string package(std::uint64_t elements, std::string_view content) {
  return byte(0x12) + sized(byte(elements).append(content));
}

std::string buffer(std::string_view content) {
  return byte(0x11) + sized(constant(content.size()).append(content));
}

std::string device(std::string_view letters, std::string_view objects) {
  return byte(0x5b) + byte(0x82) + sized(std::string(letters).append(objects));
}

std::string scope(std::string_view path, std::string_view objects) {
  return byte(0x10) + sized(std::string(path).append(objects));
}

/// 6.4.3.4, 32-Bit Fixed Memory Range Descriptor: read and write.
std::string memory(std::uint64_t base, std::uint64_t size) {
  return byte(0x86) + number(9, 2) + byte(1) + number(base, 4) + number(size, 4);
}

/// 6.4.3.6, Extended Interrupt Descriptor: a consumer of one level, active high, not shared.
std::string interrupt(std::uint32_t line) {
  return byte(0x89) + number(6, 2) + byte(1) + byte(1) + number(line, 4);
}

/// 6.4.2.9, End Tag, whose checksum is not looked at.
std::string end_tag() {
  return byte(0x79) + byte(0);
}

}  // namespace

std::string make_definition_block() {
  constexpr auto kType = AcpiPowerManagement::kSleepTypeS5;
  const std::string zero = byte(0);
  const std::string sleep = package(4, constant(kType) + constant(kType) + zero + zero);
  const std::string resources =
      memory(PcBoard::kEntropy, virtio::Mmio::kSize) + interrupt(PcBoard::kEntropyLine) + end_tag();
  const std::string entropy =
      name("_HID", text("LNRO0005")) + name("_UID", zero) + name("_CRS", buffer(resources));
  return name("_S5_", sleep) + scope("\\_SB_", device("RNG0", entropy));
}

}  // namespace retrap::x86_64
