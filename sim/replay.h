// Runs a machine as a trace says it ran, and compares everything on the way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/input.h"
#include "sim/machine.h"
#include "sim/recorded_devices.h"
#include "traces/compare.h"
#include "traces/digests.h"
#include "traces/reader.h"

namespace retrap {

// Where a replay stops, at the first moment that fits.

/// After exit number `exit` (from 0) has been dealt with.
struct UntilExit {
  std::uint64_t exit;
};
/// After so many instructions of the machine.
struct UntilInstruction {
  std::uint64_t retired;
};
/// Before the instruction at this address. Goes instruction by instruction: slow.
struct UntilPc {
  std::uint64_t pc;
};
/// At the first instruction from this virtual time on.
struct UntilTime {
  std::uint64_t ns;
};
/// After the first exit of this kind (index of ExitReason).
struct UntilKind {
  std::size_t kind;
};
using Until =
    std::variant<std::monostate, UntilExit, UntilInstruction, UntilPc, UntilTime, UntilKind>;

/// What came of a replay.
struct ReplayReport {
  enum class Outcome : std::uint8_t {
    Identical,  ///< to the end of the trace
    Stopped,    ///< where it was told to stop, or interrupted; identical so far
    Diverged,
  };
  Outcome outcome = Outcome::Identical;
  std::uint64_t events = 0;   ///< exits, answers, injections and inputs that were compared
  std::uint64_t digests = 0;  ///< states that were compared
  std::uint64_t exits = 0;    ///< seen, compared or not
  std::optional<traces::Divergence> divergence;  ///< left: recorded, right: seen
  RunReport run;
};

/// InvalidInput where a trace speaks of an instruction count that no machine comes to in a
/// lifetime: a replay would not end.
[[nodiscard]] Result<> check_counts(const traces::Reader& trace);

/// Replays a trace on a machine that is set up as the recorded one was, and has not run.
class Replayer final : public MachineObserver, private DeviceRecord {
 public:
  /// Both outlive this.
  Replayer(Machine& machine, const traces::Reader& trace);
  ~Replayer() override;
  Replayer(const Replayer&) = delete;
  Replayer& operator=(const Replayer&) = delete;

  /// Before the first run, the guest alone: devices are taken away for good; what they answered,
  /// and what their interrupt lines did, comes from the trace. Interrupt controllers and the timers
  /// of the platform stay, and devices that use memory by themselves. What devices hold and print
  /// is not compared then. Unsupported where the trace holds inputs only.
  [[nodiscard]] Result<> without_devices();

  /// What a reset of `vm` loads, where the trace has one. Outlives the replay.
  void set_images(VmId vm, const Images& images) { images_[vm] = &images; }

  /// To the end of the trace, the first difference, or `until`. An Error where the trace cannot be
  /// read on. The machine is stopped between two instructions then, and may run on.
  [[nodiscard]] Result<ReplayReport> run(const Until& until = {});

  void on_exit(const ExitEvent& event) override;
  void on_answer(const AnswerEvent& event) override;
  void on_injection(const InjectionEvent& event) override;
  void on_input(const traces::InputRecord& input) override;

 private:
  class TimeAlarm;

  void on_device_access() override;
  [[nodiscard]] std::uint64_t recorded_answer() override;
  /// False at the end; head_ is the next recorded event otherwise.
  [[nodiscard]] bool fetch();
  /// Lines of devices that changed up to now.
  void apply_device_lines();
  [[nodiscard]] bool is_compared(traces::Part part) const;
  void compare(const traces::Event& seen);
  /// The machine, and not because somebody else wants it.
  void stop();
  void diverge(traces::Divergence divergence);
  /// The digests recorded at this instruction count, or null. Counts only grow.
  [[nodiscard]] const traces::DigestRecord* recorded_digest(std::uint64_t retired);
  void check_digest();
  void check_end();
  void check_until(const ExitEvent& event);
  [[nodiscard]] bool is_over() const { return diverged_ || stopped_ || error_; }
  /// To this instruction count, or where a run ends by itself.
  RunReport advance_to(std::uint64_t retired);
  RunReport step_to(std::uint64_t retired, std::uint64_t pc);
  /// Runs to where an input came. False where that place is not reached, or the replay is over.
  [[nodiscard]] bool reaches(const traces::InputRecord& input);
  void replay_input(const traces::InputRecord& input);
  void replay_end();
  /// Whoever interrupts a machine may do so behind an exit, or at rest: where fewer exits or less
  /// idle time than that were seen at this instruction count, goes on to them.
  void catch_up(std::uint64_t exits, std::uint64_t idle_ns);
  [[nodiscard]] bool is_at(std::uint64_t pc);
  /// `where` may be null: vm and vcpu are not known.
  void differ(std::string field, std::string recorded, std::string seen,
              const traces::PartDigest* where = nullptr);

  Machine& machine_;
  const traces::Reader& trace_;
  traces::EventCursor cursor_;
  traces::Event head_;
  bool has_head_ = false;
  bool without_devices_ = false;
  std::vector<std::unique_ptr<Device>> taken_;
  traces::History history_;
  Until until_;
  std::map<VmId, const Images*> images_;  ///< never null
  bool compares_events_;
  bool exhausted_ = false;  ///< no more events in a trace that was cut off
  std::optional<traces::Divergence> diverged_;
  bool stopped_ = false;
  bool stops_by_itself_ = false;
  std::optional<Error> error_;
  std::uint64_t events_ = 0;
  std::uint64_t digests_ = 0;
  std::uint64_t exits_ = 0;
  std::uint64_t last_exit_ = kNever;         ///< behind so many exits the machine stops
  std::vector<std::uint64_t> exits_before_;  ///< each input
  std::size_t input_ = 0;                    ///< the next one
  std::size_t digest_ = 0;                   ///< the next one
  traces::DigestState recorded_parts_;
  RunReport last_;
};

}  // namespace retrap
