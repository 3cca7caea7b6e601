// Inter-VM channels: who has which, and whose frames they are.
#include "vmm/ivc.h"

#include <algorithm>
#include <array>

#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr MappingFlags kChannelFlags = MappingFlags::Read | MappingFlags::Write;

IvcError error_of(const Error& error) {
  return error.code == ErrorCode::NoMemory ? IvcError::NoMemory : IvcError::InvalidInput;
}

}  // namespace

IvcChannels::~IvcChannels() {
  for (const Channel& channel : channels_) channel.frames->release(channel.host, channel.size);
}

bool IvcChannels::has(const Channel& channel, const Vm& vm) {
  return std::ranges::any_of(channel.participants,
                             [&](const Participant& other) { return other.vm == &vm; });
}

IvcChannels::Channels::iterator IvcChannels::open(std::uint64_t publisher, std::uint64_t key) {
  return std::ranges::find_if(channels_, [&](const Channel& channel) {
    return channel.published && index(channel.publisher) == publisher && channel.key == key;
  });
}

IvcChannels::Channels::const_iterator IvcChannels::joined(const Vm& vm, std::uint64_t publisher,
                                                          std::uint64_t key) const {
  return std::ranges::find_if(channels_, [&](const Channel& channel) {
    return index(channel.publisher) == publisher && channel.key == key && has(channel, vm);
  });
}

bool IvcChannels::exists(std::uint64_t publisher, std::uint64_t key) const {
  return std::ranges::any_of(channels_, [&](const Channel& channel) {
    return index(channel.publisher) == publisher && channel.key == key;
  });
}

// The mapping holds the frames too: they live until the last of both has gone.
IvcResult<GuestRange> IvcChannels::join(Vm& vm, Channel& channel) {
  const auto range = vm.alloc_ivc_channel(channel.size);
  if (!range) return tl::unexpected(error_of(range.error()));
  const auto mapped = vm.memory().map_linear(
      range->base(), channel.host, channel.size, kChannelFlags,
      fmt::format("ivc channel {}:{:#x}", index(channel.publisher), channel.key));
  if (!mapped) {
    const auto released = vm.release_ivc_channel(range->base(), range->size());
    RETRAP_CHECK(released.has_value(), "what was just given out is taken back");
    return tl::unexpected(error_of(mapped.error()));
  }
  channel.participants.push_back({.vm = &vm, .gpa = range->base()});
  return *range;
}

// Where the VM is destroyed or was reset, its window and its mappings have gone before.
void IvcChannels::leave(Vm& vm, Channel& channel) {
  const auto who = std::ranges::find(channel.participants, &vm, &Participant::vm);
  RETRAP_CHECK(who != channel.participants.end(), "only a participant leaves");
  if (vm.release_ivc_channel(who->gpa, channel.size)) {
    // The embedder may have unmapped it.
    (void)vm.memory().unmap(who->gpa, channel.size);
  }
  channel.participants.erase(who);
}

void IvcChannels::erase_unused() {
  std::erase_if(channels_, [](const Channel& channel) {
    if (!channel.participants.empty()) return false;
    channel.frames->release(channel.host, channel.size);
    return true;
  });
}

IvcResult<GuestRange> IvcChannels::publish(Vm& vm, std::uint64_t key, std::uint64_t size) {
  if (joined(vm, index(vm.id()), key) != channels_.end()) {
    return tl::unexpected(IvcError::Exists);
  }
  const auto& window = vm.ivc_window().range();
  if (!window || size == 0) return tl::unexpected(IvcError::InvalidInput);
  // The window bounds what a guest can ask for.
  if (size > window->size()) return tl::unexpected(IvcError::NoMemory);
  const auto host = vm.frames().allocate(size, kPageSize, {.vm = kOwner, .use = FrameUse::Shared});
  if (!host) return tl::unexpected(error_of(host.error()));
  const std::uint64_t rounded = (size + kPageSize - 1) / kPageSize * kPageSize;
  Channel channel{.publisher = vm.id(),
                  .key = key,
                  .frames = &vm.frames(),
                  .host = *host,
                  .size = rounded,
                  .published = true,
                  .participants = {}};
  const auto range = join(vm, channel);
  if (!range) {
    vm.frames().release(*host, rounded);
    return range;
  }
  const std::array<std::uint64_t, 2> name = {index(vm.id()), key};
  for (std::size_t word = 0; word < name.size(); ++word) {
    vm.frames().memory().store64(host->wrapping_add(8 * word), name[word]);
  }
  channels_.push_back(std::move(channel));
  return range;
}

IvcResult<GuestRange> IvcChannels::subscribe(Vm& vm, std::uint64_t publisher, std::uint64_t key) {
  if (joined(vm, publisher, key) != channels_.end()) return tl::unexpected(IvcError::Exists);
  const auto channel = open(publisher, key);
  if (channel == channels_.end()) return tl::unexpected(IvcError::NoChannel);
  return join(vm, *channel);
}

IvcResult<> IvcChannels::unpublish(Vm& vm, std::uint64_t key) {
  const auto channel = open(index(vm.id()), key);
  if (channel == channels_.end() || !has(*channel, vm)) {
    return tl::unexpected(IvcError::NoChannel);
  }
  channel->published = false;
  leave(vm, *channel);
  erase_unused();
  return {};
}

IvcResult<> IvcChannels::unsubscribe(Vm& vm, std::uint64_t publisher, std::uint64_t key) {
  const auto found = joined(vm, publisher, key);
  if (found == channels_.end() || index(vm.id()) == publisher) {
    return tl::unexpected(exists(publisher, key) ? IvcError::NoParticipant : IvcError::NoChannel);
  }
  leave(vm, channels_[static_cast<std::size_t>(found - channels_.cbegin())]);
  erase_unused();
  return {};
}

IvcResult<Vm*> IvcChannels::connects(const Vm& caller, std::uint64_t publisher, std::uint64_t key,
                                     std::uint64_t target) const {
  const auto channel = joined(caller, publisher, key);
  if (channel == channels_.end()) {
    return tl::unexpected(exists(publisher, key) ? IvcError::NoParticipant : IvcError::NoChannel);
  }
  const auto there = std::ranges::find_if(channel->participants, [&](const Participant& other) {
    return index(other.vm->id()) == target && other.vm->life().reason() == VmEnd::None;
  });
  if (there == channel->participants.end()) return tl::unexpected(IvcError::NoParticipant);
  return there->vm;
}

void IvcChannels::drop(Vm& vm) {
  for (Channel& channel : channels_) {
    if (!has(channel, vm)) continue;
    if (channel.publisher == vm.id()) channel.published = false;
    leave(vm, channel);
  }
  erase_unused();
}

}  // namespace retrap
