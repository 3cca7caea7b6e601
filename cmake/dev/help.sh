# ./dev help
# shellcheck shell=bash

dev_help() {
  cat <<'END'
./dev COMMAND: everything one does with this project

  demo               install, build and run the built-in guests on all three architectures
  test               install, build and run all tests, Linux boots included
  test --no-linux    ... without the Linux boots
  build [PRESET] [TARGET...]
                     build; PRESET is release (default), dev, asan, clang19, coverage, o3,
                     monitor (without Unicorn) or fuzz
  bench              the benchmarks
  bench linux [ARCH...]
                     Linux boots side by side with QEMU (installs QEMU)
  bench smp [ARCH...]
                     Linux boots on one vCPU and on four
  bench record [ARCH...]
                     what recording and replaying Linux boots cost, on one vCPU and on four
  seeds [N [ARCH...]]
                     whether Linux comes up on four vCPUs from seeds 1 to N (50)
  lint [PART...]     format, headers, compilers (g++ and clang 19), tidy; all of them by default
  format             format all sources
  coverage           line coverage of vmm and arch, without the Linux boots
  guests             fetch the Debian kernels that the Linux tests boot
  setup [GROUP]      install packages: core, test, lint, bench; all but bench by default
END
}
