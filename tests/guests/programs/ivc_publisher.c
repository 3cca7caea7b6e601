// Publishes a channel and sends messages to the other VM, which sends each of them back.
#include "ivc.h"

/// How many: what the host has put where the scenarios have memory, else a thousand.
static u64 messages(void) {
  const u64 wanted = guarded(ivc_load, kNoExecuteBase);
  return last_trap.kind != kNoTrap || wanted == 0 ? 1000 : wanted;
}

static void exchange(struct channel* channel) {
  const u64 wanted = channel->wanted;
  u64 sent = 0;
  u64 taken = 0;
  u64 good = 0;
  u64 refused = 0;
  while (taken < wanted) {
    while (sent < wanted && sent - taken < kSlots) {
      send(&channel->to_subscriber, sent++);
      refused += hypercall(kIvcNotify, kPublisher, kKey, kSubscriber) != 0;
    }
    while (is_empty(&channel->to_publisher, taken)) idle();
    good += (u64)take(&channel->to_publisher, taken++);
  }
  check("every message came back, in order", good, wanted);
  check("notifications that were refused", refused, 0);
}

void guest_main(void) {
  u64 base = 0;
  u64 size = sizeof(struct channel);
  interrupts_init();
  device_listen();
  const u64 published = hypercall(kIvcPublish, kKey, (u64)&base, (u64)&size);
  if (published == kNoIvcDevice) {
    put("this VM has no ivc device\n");
    return;
  }
  check("publish", published, 0);
  check("whole pages", size, (sizeof(struct channel) + kPage - 1) / kPage * kPage);
  struct channel* const channel = (struct channel*)base;
  check("the channel names its publisher", channel->publisher, kPublisher);
  check("and its key", channel->key, kKey);
  check("publish again", hypercall(kIvcPublish, kKey, (u64)&base, (u64)&size), kExists);
  check("notify nobody", hypercall(kIvcNotify, kPublisher, kKey, 99), kNoParticipant);
  channel->wanted = messages();
  while (!channel->subscriber_is_here) idle();
  exchange(channel);
  check("unpublish", hypercall(kIvcUnpublish, kKey, 0, 0), 0);
  check("unpublish again", hypercall(kIvcUnpublish, kKey, 0, 0), kNoChannel);
  guarded(ivc_load, (u64)channel);
  check("the channel is gone", last_trap.kind, kLoadOfNothing);
  check("strange interrupts", strange_interrupts, 0);
}
