// Writes down what a machine does and what comes to it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/input.h"
#include "sim/machine.h"
#include "traces/digests.h"
#include "traces/writer.h"

namespace retrap {

/// Watches a machine from its first run to the end of its last one, and writes a trace.
///
///     auto recorder = Recorder::start(machine, std::move(sink), header);
///     RunReport report = (*recorder)->run();
///     (*recorder)->finish(report);
class Recorder final : public MachineObserver {
 public:
  /// The VMs are there, and nothing has run. `machine` outlives this. header.detail says how much
  /// is written; header.digest_interval at what distance digests are (with Detail::Full).
  [[nodiscard]] static Result<std::unique_ptr<Recorder>> start(Machine& machine,
                                                               std::unique_ptr<traces::Sink> sink,
                                                               const traces::Header& header);
  ~Recorder() override;

  /// In place of Machine::run(). Digests are taken on the way.
  [[nodiscard]] RunReport run(std::uint64_t max_instructions = kNever);

  /// The contents of an image of the header. Before the first run.
  [[nodiscard]] Result<> embed(std::uint64_t image, ConstBytes bytes) {
    return writer_.embed(image, bytes);
  }

  /// Everything so far is in the file.
  [[nodiscard]] Result<> flush() { return writer_.flush(); }

  /// How it ended. The trace is whole then.
  [[nodiscard]] Result<> finish(const RunReport& report);

  [[nodiscard]] const traces::Writer& writer() const { return writer_; }

  void on_exit(const ExitEvent& event) override;
  void on_answer(const AnswerEvent& event) override;
  void on_injection(const InjectionEvent& event) override;
  void on_input(const traces::InputRecord& input) override;

 private:
  Recorder(Machine& machine, traces::Writer writer, const traces::Header& header);

  Machine& machine_;
  Clock& clock_;
  traces::Writer writer_;
  std::uint64_t interval_;  ///< 0: no digests
  traces::DigestState digests_;
};

/// A digest of every part of the machine as it is now, with the parts that a version of the trace
/// format has.
[[nodiscard]] std::vector<traces::PartDigest> digest_parts(
    Machine& machine, std::uint32_t version = traces::kVersion);

/// Runs `machine`, stopping at every multiple of `interval` instructions (0: never) for
/// `at_stop()`. Stops change nothing.
template <class AtStop>
RunReport run_in_intervals(Machine& machine, std::uint64_t max_instructions, std::uint64_t interval,
                           AtStop at_stop) {
  std::uint64_t left = max_instructions;
  for (;;) {
    const std::uint64_t retired = machine.clock().retired();
    const std::uint64_t step = interval == 0 ? left : interval - retired % interval;
    const RunReport report = machine.run(step < left ? step : left);
    const std::uint64_t done = report.instructions - retired;
    if (left != kNever) left -= done < left ? done : left;
    const bool at_interval = report.reason == StopReason::BudgetSpent && interval != 0 &&
                             report.instructions % interval == 0;
    if (at_interval) at_stop();
    if (report.reason != StopReason::BudgetSpent || left == 0 || !at_interval) return report;
  }
}

}  // namespace retrap
