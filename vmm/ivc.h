// Inter-VM channels: memory that one VM publishes under a key and others subscribe to.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/vm.h"

namespace retrap {

/// Why a channel call is refused: what the guest gets in its return register, sign-extended. The
/// numbers are Linux's errno, negated; none of them is an architecture's "not supported".
enum class IvcError : std::int64_t {
  NoChannel = -6,       ///< ENXIO: nobody has published such a channel
  NoMemory = -12,       ///< ENOMEM: the window or the host is full
  NoParticipant = -13,  ///< EACCES: the caller, or the target of a notification, is not in it
  BadAddress = -14,     ///< EFAULT: a slot is not in memory that the guest may write
  Exists = -17,         ///< EEXIST: the caller has published or subscribed to it already
  InvalidInput = -22,   ///< EINVAL: size 0, or the VM has no IVC device
  NoLine = -95,         ///< EOPNOTSUPP: the target's IVC device has no interrupt
};

template <class T = void>
using IvcResult = tl::expected<T, IvcError>;

/// The channels of all VMs of one hypervisor, by (publisher, key).
///
/// The frames of a channel belong to nobody's VM. The table holds them while anybody takes part,
/// and so does every mapping: a VM that goes, or whose memory the embedder unmaps, frees nothing
/// that another still sees. A channel whose publisher has left lives on for its subscribers and
/// cannot be subscribed to any more; its key is free for a new one.
///
/// The first 16 bytes of a channel are its name, {publisher u64, key u64}, for its participants:
/// nothing here reads them back.
///
/// A VM takes part as itself and not as its id, which another may have after it.
///
/// Invariant: a VM takes part in at most one channel of a (publisher, key); a channel without
/// participants is not in the table.
class IvcChannels {
 public:
  /// The owner that the frames have in the ledger.
  static constexpr VmId kOwner = kIvcChannels;

  IvcChannels() = default;
  IvcChannels(const IvcChannels&) = delete;
  IvcChannels& operator=(const IvcChannels&) = delete;
  ~IvcChannels();

  /// Zeroed memory of `size` bytes, rounded up to 4 KiB: where `vm` sees it from now on.
  [[nodiscard]] IvcResult<GuestRange> publish(Vm& vm, std::uint64_t key, std::uint64_t size);
  [[nodiscard]] IvcResult<GuestRange> subscribe(Vm& vm, std::uint64_t publisher, std::uint64_t key);
  [[nodiscard]] IvcResult<> unpublish(Vm& vm, std::uint64_t key);
  [[nodiscard]] IvcResult<> unsubscribe(Vm& vm, std::uint64_t publisher, std::uint64_t key);

  /// The VM with the id `target`, where it and `caller` are both in the channel: who may notify
  /// whom. One that has ended is not in it, whether or not it was dropped yet.
  [[nodiscard]] IvcResult<Vm*> connects(const Vm& caller, std::uint64_t publisher,
                                        std::uint64_t key, std::uint64_t target) const;

  /// `vm` has ended or was reset: it takes part in nothing any more.
  void drop(Vm& vm);

  [[nodiscard]] bool empty() const { return channels_.empty(); }
  [[nodiscard]] std::size_t size() const { return channels_.size(); }

 private:
  struct Participant {
    Vm* vm;  ///< never null; outlives its part
    GuestPhys gpa;
  };
  struct Channel {
    VmId publisher;
    std::uint64_t key;
    Frames* frames;  ///< never null; outlives the hypervisor
    HostPhys host;
    std::uint64_t size;
    bool published;
    std::vector<Participant> participants;
  };
  using Channels = std::vector<Channel>;

  [[nodiscard]] static bool has(const Channel& channel, const Vm& vm);
  [[nodiscard]] static IvcResult<GuestRange> join(Vm& vm, Channel& channel);
  static void leave(Vm& vm, Channel& channel);
  /// The channel of that name that others can subscribe to, or none.
  [[nodiscard]] Channels::iterator open(std::uint64_t publisher, std::uint64_t key);
  /// Any channel of that name that `vm` takes part in, or none.
  [[nodiscard]] Channels::const_iterator joined(const Vm& vm, std::uint64_t publisher,
                                                std::uint64_t key) const;
  [[nodiscard]] bool exists(std::uint64_t publisher, std::uint64_t key) const;
  void erase_unused();

  Channels channels_;  ///< in the order in which they were published
};

}  // namespace retrap
