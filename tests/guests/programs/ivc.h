// A channel with a ring for each direction, and who takes part in it: VM 1 publishes, VM 2
// subscribes.
#pragma once

#include "guest.h"

enum : u64 {
  kIvcPublish = 3,
  kIvcSubscribe = 4,
  kIvcUnpublish = 5,
  kIvcUnsubscribe = 6,
  kIvcNotify = 7,
};
// What the monitor answers: Linux's errno, negated.
enum : u64 {
  kNoChannel = (u64)-6,
  kNoParticipant = (u64)-13,
  kExists = (u64)-17,
  kNoIvcDevice = (u64)-22,
};
enum : u64 { kPublisher = 1, kSubscriber = 2, kKey = 0x6d657373, kSlots = 32, kWords = 4 };

/// Messages in one direction. `sent` and `taken` are written by one side each.
struct ring {
  volatile u64 sent;
  u64 pad1[7];
  volatile u64 taken;
  u64 pad2[7];
  volatile u64 slots[kSlots][kWords];
};

/// More than a page.
struct channel {
  u64 publisher;
  u64 key;
  volatile u64 subscriber_is_here;
  volatile u64 wanted;  ///< messages in each direction
  u64 pad[4];
  struct ring to_subscriber;
  struct ring to_publisher;
  u64 rest[512];
};

static inline u64 word_of(u64 sequence, u64 word) {
  return (sequence + 1) * (0x9e3779b97f4a7c15ul + 2 * word);
}

static inline int is_empty(const struct ring* ring, u64 taken) {
  return ring->sent == taken;
}

/// Sends message number `sequence`; there is room.
static inline void send(struct ring* ring, u64 sequence) {
  volatile u64* const slot = ring->slots[sequence % kSlots];
  for (u64 word = 0; word < kWords; ++word) slot[word] = word_of(sequence, word);
  memory_barrier();
  ring->sent = sequence + 1;
  memory_barrier();
}

/// Takes message number `sequence`, which is there: whether it is the one that was sent.
static inline int take(struct ring* ring, u64 sequence) {
  memory_barrier();
  const volatile u64* const slot = ring->slots[sequence % kSlots];
  int good = 1;
  for (u64 word = 0; word < kWords; ++word) good &= slot[word] == word_of(sequence, word);
  memory_barrier();
  ring->taken = sequence + 1;
  return good;
}

static inline u64 ivc_load(u64 at) {
  return read64(at);
}
