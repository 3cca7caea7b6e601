// Draws from the virtio entropy device without an operating system: bytes, code that the device
// writes over, and requests that it has to refuse.
#include "code.h"

#if defined(__riscv)
enum : u64 { kEntropy = 0x10009000, kOperand = 7, kOperandBytes = 1 };
static u64 value_of(u64 function) {
  return (u64)(s64)((s32)read32(function + 4) >> 20);
}
#elif defined(__aarch64__)
enum : u64 { kEntropy = 0x0b000000, kOperand = 1, kOperandBytes = 1 };
static u64 value_of(u64 function) {
  return read32(function) >> 5 & 0xffff;
}
#else
enum : u64 { kEntropy = 0xfeb00000, kOperand = 1, kOperandBytes = 2 };
static u64 value_of(u64 function) {
  return read32(function + 1);
}
#endif

// VIRTIO 1.2, 4.2.2 and 2.7.
enum : u64 {
  kDriverFeatures = kEntropy + 0x20,
  kDriverFeaturesSel = kEntropy + 0x24,
  kQueueSel = kEntropy + 0x30,
  kQueueNum = kEntropy + 0x38,
  kQueueReady = kEntropy + 0x44,
  kQueueNotify = kEntropy + 0x50,
  kInterruptStatus = kEntropy + 0x60,
  kInterruptAck = kEntropy + 0x64,
  kStatus = kEntropy + 0x70,
  kQueueDesc = kEntropy + 0x80,
  kQueueDriver = kEntropy + 0x90,
  kQueueDevice = kEntropy + 0xa0,
};
enum : u32 { kRunning = 15, kNeedsReset = 64, kSize = 4 };
enum : u16 { kNextFlag = 1, kWriteFlag = 2 };

struct descriptor {
  u64 at;
  u32 bytes;
  u16 flags;
  u16 next;
};
FRESH static volatile struct {
  struct descriptor descriptors[kSize];
  u16 available[2 + kSize];
  u16 padding[2];
  u32 used[1 + 2 * kSize];
} queue;

FRESH static u64 buffer[4096];

static void set_address(u64 at, volatile const void* part) {
  write32(at, (u32)(u64)part);
  write32(at + 4, (u32)((u64)part >> 32));
}

static void start(void) {
  write32(kStatus, 0);
  write32(kStatus, 3);
  write32(kDriverFeaturesSel, 1);
  write32(kDriverFeatures, 1);
  write32(kStatus, 11);
  queue.available[1] = 0;
  queue.used[0] = 0;
  write32(kQueueSel, 0);
  write32(kQueueNum, kSize);
  set_address(kQueueDesc, queue.descriptors);
  set_address(kQueueDriver, queue.available);
  set_address(kQueueDevice, queue.used);
  write32(kQueueReady, 1);
  write32(kStatus, kRunning);
}

static void notify(void) {
  queue.available[2 + queue.available[1] % kSize] = 0;
  memory_barrier();
  queue.available[1] = (u16)(queue.available[1] + 1);
  memory_barrier();
  write32(kQueueNotify, 0);
  memory_barrier();
}

/// Gives how many bytes came.
static u64 draw(u64 to, u64 bytes) {
  const u32 before = queue.used[0] >> 16;
  queue.descriptors[0] = (struct descriptor){to, (u32)bytes, kWriteFlag, 0};
  notify();
  if (queue.used[0] >> 16 == before) return 0;
  return queue.used[2 + 2 * (before % kSize)];
}

static u64 call(u64 at) {
  return ((u64(*)(void))at)();
}

/// Runs a function whose operand the device has just drawn; gives how often its answer was right.
static u64 drawn_code(u64 page) {
  u64 right = 0;
  for (u64 i = 0; i < 200; ++i) {
    const u64 bytes = make_function(page, i);
    sync_code(page, bytes);
    if (guarded(call, page) != i) continue;
    if (draw(page + kOperand, kOperandBytes) != kOperandBytes) continue;
    sync_code(page, bytes);
    if (guarded(call, page) == value_of(page)) ++right;
  }
  return right;
}

static void refuse(const char* name, u64 to) {
  start();
  buffer[0] = 5;
  queue.descriptors[0] = (struct descriptor){(u64)buffer, 8, kWriteFlag | kNextFlag, 1};
  queue.descriptors[1] = (struct descriptor){to, 8, kWriteFlag, 0};
  notify();
  check(name, read32(kStatus), kRunning | kNeedsReset);
  check("and nothing came", buffer[0] + queue.used[0], 5);
}

void guest_main(void) {
  check("magic", read32(kEntropy), 0x74726976);
  check("an entropy device", read32(kEntropy + 8), 4);
  start();
  check("it runs", read32(kStatus), kRunning);
  check("eight bytes", draw((u64)buffer, 8), 8);
  check("an interrupt", read32(kInterruptStatus), 1);
  write32(kInterruptAck, 1);
  check("acknowledged", read32(kInterruptStatus), 0);
  put("drawn ");
  put_hex(buffer[0]);
  put_char('\n');
  check("as many as it gives at once", draw((u64)buffer, sizeof(buffer)), 4096);

  check("code that the device draws", drawn_code(new_page()), 200);
  paging_enable();
  check("the same with paging", drawn_code(new_page()), 200);

  refuse("nothing is there", kNothingBase);
  refuse("memory that may only be read", kReadOnlyBase);
  refuse("the device itself", kEntropy);
  refuse("the end of addresses", ~(u64)0 - 3);
  start();
  check("and after a reset", draw((u64)buffer, 8), 8);
}
