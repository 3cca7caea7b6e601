// The forms that the CPU executes itself, on scratch pages in place of the device.
#include <algorithm>

#include "arch/x86_64/emulate.h"
#include "vmm/base/bits.h"
#include "vmm/base/bytes.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kPage = 4096;

/// No instruction that is executed on scratch pages touches more pages than this.
constexpr unsigned kMostPages = 4;

}  // namespace

/// The pages of one operand (two where it crosses), zeroed.
class Emulator::Scratch {
 public:
  explicit Scratch(const Operand& operand) {
    for (const Piece& piece : operand.pieces()) (void)page_of(piece.gpa);
  }

  [[nodiscard]] std::span<std::byte> bytes_of(const Piece& piece) {
    return page_of(piece.gpa).subspan(piece.gpa.raw() % kPage, bytes(piece.width));
  }

  [[nodiscard]] std::array<ScratchPage, 2> pages() {
    return {ScratchPage{pages_[0], std::span(memory_[0])},
            ScratchPage{pages_[1], std::span(memory_[1])}};
  }
  [[nodiscard]] std::size_t count() const { return count_; }

  /// A page where neither memory nor a device answers reads as all ones. False: there is no room.
  [[nodiscard]] bool add_hole(GuestPhys at, AddressSpace& memory) {
    if (count_ == pages_.size()) return false;
    const auto bytes = page_of(at);
    std::ranges::fill(bytes, std::byte{0xff});
    (void)memory.read(at.align_down(kPage), bytes);  // it may be there, and not writable
    return true;
  }

 private:
  [[nodiscard]] std::span<std::byte, kPage> page_of(GuestPhys at) {
    const GuestPhys page = at.align_down(kPage);
    for (std::size_t i = 0; i < count_; ++i) {
      if (pages_[i] == page) return memory_[i];
    }
    const std::size_t fresh = std::min<std::size_t>(count_, 1);
    pages_[fresh] = page;
    count_ = fresh + 1;
    return memory_[fresh];
  }

  std::array<GuestPhys, 2> pages_{};
  std::array<std::array<std::byte, kPage>, 2> memory_{};
  std::size_t count_ = 0;
};

namespace {

/// Packed SSE arithmetic reads 16 bytes, of which the hardware shows the first 8: the 0f and 0f 38
/// and 0f 3a maps with 66, and the PS forms without a prefix.
bool is_packed_sse(std::span<const std::uint8_t> code) {
  bool has_66 = false;
  std::size_t i = 0;
  for (; i < code.size(); ++i) {
    const std::uint8_t byte = code[i];
    if (byte == 0xf2 || byte == 0xf3) return false;
    if (byte == 0x66) has_66 = true;
    const bool prefix = byte == 0x66 || byte == 0x67 || (byte & 0xf0) == 0x40 || byte == 0x64 ||
                        byte == 0x65 || byte == 0x2e || byte == 0x36 || byte == 0x3e;
    if (!prefix) break;
  }
  if (i + 1 >= code.size() || code[i] != 0x0f) return false;
  const std::uint8_t opcode = code[i + 1];
  const bool packed_single = (opcode >= 0x51 && opcode <= 0x5f) || opcode == 0x14 ||
                             opcode == 0x15 || opcode == 0xc2 || opcode == 0xc6;
  return has_66 || packed_single;
}

/// Forms that read their operand, change it and write it back, and that no table row describes:
/// shifts, rotations, bit tests that set. The hardware reports them as writes.
bool is_read_modify_write(std::span<const std::uint8_t> code) {
  std::size_t i = 0;
  const auto is_prefix = [](std::uint8_t byte) {
    return byte == 0x66 || byte == 0x67 || (byte & 0xf0) == 0x40 || (byte & 0xfe) == 0x64 ||
           (byte & 0xe7) == 0x26 || byte == 0xf0 || (byte & 0xfe) == 0xf2;
  };
  while (i < code.size() && is_prefix(code[i])) ++i;
  if (i + 1 >= code.size()) return false;
  const std::uint8_t opcode = code[i];
  if (opcode != 0x0f) return (opcode & 0xfe) == 0xc0 || (opcode & 0xfc) == 0xd0;
  const std::uint8_t second = code[i + 1];
  return (second & 0xf6) == 0xa4 || second == 0xab || second == 0xb3 || second == 0xba ||
         second == 0xbb;
}

}  // namespace

