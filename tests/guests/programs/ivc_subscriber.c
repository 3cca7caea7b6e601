// Subscribes to the other VM's channel and sends every message back.
#include "ivc.h"

static void exchange(struct channel* channel) {
  const u64 wanted = channel->wanted;
  u64 good = 0;
  u64 refused = 0;
  for (u64 sequence = 0; sequence < wanted; ++sequence) {
    while (is_empty(&channel->to_subscriber, sequence)) idle();
    good += (u64)take(&channel->to_subscriber, sequence);
    send(&channel->to_publisher, sequence);
    refused += hypercall(kIvcNotify, kPublisher, kKey, kPublisher) != 0;
  }
  check("every message came, in order", good, wanted);
  // The publisher may have taken the last message and left before it is told.
  check_true("notifications that were refused", refused <= 1);
}

static u64 subscribe(u64* base, u64* size) {
  return hypercall4(kIvcSubscribe, kPublisher, kKey, (u64)base, (u64)size);
}

void guest_main(void) {
  u64 base = 0;
  u64 size = 0;
  interrupts_init();
  device_listen();
  u64 subscribed = subscribe(&base, &size);
  for (u64 tries = 0; subscribed == kNoChannel && tries < 1000; ++tries) {
    timer_arm(20);
    idle();
    subscribed = subscribe(&base, &size);
  }
  if (subscribed == kNoChannel || subscribed == kNoIvcDevice) {
    put("nobody has published a channel\n");
    return;
  }
  check("subscribe", subscribed, 0);
  check("subscribe again", subscribe(&base, &size), kExists);
  struct channel* const channel = (struct channel*)base;
  check("whole pages", size, (sizeof(struct channel) + kPage - 1) / kPage * kPage);
  check("a key that nobody has",
        hypercall4(kIvcSubscribe, kPublisher, kKey + 1, (u64)&base, (u64)&size), kNoChannel);
  while (channel->wanted == 0) {  // it was published a moment ago
    timer_arm(20);
    idle();
  }
  channel->subscriber_is_here = 1;
  memory_barrier();
  check("notify", hypercall(kIvcNotify, kPublisher, kKey, kPublisher), 0);
  exchange(channel);
  check("unsubscribe", hypercall(kIvcUnsubscribe, kPublisher, kKey, 0), 0);
  guarded(ivc_load, (u64)channel);
  check("the channel is gone", last_trap.kind, kLoadOfNothing);
  check("strange interrupts", strange_interrupts, 0);
}
