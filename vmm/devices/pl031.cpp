// PL031: the register table of DDI 0224C, table 3-1, and when the counter meets its match.
#include "vmm/devices/pl031.h"

namespace retrap {
namespace {

// APB registers of 32 bits.
constexpr WidthRule kClockWidths{.narrowest = Width::Word, .widest = Width::Word};

}  // namespace

// clang-format off
constexpr std::array<Register<Pl031>, 16> Pl031::kRegisters = {{
    {0x000, "RTCDR",        &Pl031::read_data,     nullptr},
    {0x004, "RTCMR",        &Pl031::read_match,    &Pl031::write_match},
    {0x008, "RTCLR",        &Pl031::read_load,     &Pl031::write_load},
    {0x00c, "RTCCR",        &Pl031::read_control,  &Pl031::write_control},
    {0x010, "RTCIMSC",      &Pl031::read_mask,     &Pl031::write_mask},
    {0x014, "RTCRIS",       &Pl031::read_raw,      nullptr},
    {0x018, "RTCMIS",       &Pl031::read_masked,   nullptr},
    {0x01c, "RTCICR",       nullptr,               &Pl031::write_clear},
    {0xfe0, "RTCPeriphID0", &Pl031::read_id<0x31>, nullptr},
    {0xfe4, "RTCPeriphID1", &Pl031::read_id<0x10>, nullptr},
    {0xfe8, "RTCPeriphID2", &Pl031::read_id<0x14>, nullptr},
    {0xfec, "RTCPeriphID3", &Pl031::read_id<0x00>, nullptr},
    {0xff0, "RTCPCellID0",  &Pl031::read_id<0x0d>, nullptr},
    {0xff4, "RTCPCellID1",  &Pl031::read_id<0xf0>, nullptr},
    {0xff8, "RTCPCellID2",  &Pl031::read_id<0x05>, nullptr},
    {0xffc, "RTCPCellID3",  &Pl031::read_id<0xb1>, nullptr},
}};
// clang-format on

IoResult<std::uint64_t> Pl031::read(const Access& access) {
  static_assert(is_sorted(kRegisters));
  advance(access.now_ns);
  return read_register(*this, kRegisters, access, kClockWidths);
}

IoResult<> Pl031::write(const Access& access, std::uint64_t value) {
  advance(access.now_ns);
  return write_register(*this, kRegisters, access, value, kClockWidths);
}

std::uint64_t Pl031::deadline_ns() const {
  return state_.mask != 0 && state_.raw == 0 ? state_.match_ns : kNever;
}

void Pl031::advance(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  if (state_.match_ns > now_ns) return;
  state_.raw = 1;
  look_for_match();
}

std::uint32_t Pl031::counter() const {
  return static_cast<std::uint32_t>(now_ns_ / kNsPerSecond + state_.offset);
}

// The interrupt comes when the two become equal (2.1), not for as long as they are: the next one is
// a turn of the counter later.
void Pl031::look_for_match() {
  std::uint64_t seconds = static_cast<std::uint32_t>(state_.match - counter());
  if (seconds == 0) {
    state_.raw = 1;
    seconds = std::uint64_t{1} << 32;
  }
  const std::uint64_t second_ns = now_ns_ - now_ns_ % kNsPerSecond;
  state_.match_ns = time_after(second_ns, seconds * kNsPerSecond);
}

void Pl031::write_match(std::uint64_t value) {
  state_.match = static_cast<std::uint32_t>(value);
  look_for_match();
}

void Pl031::write_load(std::uint64_t value) {
  state_.load = static_cast<std::uint32_t>(value);
  state_.offset += state_.load - counter();
  look_for_match();
}

void Pl031::digest(Digest& into) const {
  for (const std::uint32_t word :
       {state_.offset, state_.match, state_.load, state_.mask, state_.raw}) {
    into.add(word);
  }
  into.add(state_.match_ns);
}

}  // namespace retrap
