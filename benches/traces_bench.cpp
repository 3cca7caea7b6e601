// Traces: what an exit costs to record, to replay without a guest, and to compare.
#include <benchmark/benchmark.h>

#include <memory>

#include "sim/replay_exits.h"
#include "traces/compare.h"
#include "traces/export.h"
#include "traces/page.h"
#include "traces/writer.h"
#include "vmm/base/prng.h"

namespace retrap {
namespace {

constexpr VmId kVm{1};

/// Takes everything and keeps nothing.
class NoSink final : public traces::Sink {
 public:
  Result<> append(ConstBytes) override { return {}; }
};

/// A console that is polled and written, at the rate of a boot.
template <class Add>
void each_event(std::size_t exits, Add add) {
  Prng prng(1);
  std::uint64_t retired = 0;
  for (std::size_t i = 0; i < exits; i += 2) {
    retired += prng.between(5, 500);
    const traces::ExitRecord poll{.vm = kVm,
                                  .retired = retired,
                                  .pc = 0xffff'ffff'8105'0000 + 4 * prng.below(40),
                                  .reason = exits::IoRead{0x3fd, Width::Byte}};
    add(poll);
    add(traces::AnswerRecord{kVm, kBootVcpu, 0x60});
    retired += prng.between(5, 50);
    add(traces::ExitRecord{.vm = kVm,
                           .retired = retired,
                           .pc = 0xffff'ffff'8105'0200,
                           .reason = exits::IoWrite{0x3f8, Width::Byte, prng.between(32, 126)}});
  }
}

traces::ByteVector trace_of(std::size_t exits) {
  traces::ByteVector bytes;
  auto writer = *traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), {});
  each_event(exits, [&](const auto& record) { writer.add(record); });
  if (!writer.finish({})) std::abort();
  return bytes;
}

void count(benchmark::State& state, std::size_t exits) {
  state.counters["per_exit"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(exits),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Columns and compression; the sink costs nothing. Budget: 100 ns.
void BM_TraceTakesAnExit(benchmark::State& state) {
  constexpr std::size_t kExits = 100'000;
  std::uint64_t size = 0;
  for (auto _ : state) {
    auto writer = *traces::Writer::create(std::make_unique<NoSink>(), {});
    each_event(kExits, [&](const auto& record) { writer.add(record); });
    if (!writer.finish({})) std::abort();
    size = writer.bytes_of(traces::Layer::Exits);
  }
  count(state, kExits);
  state.counters["bytes_per_exit"] = static_cast<double>(size) / kExits;
}
BENCHMARK(BM_TraceTakesAnExit)->Unit(benchmark::kMillisecond);

// The monitor answers recorded exits; an x86 board with its UART. Budget: 500 ns.
void BM_ExitOnlyReplay(benchmark::State& state) {
  constexpr std::size_t kExits = 200'000;
  const auto trace = *traces::Reader::parse("bench", trace_of(kExits));
  VmConfig config;
  config.name = "bench";
  config.memory_regions.push_back({.gpa = 0, .size = 1 << 20});
  std::uint64_t answers = 0;
  for (auto _ : state) {
    const auto report = *replay_exits(trace, config);
    if (report.divergence) return state.SkipWithError("the monitor answered something else");
    answers = report.answers;
  }
  benchmark::DoNotOptimize(answers);
  count(state, kExits);
}
BENCHMARK(BM_ExitOnlyReplay)->Unit(benchmark::kMillisecond);

// Two equal traces of a million exits, to their ends. Budget: 1 s.
void BM_DiffOfAMillionExits(benchmark::State& state) {
  constexpr std::size_t kExits = 1'000'000;
  const auto left = *traces::Reader::parse("left", trace_of(kExits));
  const auto right = *traces::Reader::parse("right", trace_of(kExits));
  for (auto _ : state) {
    const auto comparison = *traces::compare(left, right);
    if (comparison.divergence) return state.SkipWithError("they differ");
  }
}
BENCHMARK(BM_DiffOfAMillionExits)->Unit(benchmark::kMillisecond);

// Perfetto's JSON of a million exits. Budget: 3 s.
void BM_PerfettoOfAMillionExits(benchmark::State& state) {
  const auto trace = *traces::Reader::parse("bench", trace_of(1'000'000));
  for (auto _ : state) {
    traces::PerfettoExport exporter;
    if (!traces::walk(trace, {}, exporter)) std::abort();
    exporter.finish();
    benchmark::DoNotOptimize(exporter.take());
  }
}
BENCHMARK(BM_PerfettoOfAMillionExits)->Unit(benchmark::kMillisecond);

// The HTML page of a million exits. Budget: 3 s.
void BM_PageOfAMillionExits(benchmark::State& state) {
  const auto trace = *traces::Reader::parse("bench", trace_of(1'000'000));
  for (auto _ : state) benchmark::DoNotOptimize(traces::make_page(trace, std::nullopt));
}
BENCHMARK(BM_PageOfAMillionExits)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace retrap
