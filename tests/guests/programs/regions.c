// Memory that the monitor protects: read-only, no-execute, and nothing at all.
#include "guest.h"

static u64 load(u64 at) {
  return read64(at);
}
static u64 store(u64 at) {
  write64(at, 0x1234);
  return 0;
}
static u64 jump(u64 at) {
  return ((u64(*)(u64))at)(41);
}

static const u64 kReadOnlyWord = 0x726f726f726f726f;  // the scenario puts it there

static void expect_no_load(const char* name, u64 at) {
  check(name, trap_of(load, at), kLoadOfNothing);
}

static void expect_no_store(const char* name, u64 at) {
  check(name, trap_of(store, at), kLoadOfNothing);
}

static void expect_no_code(const char* name, u64 at) {
  check(name, trap_of(jump, at), kCodeOfNothing);
}

void guest_main(void) {
  check("read-only: load", guarded(load, kReadOnlyBase), kReadOnlyWord);
  expect_no_store("read-only: store", kReadOnlyBase);
  check("read-only: nothing changed", guarded(load, kReadOnlyBase), kReadOnlyWord);
  check("read-only: execution", guarded(jump, kReadOnlyBase + 0x100), 42);

  check("no-execute: store", guarded(store, kNoExecuteBase + 64), 0);
  check("no-execute: load", guarded(load, kNoExecuteBase + 64), 0x1234);
  expect_no_code("no-execute: fetch", kNoExecuteBase);

  expect_no_load("nothing: load", kNothingBase);
  expect_no_store("nothing: store", kNothingBase + 0x18);
  expect_no_code("nothing: fetch", kNothingBase + 0x40);
  expect_no_code("a device: fetch", kScratchBase);
  check("after all that: load", guarded(load, kReadOnlyBase), kReadOnlyWord);
}
