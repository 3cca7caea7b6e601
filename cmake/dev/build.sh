# ./dev build, demo, test and format.
# shellcheck shell=bash

readonly jobs=2

# configure_and_build PRESET [TARGET...]
configure_and_build() {
  local preset=$1 log
  shift
  mkdir -p build
  log=$(mktemp)
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    die "preset '$preset' does not configure"
  fi
  rm -f "$log"
  cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"}
}

dev_build() {
  local preset=${1:-release}
  [ $# -eq 0 ] || shift
  ensure_packages core
  configure_and_build "$preset" "$@"
}

dev_demo() {
  ensure_packages core
  configure_and_build release retrap >&2
  build/release/bin/retrap demo "$@"
}

# Each skipped test with its reason, from ctest's log.
print_skips() {
  awk '
    /^[0-9]+\/[0-9]+ Test(ing)?: / { name = $0; sub(/^[^:]*: /, "", name) }
    reason { if (NF) print "  " name ": " $0; reason = 0 }
    /: Skipped$/ { reason = 1 }
  ' "$1"
}

dev_test() {
  local filter=() status=0
  if [ "${1:-}" = --no-linux ]; then
    filter=(-LE linux)
    shift
  fi
  local began=$SECONDS
  ensure_packages core test
  [ ${#filter[@]} -ne 0 ] || dev_guests
  configure_and_build release
  local built=$SECONDS
  ctest --test-dir build/release -j "$jobs" --output-on-failure --no-tests=error \
    "${filter[@]}" "$@" || status=$?
  local skips
  skips=$(print_skips build/release/Testing/Temporary/LastTest.log)
  if [ -n "$skips" ]; then
    say "skipped, and why:"
    printf '%s\n' "$skips" >&2
  fi
  say "test: $([ $status = 0 ] && echo passed || echo FAILED), built in $((built - began)) s, ran in $((
    SECONDS - built)) s"
  return $status
}

cpp_files() { git ls-files -- '*.cpp' '*.h'; }

dev_format() {
  ensure_packages core lint
  cpp_files | xargs -r clang-format-19 -i
}
