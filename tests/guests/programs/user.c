// User mode: system calls, and what the kernel's pages are protected from.
#include "guest.h"

USER_DATA static u64 user_word = 5;
static u64 kernel_word = 6;

USER_CODE static u64 give_back(u64 argument) {
  return argument;
}
USER_CODE static u64 add_three(u64 argument) {
  argument = system_call(kSysAdd, argument);
  argument = system_call(kSysAdd, argument);
  return system_call(kSysAdd, argument);
}
USER_CODE static u64 say_hi(u64 argument) {
  system_call(kSysPut, 'h');
  system_call(kSysPut, 'i');
  system_call(kSysPut, '\n');
  return argument;
}
USER_CODE static u64 unknown_call(u64 argument) {
  return system_call(argument, 0);
}
USER_CODE static u64 load(u64 at) {
  return *(volatile u64*)at;
}
USER_CODE static u64 store(u64 at) {
  *(volatile u64*)at = 9;
  return 0;
}
USER_CODE static u64 jump(u64 at) {
  return ((u64(*)(u64))at)(1);
}
USER_CODE static u64 count_calls(u64 times) {
  u64 value = 0;
  while (times--) value = system_call(kSysAdd, value);
  return value;
}

void guest_main(void) {
  paging_enable();
  check("a function returns", in_user_mode(give_back, 42), 42);
  check("system calls", in_user_mode(add_three, 10), 13);
  check("output", in_user_mode(say_hi, 0), 0);
  check("an unknown system call", in_user_mode(unknown_call, 99), (u64)-38);
  check("load of a user page", in_user_mode(load, user_address(&user_word)), 5);
  check("store to a user page", in_user_mode(store, user_address(&user_word)), 0);
  check("what the kernel sees", user_word, 9);

  check("load of a kernel page", in_user_mode(load, (u64)&kernel_word), kTrapped);
  check_fault("load: what the fault says", kPageFault, kRead | kUser, (u64)&kernel_word);
  check("store to a kernel page", in_user_mode(store, (u64)&kernel_word), kTrapped);
  check_fault("store: what the fault says", kPageFault, kWrite | kUser, (u64)&kernel_word);
  check("the kernel's word", kernel_word, 6);
  check("a jump into the kernel", in_user_mode(jump, (u64)guest_main), kTrapped);
  check_fault("jump: what the fault says", kPageFault, kExecute | kUser, (u64)guest_main);
  check("load of nothing", in_user_mode(load, kTestBase + 24), kTrapped);
  check_fault("load: what the fault says", kPageFault, kRead | kUser, kTestBase + 24);

  const u64 before = system_calls;
  check("1000 system calls", in_user_mode(count_calls, 1000), 1000);
  check("1000 system calls, counted", system_calls - before, 1001);
}
