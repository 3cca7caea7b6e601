// The table of MSRs and those that are more than a row.
#include "arch/x86_64/msr.h"

#include <algorithm>

#include "arch/x86_64/cpuid.h"
#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap::x86_64 {
namespace {

using enum MsrKind;
constexpr auto kAny = ~std::uint64_t{0};
constexpr auto kLow32 = low_bits(32);
constexpr auto kNoCheck = MsrCheck::None;

/// RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO,
/// PSDP_NO, RFDS_NO (bit 27): the simulated CPU speculates nothing.
constexpr std::uint64_t kArchCapabilities = bit(0) | bit(1) | bit(3) | bit(5) | bit(6) | bit(8) |
                                            bit(13) | bit(14) | bit(15) | bit(26) | bit(27);
/// Fast strings, thermal control, XTPR, CPUID limit, MONITOR, EIST, execute-disable off, and the
/// read-only ones that software writes back (SDM volume 4, table 2-2).
constexpr std::uint64_t kMiscEnableBits =
    bit(0) | bit(3) | bit(7) | bit(11) | bit(12) | bit(16) | bit(18) | bit(22) | bit(23) | bit(34);
constexpr std::uint64_t kPatReset = 0x0007'0406'0007'0406;

// clang-format off
constexpr std::array kTable = {
    MsrRow{0x0000, "IA32_P5_MC_ADDR", Constant, kNoCheck, 0, 0},
    MsrRow{0x0001, "IA32_P5_MC_TYPE", Constant, kNoCheck, 0, 0},
    MsrRow{0x0010, "IA32_TIME_STAMP_COUNTER", Special, kNoCheck, 0, kAny},
    MsrRow{0x0017, "IA32_PLATFORM_ID", Constant, kNoCheck, 0, 0},
    MsrRow{0x001b, "IA32_APIC_BASE", Special, kNoCheck, 0, low_bits(cpu_model::kPhysicalBits)},
    MsrRow{0x003a, "IA32_FEATURE_CONTROL", Constant, kNoCheck, 1, 0},  // locked, all off
    MsrRow{0x003b, "IA32_TSC_ADJUST", Special, kNoCheck, 0, kAny},
    MsrRow{0x0048, "IA32_SPEC_CTRL", Stored, kNoCheck, 0, 0x1},       // IBRS
    MsrRow{0x0049, "IA32_PRED_CMD", Command, kNoCheck, 0, 0x1},      // IBPB
    MsrRow{0x0079, "IA32_BIOS_UPDT_TRIG", Ignored, kNoCheck, 0, kAny},
    MsrRow{0x008b, "IA32_BIOS_SIGN_ID", Stored, kNoCheck, 0, kAny},
    MsrRow{0x00ce, "MSR_PLATFORM_INFO", Constant, kNoCheck, 0, 0},
    MsrRow{0x00fe, "IA32_MTRRCAP", Constant, kNoCheck, 0, 0},  // no variable, no fixed ranges
    MsrRow{0x010a, "IA32_ARCH_CAPABILITIES", Constant, kNoCheck, kArchCapabilities, 0},
    MsrRow{0x0174, "IA32_SYSENTER_CS", InCpu, kNoCheck, 0, kLow32},
    MsrRow{0x0175, "IA32_SYSENTER_ESP", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0x0176, "IA32_SYSENTER_EIP", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0x0179, "IA32_MCG_CAP", Constant, kNoCheck, 0, 0},
    MsrRow{0x017a, "IA32_MCG_STATUS", Stored, kNoCheck, 0, 0x7},
    MsrRow{0x01a0, "IA32_MISC_ENABLE", Stored, kNoCheck, 1, kMiscEnableBits},
    MsrRow{0x01d9, "IA32_DEBUGCTL", Stored, kNoCheck, 0, 0x3},
    MsrRow{0x0277, "IA32_PAT", InCpu, MsrCheck::MemoryTypes, kPatReset, kAny},
    MsrRow{0x02ff, "IA32_MTRR_DEF_TYPE", Stored, kNoCheck, 0, 0xcff},
    MsrRow{0x06e0, "IA32_TSC_DEADLINE", Special, kNoCheck, 0, kAny},
    MsrRow{0xc000'0080, "IA32_EFER", Special, kNoCheck, 0,
           efer::kSyscall | efer::kLongMode | efer::kLongModeActive | efer::kNoExecute},
    MsrRow{0xc000'0081, "IA32_STAR", InCpu, kNoCheck, 0, kAny},
    MsrRow{0xc000'0082, "IA32_LSTAR", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0xc000'0083, "IA32_CSTAR", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0xc000'0084, "IA32_FMASK", InCpu, kNoCheck, 0, kLow32},
    MsrRow{0xc000'0100, "IA32_FS_BASE", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0xc000'0101, "IA32_GS_BASE", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0xc000'0102, "IA32_KERNEL_GS_BASE", InCpu, MsrCheck::Canonical, 0, kAny},
    MsrRow{0xc000'0103, "IA32_TSC_AUX", InCpu, kNoCheck, 0, kLow32},
};
// clang-format on

constexpr bool by_number(const MsrRow& a, const MsrRow& b) {
  return a.number < b.number;
}
static_assert(std::is_sorted(kTable.begin(), kTable.end(), by_number), "sorted by number");

bool is_canonical(std::uint64_t value) {
  return sign_extend(value, cpu_model::kLinearBits) == value;
}

/// UC WC WT WP WB UC- in every byte (SDM volume 3, 12.12.2).
bool are_memory_types(std::uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint64_t type = extract(value, 8 * i + 7, 8 * i);
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

bool is_acceptable(const MsrRow& row, std::uint64_t value) {
  if ((value & ~row.writable) != 0) return false;
  switch (row.check) {
    case MsrCheck::None:        return true;
    case MsrCheck::Canonical:   return is_canonical(value);
    case MsrCheck::MemoryTypes: return are_memory_types(value);
  }
  return false;
}

bool is_x2apic(std::uint32_t number) {
  return number >= msr::kX2ApicFirst && number <= msr::kX2ApicLast;
}

}  // namespace

std::span<const MsrRow> msr_table() {
  return kTable;
}

const MsrRow* find_msr(std::uint32_t number) {
  const auto* const row =
      std::lower_bound(kTable.begin(), kTable.end(), number,
                       [](const MsrRow& left, std::uint32_t right) { return left.number < right; });
  return row != kTable.end() && row->number == number ? row : nullptr;
}

MsrFile::MsrFile(Cpu& cpu, LocalApics& apics, std::uint32_t id, Clock& clock, Bus& mmio)
    : cpu_(cpu), apics_(apics), id_(id), clock_(clock), mmio_(mmio) {
  reset();
}

void MsrFile::reset() {
  tsc_adjust_ = 0;
  cpu_.set_tsc_offset(0);
  for (const MsrRow& row : kTable) {
    if (row.kind == Stored) stored(row) = row.reset;
    if (row.kind == InCpu && cpu_.has_msr(row.number)) cpu_.set_msr(row.number, row.reset);
  }
}

const MsrRow* MsrFile::row_of(std::uint32_t number) {
  if (found_ == nullptr || found_->number != number) found_ = find_msr(number);
  return found_;
}

std::uint64_t& MsrFile::stored(const MsrRow& row) {
  std::size_t place = 0;
  for (const MsrRow& other : kTable) {
    if (other.number == row.number) break;
    if (other.kind == Stored) ++place;
  }
  RETRAP_CHECK(place < stored_.size(), "there is a place for every stored register");
  return stored_[place];
}

MsrFile::Answer MsrFile::read(std::uint32_t number, std::uint64_t& value) {
  if (is_x2apic(number)) {
    const auto answer = apics_.read_msr(id_, number, clock_.now_ns());
    value = *answer;
    return answer ? Answer::Done : Answer::Fault;
  }
  const MsrRow* const row = row_of(number);
  if (row == nullptr) return Answer::Unknown;
  switch (row->kind) {
    case Constant:
    case Ignored:  value = row->reset; break;
    case Command:  return Answer::Fault;
    case Stored:   value = stored(*row); break;
    case InCpu:    value = cpu_.msr(number); break;
    case Special:  value = read_special(number); break;
  }
  return Answer::Done;
}

MsrFile::Answer MsrFile::write(std::uint32_t number, std::uint64_t value) {
  if (is_x2apic(number)) {
    const auto answer = apics_.write_msr(id_, number, value, clock_.now_ns());
    mmio_.sample(apics_);
    return answer ? Answer::Done : Answer::Fault;
  }
  const MsrRow* const row = row_of(number);
  if (row == nullptr) return Answer::Unknown;
  if (row->kind == Constant || !is_acceptable(*row, value)) return Answer::Fault;
  switch (row->kind) {
    case Constant:
    case Ignored:
    case Command:  break;
    case Stored:   stored(*row) = value; break;
    case InCpu:    cpu_.set_msr(number, value); break;
    case Special:  return write_special(number, value) ? Answer::Done : Answer::Fault;
  }
  return Answer::Done;
}

std::uint64_t MsrFile::read_special(std::uint32_t number) const {
  switch (number) {
    case msr::kTsc:         return clock_.now_ns() + cpu_.tsc_offset();
    case msr::kTscAdjust:   return tsc_adjust_;
    case msr::kApicBase:    return apics_.apic(id_).base();
    case msr::kTscDeadline: return apics_.apic(id_).tsc_deadline();
    default:                return cpu_.efer();
  }
}

bool MsrFile::write_special(std::uint32_t number, std::uint64_t value) {
  switch (number) {
    case msr::kTsc: {
      // A write of the TSC shows in TSC_ADJUST (SDM volume 3, 18.17.3).
      const std::uint64_t offset = value - clock_.now_ns();
      tsc_adjust_ += offset - cpu_.tsc_offset();
      move_tsc(offset);
      return true;
    }
    case msr::kTscAdjust:
      move_tsc(cpu_.tsc_offset() + (value - tsc_adjust_));
      tsc_adjust_ = value;
      return true;
    case msr::kApicBase: return write_apic_base(value);
    case msr::kTscDeadline:
      apics_.apic(id_).set_tsc_deadline(value, cpu_.tsc_offset(), clock_.now_ns());
      mmio_.sample(apics_);
      return true;
    default: return write_efer(value);
  }
}

void MsrFile::move_tsc(std::uint64_t offset) {
  cpu_.set_tsc_offset(offset);
  apics_.apic(id_).set_tsc_offset(offset, clock_.now_ns());
  mmio_.sample(apics_);
}

bool MsrFile::write_efer(std::uint64_t value) {
  constexpr std::uint64_t kPaging = bit(31);
  const std::uint64_t old = cpu_.efer();
  const bool changes_mode = ((value ^ old) & efer::kLongMode) != 0;
  if (changes_mode && (cpu_.cr0() & kPaging) != 0) return false;
  // LMA follows from LME and CR0.PG; what is written there does not count.
  cpu_.set_efer((value & ~efer::kLongModeActive) | (old & efer::kLongModeActive));
  return true;
}

bool MsrFile::write_apic_base(std::uint64_t value) {
  Lapic& own = apics_.apic(id_);
  const std::uint64_t flags = apic::kBaseBsp | apic::kBaseX2 | apic::kBaseEnable;
  // The page does not move: a board with fixed windows refuses what it cannot do.
  if ((value & ~flags) != apic::kBaseAddress) return false;
  if (((value ^ own.base()) & apic::kBaseBsp) != 0) return false;
  const bool enable = (value & apic::kBaseEnable) != 0;
  const bool x2 = (value & apic::kBaseX2) != 0;
  // Figure 11-27: x2APIC needs the APIC on, and is left only by switching it off.
  if (x2 && !enable) return false;
  if (own.is_x2() && enable && !x2) return false;
  if (!own.is_enabled() && x2) return false;
  own.set_base(value);
  mmio_.sample(apics_);
  return true;
}

void MsrFile::add_registers(std::vector<NamedRegister>& into) const {
  std::size_t place = 0;
  for (const MsrRow& row : kTable) {
    if (row.kind == Stored) into.push_back({row.name, stored_[place++]});
    if (row.kind == Special && row.number != msr::kEfer) {
      into.push_back({row.name, read_special(row.number)});
    }
  }
}

void MsrFile::digest(Digest& into) const {
  into.add(tsc_adjust_);
  into.add(cpu_.tsc_offset());
  for (const std::uint64_t value : stored_) into.add(value);
}

}  // namespace retrap::x86_64