Emulated Emulator::unknown_form(const RawExit& exit) {
  if (exit.size == 0) return Emulated::Unknown;
  std::array<std::uint8_t, 15> code{};
  const std::size_t size = cpu_.fetch(code);
  unsigned bytes = std::min<unsigned>(exit.size, Operand::kMostBytes);
  if (bytes == 8 && exit.linear % 16 == 0 && is_packed_sse(std::span(code).first(size))) bytes = 16;
  const bool stores = (exit.info1 & npf::kWrite) != 0;
  const bool reads = !stores || is_read_modify_write(std::span(code).first(size));
  return on_scratch(exit.linear, bytes, SegmentName::Ds, reads, stores);
}

Completion Emulator::complete_on(Scratch& scratch) {
  const auto pages = scratch.pages();
  return cpu_.complete_on(std::span(pages).first(scratch.count()));
}

// The CPU shows the first access of an operand, not how far it reaches: FSAVE begins with two bytes
// and goes on into the next page. Where nothing is there either, the monitor would come back with
// that page alone, and then with the first one again, for ever.
bool Emulator::reach_further(Scratch& scratch) {
  const RawExit& exit = cpu_.last_exit();
  if (memory_ == nullptr || (exit.info1 & npf::kGuestTable) != 0) return false;
  const GuestPhys at(exit.info2);
  const bool writes = (exit.info1 & npf::kWrite) != 0;
  const auto access = writes ? MappingFlags::Write : MappingFlags::Read;
  if (memory_->handle_fault(at, access) == FaultOutcome::Populated) return true;
  return scratch.add_hole(at, *memory_);
}

Emulated Emulator::on_scratch(std::uint64_t linear, unsigned bytes, SegmentName segment, bool reads,
                              bool writes) {
  Operand operand;
  const Access access = writes ? Access::Write : Access::Read;
  if (!locate(linear, bytes, access, segment, operand)) return why_not();
  Scratch scratch(operand);
  std::array<std::uint64_t, Operand::kMostBytes> before{};
  for (std::size_t i = 0; reads && i < operand.count; ++i) {
    const Piece& piece = operand.storage[i];
    std::uint64_t value = 0;
    if (!port_.read({.addr = piece.gpa, .width = piece.width}, value)) return Emulated::NoAccess;
    before[i] = truncate(value, piece.width);
    (void)store_le(scratch.bytes_of(piece), 0, piece.width, before[i]);
  }
  Completion done = complete_on(scratch);
  for (unsigned i = 0; i < kMostPages && done == Completion::NestedFault; ++i) {
    if (!reach_further(scratch)) break;
    done = complete_on(scratch);
  }
  switch (done) {
    case Completion::Retired:   break;
    case Completion::Exception: return Emulated::GuestFault;
    case Completion::NestedFault:
      fault_ = OperandFault{.kind = OperandFault::Kind::Nested,
                            .gpa = GuestPhys(cpu_.last_exit().info2),
                            .info1 = cpu_.last_exit().info1};
      return Emulated::NestedFault;
    case Completion::Intercepted: return Emulated::Unknown;
  }
  // A form that reads and writes shows as a read: what has changed goes back to the device.
  for (std::size_t i = 0; i < operand.count; ++i) {
    const Piece& piece = operand.storage[i];
    const std::uint64_t after = load_le(scratch.bytes_of(piece), 0, piece.width).value_or(0);
    if (!writes && after == before[i]) continue;
    // The instruction is done: a refusal now cannot take it back, and the write is lost.
    (void)port_.write({.addr = piece.gpa, .width = piece.width, .data = after});
  }
  return Emulated::Retired;
}

}  // namespace retrap::x86_64
