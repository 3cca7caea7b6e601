// How events become columns, and columns events.
#include "traces/columns.h"

namespace retrap::traces {
namespace {

/// How a program counter is written.
enum PcCode : std::uint8_t { kPredicted = 0, kKnownSlot = 1, kNew = 2 };

constexpr unsigned kVcpuBits = 6;
static_assert(kMaxVcpus <= 1U << kVcpuBits);

}  // namespace

void ColumnState::begin(std::uint64_t first_retired, std::uint64_t first_idle_ns) {
  *this = {};
  retired = first_retired;
  idle_ns = first_idle_ns;
}

ColumnWriter::ColumnWriter() : state_(std::make_unique<ColumnState>()) {
  for (ByteVector& column : columns_) column.reserve(kRoom);
}

void ColumnWriter::begin(std::uint64_t retired, std::uint64_t idle_ns) {
  for (ByteVector& column : columns_) column.clear();
  state_->begin(retired, idle_ns);
  first_retired_ = retired;
  first_idle_ns_ = idle_ns;
  exits_ = 0;
}

std::size_t ColumnWriter::size() const {
  std::size_t sum = 0;
  for (const ByteVector& column : columns_) sum += column.size();
  return sum;
}

void ColumnWriter::add_place(VmId vm, VcpuId vcpu) {
  const std::uint64_t place = (std::uint64_t{index(vm)} << kVcpuBits | index(vcpu)) + 1;
  append_varint(of(Column::Place), place == state_->place ? 0 : place);
  state_->place = place;
}

void ColumnWriter::add_time(std::uint64_t retired) {
  append_varint(of(Column::Retired), retired - state_->retired);
  state_->retired = retired;
}

void ColumnWriter::add_pc(std::uint64_t pc) {
  ColumnState& state = *state_;
  const std::size_t slot = ColumnState::slot_of(pc);
  if (state.pcs[slot] != pc) {
    append_byte(of(Column::PcCode), kNew);
    append_varint(of(Column::PcNew), zigzag(pc - state.last_new_pc));
    state.pcs[slot] = pc;
    state.last_new_pc = pc;
  } else if (state.next_slot[state.last_slot] == slot) {
    append_byte(of(Column::PcCode), kPredicted);
  } else {
    append_byte(of(Column::PcCode), kKnownSlot);
    append_le(of(Column::PcSlot), static_cast<std::uint16_t>(slot));
  }
  state.next_slot[state.last_slot] = static_cast<std::uint16_t>(slot);
  state.last_slot = slot;
}

void ColumnWriter::add(const ExitRecord& exit) {
  ColumnState& state = *state_;
  const std::size_t kind = exit.reason.index();
  append_byte(of(Column::Tag), kind);
  add_place(exit.vm, exit.vcpu);
  add_time(exit.retired);
  append_varint(of(Column::Idle), exit.idle_ns - state.idle_ns);
  state.idle_ns = exit.idle_ns;
  add_pc(exit.pc);
  const FieldValues values = values_of(exit.reason);
  const auto rows = fields_of(kind);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    switch (rows[i].column) {
      case FieldColumn::Address:
        append_varint(of(Column::Address), zigzag(values[i] - state.last_address[kind]));
        state.last_address[kind] = values[i];
        break;
      case FieldColumn::Value: append_varint(of(Column::Value), values[i]); break;
      case FieldColumn::Small: append_varint(of(Column::Small), values[i]); break;
    }
  }
  ++exits_;
}

void ColumnWriter::add(const AnswerRecord& answer) {
  append_byte(of(Column::Tag), kAnswerTag);
  add_place(answer.vm, answer.vcpu);
  append_varint(of(Column::Value), answer.value);
}

void ColumnWriter::add(const InjectionRecord& injection) {
  append_byte(of(Column::Tag), kInjectionTag + static_cast<std::uint64_t>(injection.change));
  add_place(injection.vm, injection.vcpu);
  add_time(injection.retired);
  append_varint(of(Column::Value), injection.vector);
}

void ColumnWriter::payload(ByteVector& into) const {
  into.clear();
  append_varint(into, first_retired_);
  append_varint(into, first_idle_ns_);
  for (const ByteVector& column : columns_) append_varint(into, column.size());
  for (const ByteVector& column : columns_) append_bytes(into, column);
}

ColumnReader::ColumnReader() : state_(std::make_unique<ColumnState>()) {}

bool ColumnReader::fail(std::string_view problem) {
  problem_ = problem;
  return false;
}

