// The state digest against its budget: 3 GB/s on RAM.
#include <benchmark/benchmark.h>

#include <vector>

#include "vmm/base/digest.h"

namespace retrap {
namespace {

void BM_DigestOfRamTakesThreeGigabytesASecond(benchmark::State& state) {
  const std::vector<std::byte> ram(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Digest digest;
    digest.add(ram);
    benchmark::DoNotOptimize(digest.value());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_DigestOfRamTakesThreeGigabytesASecond)->Arg(4096)->Arg(64 << 20);

}  // namespace
}  // namespace retrap
