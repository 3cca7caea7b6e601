// The tables, each with its fields in the order of the specification.
#include "arch/x86_64/acpi.h"

#include <array>
#include <string_view>

#include "arch/x86_64/dsdt.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/lapic.h"
#include "arch/x86_64/power.h"
#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap::x86_64 {
namespace {

constexpr std::string_view kOemId = "RETRAP";
constexpr std::string_view kOemTableId = "RETRAPVM";
constexpr std::size_t kChecksumAt = 9;

/// A table that grows field by field.
class Table {
 public:
  Table& byte(std::uint64_t value) { return number(value, 1); }
  Table& half(std::uint64_t value) { return number(value, 2); }
  Table& word(std::uint64_t value) { return number(value, 4); }
  Table& quad(std::uint64_t value) { return number(value, 8); }
  Table& text(std::string_view letters) {
    for (const char letter : letters) byte(static_cast<std::uint8_t>(letter));
    return *this;
  }
  Table& zeroes(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }

  /// 5.2.6, System Description Table Header; the length and the checksum follow in seal().
  Table& header(std::string_view signature, std::uint8_t revision) {
    text(signature).word(0).byte(revision).byte(0).text(kOemId).text(kOemTableId);
    return word(1).text("RTRP").word(1);
  }
  /// Sets the length of a table with a header, and the checksum.
  std::vector<std::byte> seal() {
    for (unsigned i = 0; i < 4; ++i) {
      bytes_[4 + i] = static_cast<std::byte>(bytes_.size() >> (8 * i));
    }
    set_checksum(kChecksumAt, bytes_.size());
    return std::move(bytes_);
  }
  /// The byte at `at` makes the first `size` bytes add up to zero.
  void set_checksum(std::size_t at, std::size_t size) {
    std::uint8_t sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += std::to_integer<std::uint8_t>(bytes_[i]);
    sum -= std::to_integer<std::uint8_t>(bytes_[at]);
    bytes_[at] = static_cast<std::byte>(static_cast<std::uint8_t>(-sum));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  Table& number(std::uint64_t value, unsigned count) {
    for (unsigned i = 0; i < count; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  std::vector<std::byte> bytes_;
};

/// 5.2.11.1, Differentiated System Description Table, revision 2: integers have 64 bits.
std::vector<std::byte> make_dsdt() {
  return Table().header("DSDT", 2).text(make_definition_block()).seal();
}

/// 5.2.10, Firmware ACPI Control Structure: no header, no checksum.
std::vector<std::byte> make_facs() {
  Table table;
  table.text("FACS").word(64).zeroes(24).byte(1).zeroes(31);
  return table.take();
}

/// 5.2.9, Fixed ACPI Description Table, revision 3.
std::vector<std::byte> make_fadt(std::uint64_t facs, std::uint64_t dsdt) {
  constexpr std::uint16_t kNoCState = 0xffff;
  constexpr std::uint16_t kBootArch = 1 | 1U << 2;                    // legacy devices, no VGA
  constexpr std::uint32_t kFlags = 1U | 1U << 2 | 1U << 4 | 1U << 5;  // WBINVD, C1, buttons
  Table table;
  table.header("FACP", 3);
  table.word(facs).word(dsdt).byte(0).byte(0);   // FIRMWARE_CTRL, DSDT, reserved, profile
  table.half(acpi::kSciLine).word(0).zeroes(4);  // SCI_INT, SMI_CMD, ACPI_ENABLE .. PSTATE_CNT
  table.word(AcpiPowerManagement::kEventBlock).word(0);
  table.word(AcpiPowerManagement::kControlBlock).word(0);
  table.word(0).word(0).word(0).word(0);                 // PM2_CNT, PM_TMR, GPE0, GPE1
  table.byte(4).byte(2).zeroes(6);                       // lengths: PM1_EVT, PM1_CNT, others
  table.half(kNoCState).half(kNoCState);                 // P_LVL2_LAT, P_LVL3_LAT
  table.zeroes(4).zeroes(2).byte(0).byte(0).byte(0x32);  // flush, duty, alarms, CENTURY
  table.half(kBootArch).byte(0).word(kFlags);
  table.zeroes(12).byte(0).zeroes(3);  // RESET_REG, RESET_VALUE
  table.quad(0).quad(dsdt);            // X_FIRMWARE_CTRL, X_DSDT
  table.zeroes(std::size_t{8} * 12);   // X_ register blocks: the 32-bit ones count
  return table.seal();
}

/// 5.2.12, Multiple APIC Description Table.
std::vector<std::byte> make_madt(const std::vector<std::uint64_t>& apic_ids) {
  constexpr std::uint32_t kPcAtCompatible = 1;
  constexpr std::uint16_t kLevelHigh = 0xd;
  Table table;
  table.header("APIC", 3).word(apic::kBaseAddress).word(kPcAtCompatible);
  for (std::size_t uid = 0; uid < apic_ids.size(); ++uid) {
    table.byte(0).byte(8).byte(uid).byte(apic_ids[uid]).word(1);  // local APIC, enabled
  }
  table.byte(1).byte(12).byte(0).byte(0).word(IoApic::kBaseAddress).word(0);
  table.byte(2).byte(10).byte(0).byte(0).word(2).half(0);  // IRQ 0 is on pin 2
  table.byte(2).byte(10).byte(0).byte(acpi::kSciLine).word(acpi::kSciLine).half(kLevelHigh);
  table.byte(4).byte(6).byte(0xff).half(0).byte(1);  // NMI on LINT1 of every CPU
  return table.seal();
}

std::vector<std::byte> make_xsdt(std::uint64_t fadt, std::uint64_t madt) {
  Table table;
  table.header("XSDT", 1).quad(fadt).quad(madt);
  return table.seal();
}

/// 5.2.5.3, Root System Description Pointer, revision 2.
std::vector<std::byte> make_rsdp(std::uint64_t xsdt) {
  constexpr std::size_t kSize = 36;
  constexpr std::size_t kFirstPart = 20;
  Table table;
  table.text("RSD PTR ").byte(0).text(kOemId).byte(2).word(0);
  table.word(kSize).quad(xsdt).byte(0).zeroes(3);
  table.set_checksum(8, kFirstPart);
  table.set_checksum(32, kSize);
  return table.take();
}

}  // namespace

std::vector<std::byte> make_acpi_tables(GuestPhys base,
                                        const std::vector<std::uint64_t>& apic_ids) {
  constexpr std::size_t kAlignment = 64;  // of the FACS; the others need less
  std::vector<std::byte> all(kAlignment);
  const auto place = [&](const std::vector<std::byte>& table) {
    const std::uint64_t address = base.raw() + all.size();
    all.insert(all.end(), table.begin(), table.end());
    all.resize(align_up(all.size(), kAlignment));
    return address;
  };
  const std::uint64_t dsdt = place(make_dsdt());
  const std::uint64_t facs = place(make_facs());
  const std::uint64_t fadt = place(make_fadt(facs, dsdt));
  const std::uint64_t madt = place(make_madt(apic_ids));
  const std::uint64_t xsdt = place(make_xsdt(fadt, madt));
  const std::vector<std::byte> rsdp = make_rsdp(xsdt);
  RETRAP_CHECK(rsdp.size() <= kAlignment, "the RSDP comes first");
  std::copy(rsdp.begin(), rsdp.end(), all.begin());
  return all;
}

}  // namespace retrap::x86_64