bool ColumnReader::begin(ConstBytes payload) {
  problem_ = {};
  unknown_tag_.reset();
  ByteSource source(payload);
  const std::uint64_t retired = source.varint();
  state_->begin(retired, source.varint());
  std::array<std::uint64_t, kColumns> sizes{};
  for (std::uint64_t& size : sizes) size = source.varint();
  for (std::size_t i = 0; i < kColumns; ++i) sources_[i] = ByteSource(source.bytes(sizes[i]));
  if (!source.good() || !source.at_end()) return fail("its columns do not fill it");
  return true;
}

bool ColumnReader::place(VmId& vm, VcpuId& vcpu) {
  constexpr std::uint64_t kPlaces = std::uint64_t{1} << (32 + kVcpuBits);
  const std::uint64_t written = of(Column::Place).varint();
  if (written > kPlaces) return fail("an event has a VM number of more than 32 bits");
  if (written != 0) state_->place = written;
  if (state_->place == 0) return fail("the first event does not say of which vCPU it is");
  const std::uint64_t place = state_->place - 1;
  vm = VmId{static_cast<std::uint32_t>(place >> kVcpuBits)};
  vcpu = VcpuId{static_cast<std::uint32_t>(place & (kMaxVcpus - 1))};
  return true;
}

bool ColumnReader::time(std::uint64_t& retired) {
  const std::uint64_t more = of(Column::Retired).varint();
  if (more > ~state_->retired) return fail("an instruction count is beyond 64 bits");
  retired = state_->retired += more;
  return true;
}

bool ColumnReader::idle(std::uint64_t& idle_ns) {
  const std::uint64_t more = of(Column::Idle).varint();
  if (more > ~state_->idle_ns) return fail("a skipped time is beyond 64 bits");
  idle_ns = state_->idle_ns += more;
  return true;
}

bool ColumnReader::pc(std::uint64_t& pc) {
  ColumnState& state = *state_;
  std::size_t slot = 0;
  switch (of(Column::PcCode).byte()) {
    case kPredicted: slot = state.next_slot[state.last_slot]; break;
    case kKnownSlot:
      slot = of(Column::PcSlot).le<std::uint16_t>();
      if (slot >= ColumnState::kSlots) return fail("a program counter is of a slot that is none");
      break;
    case kNew:
      state.last_new_pc += unzigzag(of(Column::PcNew).varint());
      slot = ColumnState::slot_of(state.last_new_pc);
      state.pcs[slot] = state.last_new_pc;
      break;
    default: return fail("a program counter is written in no known way");
  }
  state.next_slot[state.last_slot] = static_cast<std::uint16_t>(slot);
  state.last_slot = slot;
  pc = state.pcs[slot];
  return true;
}

bool ColumnReader::exit(std::size_t kind, ExitRecord& exit) {
  ColumnState& state = *state_;
  if (!place(exit.vm, exit.vcpu) || !time(exit.retired) || !idle(exit.idle_ns) || !pc(exit.pc)) {
    return false;
  }
  FieldValues values{};
  const auto rows = fields_of(kind);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    switch (rows[i].column) {
      case FieldColumn::Address:
        state.last_address[kind] += unzigzag(of(Column::Address).varint());
        values[i] = state.last_address[kind];
        break;
      case FieldColumn::Value: values[i] = of(Column::Value).varint(); break;
      case FieldColumn::Small: values[i] = of(Column::Small).varint(); break;
    }
  }
  const auto reason = exit_of(kind, values);
  if (!reason) return fail("an exit has a field out of range");
  exit.reason = *reason;
  return true;
}

bool ColumnReader::check() {
  for (const ByteSource& source : sources_) {
    if (!source.good()) return fail("a column ends too early");
  }
  return true;
}

bool ColumnReader::next(Event& event) {
  if (of(Column::Tag).at_end() || !problem_.empty()) {
    if (!problem_.empty()) return false;
    for (const ByteSource& source : sources_) {
      if (!source.at_end()) return fail("a column is longer than its events");
    }
    return false;
  }
  const std::uint8_t tag = of(Column::Tag).byte();
  if (tag < kExitKinds) {
    auto* exit = std::get_if<ExitRecord>(&event);
    if (exit == nullptr) exit = &event.emplace<ExitRecord>();
    return this->exit(tag, *exit) && check();
  }
  if (tag == kAnswerTag) {
    auto& answer = event.emplace<AnswerRecord>();
    if (!place(answer.vm, answer.vcpu)) return false;
    answer.value = of(Column::Value).varint();
    return check();
  }
  if (tag >= kInjectionTag && tag <= kLastInjectionTag) {
    auto& injection = event.emplace<InjectionRecord>();
    if (!place(injection.vm, injection.vcpu) || !time(injection.retired)) return false;
    injection.vector = of(Column::Value).varint();
    injection.change = static_cast<LineChange>(tag - kInjectionTag);
    return check();
  }
  unknown_tag_ = tag;
  return fail("an event is of no known kind");
}

}  // namespace retrap::traces
