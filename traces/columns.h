// The layer Exits in columns: what is alike is side by side, so that it compresses well.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "traces/events.h"
#include "traces/varint.h"

namespace retrap::traces {

/// The columns of a block, in the order of traces/FORMAT.md.
enum class Column : std::uint8_t {
  Tag,
  Place,
  Retired,
  Idle,
  PcCode,
  PcSlot,
  PcNew,
  Address,
  Value,
  Small
};
inline constexpr std::size_t kColumns = 10;

/// Tags above those of exits. An injection has one for each LineChange.
inline constexpr std::uint8_t kAnswerTag = 32;
inline constexpr std::uint8_t kInjectionTag = 33;
inline constexpr std::uint8_t kLastInjectionTag =
    kInjectionTag + static_cast<std::uint8_t>(LineChange::Deliver);

/// What writer and reader both remember within one block. Every block begins with it empty.
class ColumnState {
 public:
  /// Begins a block at this instruction count and skipped time.
  void begin(std::uint64_t retired, std::uint64_t idle_ns);

  static constexpr std::size_t kSlots = 4096;
  [[nodiscard]] static std::size_t slot_of(std::uint64_t pc) {
    return static_cast<std::size_t>((pc * 0x9e37'79b9'7f4a'7c15) >> 52);
  }

  std::uint64_t retired = 0;
  std::uint64_t idle_ns = 0;
  std::uint64_t place = 0;
  std::uint64_t last_new_pc = 0;
  std::size_t last_slot = 0;
  std::array<std::uint64_t, kExitKinds> last_address{};
  std::array<std::uint64_t, kSlots> pcs{};
  std::array<std::uint16_t, kSlots> next_slot{};
};

/// Appends events to columns. Allocates only when they are made, and beyond kRoom bytes.
class ColumnWriter {
 public:
  ColumnWriter();

  /// Forgets all events and begins a block.
  void begin(std::uint64_t retired, std::uint64_t idle_ns);
  /// retired and idle_ns never go back.
  void add(const ExitRecord& exit);
  void add(const AnswerRecord& answer);
  void add(const InjectionRecord& injection);

  [[nodiscard]] std::size_t events() const { return of(Column::Tag).size(); }
  [[nodiscard]] std::uint64_t exits() const { return exits_; }
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t first_retired() const { return first_retired_; }
  [[nodiscard]] std::uint64_t last_retired() const { return state_->retired; }
  [[nodiscard]] std::uint64_t last_idle_ns() const { return state_->idle_ns; }

  /// Writes the payload of the block over `into`.
  void payload(ByteVector& into) const;

 private:
  static constexpr std::size_t kRoom = std::size_t{1} << 17;
  [[nodiscard]] ByteVector& of(Column column) { return columns_[static_cast<std::size_t>(column)]; }
  [[nodiscard]] const ByteVector& of(Column column) const {
    return columns_[static_cast<std::size_t>(column)];
  }
  void add_place(VmId vm, VcpuId vcpu);
  void add_time(std::uint64_t retired);
  void add_pc(std::uint64_t pc);

  std::array<ByteVector, kColumns> columns_;
  std::unique_ptr<ColumnState> state_;
  std::uint64_t first_retired_ = 0;
  std::uint64_t first_idle_ns_ = 0;
  std::uint64_t exits_ = 0;
};

/// Takes events off a payload, one after the other. A payload that is not what ColumnWriter writes
/// gives false, and a reason.
class ColumnReader {
 public:
  ColumnReader();

  /// `payload` outlives this, or the next begin().
  [[nodiscard]] bool begin(ConstBytes payload);
  /// False at the end, and where something is wrong: then problem() is not empty.
  [[nodiscard]] bool next(Event& event);
  [[nodiscard]] std::string_view problem() const { return problem_; }
  /// The tag of a later program that is the problem; else nothing.
  [[nodiscard]] std::optional<std::uint8_t> unknown_tag() const { return unknown_tag_; }

 private:
  [[nodiscard]] ByteSource& of(Column column) { return sources_[static_cast<std::size_t>(column)]; }
  [[nodiscard]] bool fail(std::string_view problem);
  [[nodiscard]] bool check();
  // Each takes one field; false, with the reason, where it can be none.
  [[nodiscard]] bool place(VmId& vm, VcpuId& vcpu);
  [[nodiscard]] bool time(std::uint64_t& retired);
  [[nodiscard]] bool idle(std::uint64_t& idle_ns);
  [[nodiscard]] bool pc(std::uint64_t& pc);
  [[nodiscard]] bool exit(std::size_t kind, ExitRecord& exit);

  std::array<ByteSource, kColumns> sources_;
  std::unique_ptr<ColumnState> state_;
  std::string_view problem_;
  std::optional<std::uint8_t> unknown_tag_;
};

}  // namespace retrap::traces
