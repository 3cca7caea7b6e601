// Replay of the guest alone: the trace says what devices said.
#include "sim/replay.h"

namespace retrap {

Result<> Replayer::without_devices() {
  if (!compares_events_) {
    return fail(ErrorCode::Unsupported,
                "{}: holds inputs only; record with --record exits to replay the guest alone",
                trace_.name());
  }
  without_devices_ = true;
  for (std::size_t i = 0; i < machine_.vm_num(); ++i) {
    take_devices_away(machine_.vm(i), /*use_memory=*/false, *this, taken_);
  }
  return {};
}

void Replayer::apply_device_lines() {
  while (!is_over() && fetch()) {
    const auto* const line = std::get_if<traces::InjectionRecord>(&head_);
    if (line == nullptr || line->retired > machine_.clock().retired()) return;
    const auto level = device_level(line->change);
    if (!level) return;
    for (std::size_t i = 0; i < machine_.vm_num(); ++i) {
      if (machine_.vm(i).id() != line->vm) continue;
      machine_.vm(i).board().interrupts().set_line(static_cast<std::uint32_t>(line->vector),
                                                   *level);
    }
    ++events_;
    history_.add(head_, cursor_.exits() == 0 ? 0 : cursor_.exits() - 1);
    has_head_ = false;
  }
}

void Replayer::on_device_access() {
  apply_device_lines();
}

std::uint64_t Replayer::recorded_answer() {
  if (is_over() || !fetch()) return 0;
  const auto* const answer = std::get_if<traces::AnswerRecord>(&head_);
  return answer == nullptr ? 0 : answer->value;
}

bool Replayer::is_compared(traces::Part part) const {
  if (!without_devices_) return true;
  return part == traces::Part::Clock || part == traces::Part::Registers ||
         part == traces::Part::Memory || part == traces::Part::Ram || part == traces::Part::Board;
}

}  // namespace retrap
