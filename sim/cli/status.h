// What the program tells its caller.
#pragma once

namespace retrap::cli {

/// Exit statuses are part of the interface: scripts and CI branch on them.
enum class Status : int {
  Ok = 0,             ///< the guest powered off
  Failure = 1,        ///< a file, a configuration or the host is at fault
  Usage = 2,          ///< the command line is at fault
  Diverged = 3,       ///< two runs that must be equal are not
  GuestFailed = 4,    ///< the guest crashed, hangs for ever, or asked for a reset
  BudgetSpent = 5,    ///< --max-instructions was reached
  NeverReached = 6,   ///< the trace ends before the place of --until
  Interrupted = 130,  ///< SIGINT came: 128 and its number, as in a shell
  Terminated = 143,   ///< SIGTERM came
};

}  // namespace retrap::cli
