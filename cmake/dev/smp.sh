# Linux on several vCPUs: what they cost (./dev bench smp), and whether every seed is as good
# (./dev seeds).
# shellcheck shell=bash

readonly smp_vcpus=4

# smp_boot ARCH VCPUS SEED FOLDER: console, stderr and report of a boot into FOLDER.
smp_boot() {
  build/release/bin/retrap run --arch "$1" --memory 512M --vcpus "$2" --seed "$3" \
    --kernel "$guests_dir/$1/kernel" --initrd "$guests_dir/$1/initrd.gz" \
    --json "$4/report" </dev/null >"$4/console" 2>"$4/err"
}

# What is wrong with the boot in FOLDER, of status STATUS; nothing where all is well.
smp_complaint() {
  local folder=$1 status=$2 vcpus=$3
  [ "$status" = 0 ] || { echo "status $status: $(tail -n 1 "$folder/err")"; return; }
  grep -qa USERLAND-DONE "$folder/console" || { echo "no USERLAND-DONE"; return; }
  grep -qaE "Brought up 1 node, $vcpus CPUs?" "$folder/console" || echo "not $vcpus CPUs"
}

# The value of "KEY" in the report of the boot in FOLDER.
report_value() { grep -oE "\"$2\": ?\"?[0-9a-f.]+" "$1/report" | grep -oE '[0-9a-f.]+$'; }

# timed_smp_boot VCPUS FOLDER ARCH: the wall seconds of one boot.
timed_smp_boot() {
  local status=0 complaint
  smp_boot "$3" "$1" 1 "$2" || status=$?
  complaint=$(smp_complaint "$2" $status "$1")
  [ -z "$complaint" ] || die "bench: $3 with $1 vCPUs: $complaint"
  report_value "$2" wall_seconds
}

bench_smp() {
  local arch folder
  ready_for_boots retrap
  [ $# -ne 0 ] || set -- x86_64 aarch64 riscv64
  folder=$(mktemp -d)
  head_of_sides "$smp_vcpus vCPUs" "1 vCPU"
  for arch in "$@"; do
    side_by_side "$arch" "timed_smp_boot $smp_vcpus $folder" "timed_smp_boot 1 $folder"
  done
  rm -rf "$folder"
}

# seeds [N [ARCH...]]: boots from seed 1 to N; each must come up, and no two may be the same run.
dev_seeds() {
  local count=${1:-50} arch seed status complaint bad=0 folder
  [ $# -eq 0 ] || shift
  [[ $count =~ ^[1-9][0-9]*$ ]] || die "seeds: '$count' is no number of seeds"
  ready_for_boots retrap
  [ $# -ne 0 ] || set -- x86_64 aarch64 riscv64
  folder=$(mktemp -d)
  for arch in "$@"; do
    : >"$folder/digests"
    for ((seed = 1; seed <= count; ++seed)); do
      status=0
      smp_boot "$arch" "$smp_vcpus" "$seed" "$folder" || status=$?
      complaint=$(smp_complaint "$folder" $status "$smp_vcpus")
      if [ -z "$complaint" ]; then
        report_value "$folder" digest >>"$folder/digests"
      else
        say "seeds: $arch, seed $seed: $complaint"
        bad=1
      fi
    done
    printf '%-8s  %d of %d seeds come up on %d vCPUs, %d different digests\n' "$arch" \
      "$(wc -l <"$folder/digests")" "$count" "$smp_vcpus" "$(sort -u "$folder/digests" | wc -l)"
    [ "$(sort -u "$folder/digests" | wc -l)" = "$count" ] || bad=1
  done
  rm -rf "$folder"
  return $bad
}
