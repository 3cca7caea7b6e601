// The channel hypercalls: slots in guest memory are checked first, so that nothing is undone.
#include "vmm/ivc_calls.h"

#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr std::uint64_t kPublish = 3;
constexpr std::uint64_t kSubscribe = 4;
constexpr std::uint64_t kUnpublish = 5;
constexpr std::uint64_t kUnsubscribe = 6;
constexpr std::uint64_t kNotify = 7;

IvcAnswer answer(const IvcResult<>& result) {
  return {.value = result ? 0 : answer_of(result.error())};
}

/// The two words that a call gives back.
struct Slots {
  GuestPhys base;
  GuestPhys size;
};

/// The word at `at`, which the guest may write; it has a frame afterwards.
IvcResult<std::uint64_t> probe(Vm& vm, GuestPhys at) {
  AddressSpace& memory = vm.memory();
  for (const std::uint64_t byte : {std::uint64_t{0}, sizeof(std::uint64_t) - 1}) {
    const auto place = at.checked_add(byte);
    const Region* const region = place ? memory.find(*place) : nullptr;
    const bool ours = region != nullptr && allows(region->flags, MappingFlags::Write) &&
                      !allows(region->flags, MappingFlags::Device);
    if (!ours) return tl::unexpected(IvcError::BadAddress);
  }
  const auto word = memory.load<std::uint64_t>(at);
  if (!word) return tl::unexpected(IvcError::BadAddress);
  if (!memory.store(at, *word)) return tl::unexpected(IvcError::NoMemory);
  return *word;
}

IvcResult<> give_back(Vm& vm, const Slots& slots, GuestRange range) {
  const auto base = vm.write_to_guest_of(slots.base, range.base().raw());
  const auto size = vm.write_to_guest_of(slots.size, range.size());
  RETRAP_CHECK(base && size, "slots that were probed take their words");
  return {};
}

IvcResult<> publish(IvcChannels& channels, Vm& vm, const exits::Hypercall& call) {
  const Slots slots{.base = GuestPhys(call.args[1]), .size = GuestPhys(call.args[2])};
  RETRAP_TRY([[maybe_unused]] const std::uint64_t base, probe(vm, slots.base));
  RETRAP_TRY(const std::uint64_t wanted, probe(vm, slots.size));
  RETRAP_TRY(const GuestRange range, channels.publish(vm, call.args[0], wanted));
  return give_back(vm, slots, range);
}

IvcResult<> subscribe(IvcChannels& channels, Vm& vm, const exits::Hypercall& call) {
  const Slots slots{.base = GuestPhys(call.args[2]), .size = GuestPhys(call.args[3])};
  RETRAP_TRY([[maybe_unused]] const std::uint64_t base, probe(vm, slots.base));
  RETRAP_TRY([[maybe_unused]] const std::uint64_t size, probe(vm, slots.size));
  RETRAP_TRY(const GuestRange range, channels.subscribe(vm, call.args[0], call.args[1]));
  return give_back(vm, slots, range);
}

}  // namespace

IvcAnswer answer_ivc_call(IvcChannels& channels, Vm& vm, const exits::Hypercall& call) {
  const auto& args = call.args;
  switch (call.nr) {
    case kPublish:     return answer(publish(channels, vm, call));
    case kSubscribe:   return answer(subscribe(channels, vm, call));
    case kUnpublish:   return answer(channels.unpublish(vm, args[0]));
    case kUnsubscribe: return answer(channels.unsubscribe(vm, args[0], args[1]));
    case kNotify:      {
      const auto target = channels.connects(vm, args[0], args[1], args[2]);
      if (!target) return {.value = answer_of(target.error())};
      return {.value = 0, .notify = IvcNotification{.target = *target}};
    }
    default: break;
  }
  RETRAP_CHECK(false, "hypercall {} is none of the channels'", call.nr);
  return {};
}

IvcResult<> pulse_ivc_line(Vm& target) {
  const auto line = ivc_line_of(target.config());
  if (!line) return tl::unexpected(IvcError::NoLine);
  target.board().interrupts().pulse(*line);
  return {};
}

}  // namespace retrap
