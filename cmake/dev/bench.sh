# ./dev bench: the benchmarks, and Linux boots: side by side with QEMU, and what recording them costs.
# shellcheck shell=bash

dev_bench() {
  case ${1:-} in
    linux | smp | record)
      local what=$1
      shift
      "bench_$what" "$@"
      ;;
    *)
      ensure_packages core test
      configure_and_build release retrap_bench >&2
      build/release/benches/retrap_bench "$@"
      ;;
  esac
}

readonly bench_rounds=5

qemu_boot() {
  local arch=$1
  local common=(-m 512M -smp 1 -nographic -no-reboot -nic none -icount "shift=0,sleep=off"
    -kernel "$guests_dir/$arch/kernel" -initrd "$guests_dir/$arch/initrd.gz")
  case $arch in
    x86_64) qemu-system-x86_64 -M q35 -cpu qemu64 "${common[@]}" -append "console=ttyS0 panic=-1" ;;
    aarch64)
      qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a57 "${common[@]}" \
        -append "console=ttyAMA0 panic=-1"
      ;;
    riscv64) qemu-system-riscv64 -M virt "${common[@]}" -append "console=ttyS0 panic=-1" ;;
  esac
}

our_boot() {
  build/release/bin/retrap run --arch "$1" --memory 512M \
    --kernel "$guests_dir/$1/kernel" --initrd "$guests_dir/$1/initrd.gz"
}

# timed_boot qemu_boot|our_boot ARCH: wall seconds to power-off. The guest must have got there; of
# QEMU 7.2 a boot in a few is given another try: where an interrupt hits CMPXCHG16B, flags get lost
# and the kernel panics.
timed_boot() {
  local log began ended tries=1
  [ "$1" != qemu_boot ] || tries=4
  log=$(mktemp)
  for (( ; tries > 0; --tries)); do
    began=$(date +%s.%N)
    timeout 600 bash -c "$(declare -f qemu_boot our_boot); guests_dir='$guests_dir'; $1 $2" \
      </dev/null >"$log" 2>&1 || true
    ended=$(date +%s.%N)
    if grep -q USERLAND-DONE "$log"; then
      rm -f "$log"
      awk -v began="$began" -v ended="$ended" 'BEGIN { printf "%.3f\n", ended - began }'
      return
    fi
    grep -a "Kernel panic" "$log" >&2 || true
  done
  tail -n 20 "$log" >&2
  rm -f "$log"
  die "bench: $1 $2 did not reach USERLAND-DONE"
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# ready_for_boots TARGET: the Linux guests, and what boots them.
ready_for_boots() {
  ensure_packages core test
  dev_guests
  configure_and_build release "$1" >&2
}

# The head of a table of side_by_side; its columns' names are LEFT and RIGHT.
head_of_sides() {
  printf '%-8s  %10s  %10s  %6s   (median of %d, wall seconds to power-off)\n' \
    guest "$1" "$2" ratio "$bench_rounds"
}

# side_by_side ARCH LEFT RIGHT: the medians of what the commands LEFT and RIGHT print, each called
# with ARCH, by turns.
side_by_side() {
  local round left="" right=""
  for ((round = 0; round < bench_rounds; ++round)); do
    left+="$($2 "$1")"$'\n'
    right+="$($3 "$1")"$'\n'
  done
  awk -v arch="$1" -v left="$(printf %s "$left" | median)" \
    -v right="$(printf %s "$right" | median)" \
    'BEGIN { printf "%-8s  %10.2f  %10.2f  %6.2f\n", arch, left, right, left / right }'
}

bench_linux() {
  local arch
  ensure_packages bench
  ready_for_boots retrap
  [ $# -ne 0 ] || set -- x86_64 aarch64 riscv64
  head_of_sides retrap qemu
  for arch in "$@"; do side_by_side "$arch" "timed_boot our_boot" "timed_boot qemu_boot"; done
}

# bench_record [ARCH...]: ratios of CPU time to runs that are not recorded, and of replay to recording.
bench_record() {
  local arch vcpus folder
  ready_for_boots record_costs
  [ $# -ne 0 ] || set -- x86_64 aarch64 riscv64
  folder=$(mktemp -d)
  for arch in "$@"; do
    for vcpus in 1 "$smp_vcpus"; do
      build/release/benches/record_costs "$arch" "$guests_dir/$arch/kernel" \
        "$guests_dir/$arch/initrd.gz" "$folder" "$bench_rounds" "$vcpus"
    done
  done
  rm -rf "$folder"
}
