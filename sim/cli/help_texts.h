// What stands under the help of each subcommand: examples and exit statuses.
#pragma once

#include <string_view>

namespace retrap::cli {

inline constexpr std::string_view kRunExample = R"(Examples:
  retrap run --arch aarch64 --kernel Image --initrd initrd.gz
  retrap run guest.toml --seed 7 --json report.json

The guest's console is standard output, all else is standard error.
Exit status: 0 the guest powered off, 1 a file or the host is at fault, 2 the command line is,
4 the guest failed (crash, hang, reset), 5 --max-instructions is spent, 130 and 143 SIGINT or
SIGTERM stopped it.)";

inline constexpr std::string_view kRecordExample = R"(Examples:
  retrap record -o boot.rtr --kernel Image --initrd initrd.gz
  retrap record -o all.rtr --record full --with-images guest.toml

Takes all that retrap run takes, and has its exit statuses. --record inputs keeps what a replay
needs, exits (the default) every exit and answer, full also digests of all parts.)";

inline constexpr std::string_view kReplayExample = R"(Examples:
  retrap replay boot.rtr
  retrap replay boot.rtr --until 'first(mmio-write)' --then run --unplug pl011

--until EXIT (its number; behind the instruction that has it), insn=N, pc=0xA, time=NS or
first(KIND). With --then run the guest goes on by itself from there, with --seed N from another
seed; --seed alone replays from that seed from the beginning, to see where it parts.

Exit status: 0 identical, 1 a file is at fault, 2 the command line is, 3 the run differs from the
recorded one, 6 the trace ends before WHERE, 130 and 143 SIGINT or SIGTERM stopped it; with
--then run as retrap run.)";

inline constexpr std::string_view kDiffExample = R"(Example:
  retrap diff good.rtr bad.rtr --ignore pc,retired

--ignore takes field names (pc, retired, idle, vcpu, answer, data, ...) and exit, answer,
injection, input, digest, end. Digests are compared where both traces have one, a trace that was cut
off or interrupted as far as it goes.

Exit status: 0 equal, 1 a file is at fault or there is nothing to compare, 3 they differ.)";

inline constexpr std::string_view kDemoExample = R"(Example:
  retrap demo --seed 7

Exit status: 0 all is well, 1 a digest differs between two runs or a guest failed.)";

inline constexpr std::string_view kConfigExample = R"(Examples:
  retrap config example --arch riscv64 > guest.toml
  retrap config check guest.toml

check says what retrap run would say of the file, its images and its board.
Exit status: 0 the file is sound, 1 it is not (a line for each problem).)";

inline constexpr std::string_view kRootExample = R"(Examples:
  retrap demo
  retrap run --arch riscv64 --kernel Image --initrd initrd.gz
  retrap run --help)";

}  // namespace retrap::cli
