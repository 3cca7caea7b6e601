# ./dev lint and coverage.
# shellcheck shell=bash

lint_format() {
  cpp_files | xargs -r clang-format-19 --dry-run -Werror
}

# Every header compiles on its own.
lint_headers() {
  configure_and_build dev all_verify_interface_header_sets
}

lint_compilers() {
  configure_and_build release && configure_and_build clang19
}

# The preset runs clang-tidy beside the compiler, so only what has changed is looked at again.
lint_tidy() {
  cmake --preset tidy >/dev/null && cmake --build build/tidy -j "$jobs" -- -k 0
}

dev_lint() {
  local part failed=()
  ensure_packages core test lint
  [ $# -ne 0 ] || set -- format headers compilers tidy
  for part in "$@"; do
    case $part in
      format | headers | compilers | tidy) ;;
      *) die "./dev lint knows format, headers, compilers and tidy, not '$part'" ;;
    esac
    say "lint: $part"
    "lint_$part" || failed+=("$part")
  done
  [ ${#failed[@]} -eq 0 ] || die "lint: not clean: ${failed[*]}"
  say "lint: clean: $*"
}

readonly coverage_floor=85

# Lines of vmm and arch that ran, per folder, from gcov's text. A line counts as run where any of
# its copies (templates, inline functions) ran.
coverage_table() {
  find build/coverage -name '*.gcda' -print0 | sort -z |
    xargs -0 -r gcov --stdout --relative-only --source-prefix "$root" 2>/dev/null |
    awk -v floor="$coverage_floor" '
      / 0:Source:/ { file = $0; sub(/.*0:Source:/, "", file); wanted = file ~ /^(vmm|arch)\// }
      wanted && match($0, /^ *[^:]+: *[0-9]+:/) {
        split($0, part, ":")
        count = part[1]; line = part[2]
        gsub(/ /, "", count); gsub(/ /, "", line)
        if (count == "-" || line == 0) next
        key = file ":" line
        if (!(key in seen)) { seen[key] = 1; total[file]++ }
        if (count !~ /^[#=]/ && !(key in ran)) { ran[key] = 1; hit[file]++ }
      }
      END {
        for (file in total) {
          layer = substr(file, 1, index(file, "/") - 1)
          all[layer] += total[file]; got[layer] += hit[file]
          printf "  %5.1f %%  %5d of %5d  %s\n", 100 * hit[file] / total[file], hit[file],
            total[file], file | "sort -k1,1n"
        }
        close("sort -k1,1n")
        status = 0
        for (layer in all) {
          share = 100 * got[layer] / all[layer]
          printf "coverage of %s: %.1f %% (%d of %d lines), floor %d %%\n", layer, share,
            got[layer], all[layer], floor
          if (share < floor) status = 1
        }
        exit status
      }'
}

dev_coverage() {
  ensure_packages core test
  configure_and_build coverage
  find build/coverage -name '*.gcda' -delete
  ctest --test-dir build/coverage -j "$jobs" -LE linux --output-on-failure --no-tests=error -Q ||
    say "coverage: some tests fail in this build; see build/coverage/Testing"
  coverage_table || die "coverage: below $coverage_floor %"
}
