// The channel hypercalls as guests make them: numbers and pointers in registers.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/ivc.h"

namespace retrap {

/// Where a notification goes.
struct IvcNotification {
  Vm* target;  ///< takes part in the channel and has not ended; never null
};

/// What a channel call comes to.
struct IvcAnswer {
  std::uint64_t value;  ///< for the return register: 0, or an IvcError
  std::optional<IvcNotification> notify = std::nullopt;
};

/// Hypercalls 3 to 7 of axvm. Arguments: 3 publish (key, slot of the base, slot of the size);
/// 4 subscribe (publisher, key, slot of the base, slot of the size); 5 unpublish (key);
/// 6 unsubscribe (publisher, key); 7 notify (publisher, key, target). A slot is the guest-physical
/// address of a 64-bit word, at any alignment, that the guest itself may write: the size that is
/// wanted goes in (publish), base and size of what was mapped come out.
///
/// Where a call is refused, nothing has changed. Where it gives a notification, the caller delivers
/// it. `call.nr` is 3 to 7.
[[nodiscard]] IvcAnswer answer_ivc_call(IvcChannels& channels, Vm& vm,
                                        const exits::Hypercall& call);

/// The line of an interrupt that says "look at your channels": pulses it. NoLine where the
/// configuration of `target` names none.
[[nodiscard]] IvcResult<> pulse_ivc_line(Vm& target);

/// The value of the return register.
[[nodiscard]] constexpr std::uint64_t answer_of(IvcError error) {
  return static_cast<std::uint64_t>(error);
}

}  // namespace retrap
