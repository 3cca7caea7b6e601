// Full replay: inputs at their instruction counts, and everything else compared.
#include "sim/replay.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "sim/record.h"
#include "traces/text.h"

namespace retrap {

using traces::AnswerRecord;
using traces::DigestRecord;
using traces::EndRecord;
using traces::Event;
using traces::ExitRecord;
using traces::InjectionRecord;
using traces::InputRecord;

namespace {

/// Some thirty years.
constexpr std::uint64_t kLongestRun = std::uint64_t{1} << 60;

Result<> check_count(const traces::Reader& trace, std::uint64_t retired) {
  if (retired < kLongestRun) return {};
  return fail(ErrorCode::InvalidInput,
              "{}: says that {} instructions ran, which no machine comes to; record it again",
              trace.name(), retired);
}

/// The instruction count of the last that a trace says: all that is known of where a recording was
/// when it was cut off.
Result<std::uint64_t> last_known(const traces::Reader& trace) {
  std::uint64_t last = 0;
  for (const InputRecord& input : trace.inputs()) {
    if (input.retired != kNever) last = std::max(last, input.retired);
  }
  for (const DigestRecord& digest : trace.digests()) last = std::max(last, digest.retired);
  traces::EventCursor events(trace);
  for (Event event;;) {
    RETRAP_TRY(const bool more, events.next(event));
    if (!more) {
      RETRAP_TRY(check_count(trace, last));
      return last;
    }
    if (const auto* exit = std::get_if<ExitRecord>(&event)) last = std::max(last, exit->retired);
  }
}

/// How many exits there were before each input.
std::vector<std::uint64_t> exits_before_inputs(const traces::Reader& trace) {
  std::vector<std::uint64_t> before(trace.inputs().size());
  std::uint64_t exits = trace.end() ? trace.end()->exits : 0;
  std::size_t input = before.size();
  const auto& blocks = trace.blocks();
  for (std::size_t block = blocks.size(); block-- > 0;) {
    if (blocks[block].frame.layer == traces::Layer::Exits) exits = blocks[block].frame.first;
    while (input > 0 && trace.block_of_input(input - 1) == block) before[--input] = exits;
  }
  return before;
}

/// Whether a run that ended so is at the place of an input.
bool is_as(InputRecord::When when, StopReason reason) {
  switch (when) {
    case InputRecord::When::Stopped:
      return reason == StopReason::BudgetSpent || reason == StopReason::Interrupted;
    case InputRecord::When::Resting: return reason == StopReason::Deadlocked;
    case InputRecord::When::Same:    return true;
    case InputRecord::When::Ended:
      return reason != StopReason::BudgetSpent && reason != StopReason::Deadlocked &&
             reason != StopReason::Interrupted;
  }
  return false;
}

}  // namespace

Result<> check_counts(const traces::Reader& trace) {
  for (const InputRecord& input : trace.inputs()) RETRAP_TRY(check_count(trace, input.retired));
  return trace.end() ? check_count(trace, trace.end()->retired) : Result<>();
}

/// Stops the machine at a virtual time.
class Replayer::TimeAlarm final : public AlarmSink {
 public:
  /// The replay has come to its end then, where `is_end`.
  TimeAlarm(Replayer& replayer, std::uint64_t ns, bool is_end)
      : replayer_(replayer), is_end_(is_end), id_(clock().add_alarm(this)) {
    clock().set_alarm(id_, ns);
  }
  TimeAlarm(const TimeAlarm&) = delete;
  TimeAlarm& operator=(const TimeAlarm&) = delete;
  ~TimeAlarm() override { clock().remove_alarm(id_); }

  void on_alarm(std::uint64_t now_ns) override {
    (void)now_ns;
    replayer_.stopped_ = replayer_.stopped_ || is_end_;
    replayer_.stop();
  }
  [[nodiscard]] bool is_observer() const override { return true; }

 private:
  [[nodiscard]] Clock& clock() { return replayer_.machine_.clock(); }

  Replayer& replayer_;
  bool is_end_;
  Clock::AlarmId id_;
};

Replayer::Replayer(Machine& machine, const traces::Reader& trace)
    : machine_(machine),
      trace_(trace),
      cursor_(trace),
      compares_events_(trace.header().detail != traces::Detail::Inputs),
      exits_before_(exits_before_inputs(trace)) {}

Replayer::~Replayer() {
  machine_.set_observer(nullptr);
}

void Replayer::stop() {
  stops_by_itself_ = true;
  machine_.request_stop();
}

void Replayer::diverge(traces::Divergence divergence) {
  if (diverged_) return;
  diverged_ = std::move(divergence);
  stop();
}

void Replayer::compare(const Event& seen) {
  if (!compares_events_ || exhausted_ || diverged_ || error_) return;
  const bool more = fetch();
  if (error_) return;
  if (!more && !trace_.end()) {
    exhausted_ = true;
    stop();
    return;
  }
  const std::uint64_t exit = cursor_.exits() == 0 ? 0 : cursor_.exits() - 1;
  if (more && head_ == seen) {
    has_head_ = false;
    ++events_;
    history_.add(seen, exit);
    return;
  }
  auto what = more ? traces::difference(head_, seen).value_or(traces::FieldDifference{})
                   : traces::FieldDifference{"event", "none", "one more"};
  diverge(
      traces::divergence_between(more ? &head_ : nullptr, &seen, std::move(what), exit, history_));
}

bool Replayer::fetch() {
  if (has_head_) return true;
  const auto more = cursor_.next(head_);
  if (!more) {
    error_ = more.error();
    stop();
  }
  has_head_ = more && *more;
  return has_head_;
}

void Replayer::on_exit(const ExitEvent& event) {
  compare(traces::record_of(event, machine_.clock().idle_ns()));
  check_until(event);
  ++exits_;
  if (exits_ == last_exit_) stop();
}

void Replayer::on_answer(const AnswerEvent& event) {
  compare(traces::record_of(event));
}

void Replayer::on_injection(const InjectionEvent& event) {
  if (event.change == LineChange::Deliver && !traces::has_deliveries(trace_.version())) return;
  compare(traces::record_of(event));
}

void Replayer::on_input(const InputRecord& input) {
  (void)input;
  ++events_;
}

void Replayer::check_until(const ExitEvent& event) {
  const auto* exit = std::get_if<UntilExit>(&until_);
  const auto* kind = std::get_if<UntilKind>(&until_);
  const bool here = (exit != nullptr && exit->exit == exits_) ||
                    (kind != nullptr && kind->kind == event.reason.index());
  if (!here || stopped_) return;
  stopped_ = true;
  stop();
}

void Replayer::differ(std::string field, std::string recorded, std::string seen,
                      const traces::PartDigest* where) {
  traces::Divergence divergence{.exit = exits_ == 0 ? 0 : exits_ - 1,
                                .retired = machine_.clock().retired(),
                                .what = {std::move(field), std::move(recorded), std::move(seen)},
                                .before = history_.lines()};
  if (machine_.vm_num() != 0) divergence.vm = machine_.vm(0).id();
  if (where != nullptr) {
    divergence.vm = where->vm;
    divergence.vcpu = where->vcpu;
  }
  diverge(std::move(divergence));
}

const DigestRecord* Replayer::recorded_digest(std::uint64_t retired) {
  const auto& digests = trace_.digests();
  const DigestRecord* last = nullptr;
  for (; digest_ < digests.size() && digests[digest_].retired <= retired; ++digest_) {
    last = &digests[digest_];
    recorded_parts_.apply(*last);
  }
  return last != nullptr && last->retired == retired ? last : nullptr;
}

void Replayer::check_digest() {
  const DigestRecord* const recorded = recorded_digest(machine_.clock().retired());
  if (recorded == nullptr || is_over()) return;
  traces::DigestState now;
  const std::uint64_t root = now.change_to(0, digest_parts(machine_, trace_.version())).root;
  ++digests_;
  if (root == recorded->root) return;
  const auto wanted = recorded_parts_.parts();
  const auto found = traces::differences(wanted, now.parts(), wanted.size() + now.size());
  std::vector<traces::PartDifference> differing;
  std::ranges::copy_if(found, std::back_inserter(differing),
                       [&](const auto& one) { return is_compared(one.part.part); });
  if (differing.empty()) return;
  constexpr std::size_t kMost = 9;
  if (differing.size() > kMost) differing.resize(kMost);
  const traces::PartDifference& first = differing[0];
  differ("digest of the " + traces::name_of(first.part), traces::digest_text(first.left, "none"),
         traces::digest_text(first.right, "none"), &first.part);
  diverged_->also = traces::names_of(differing);
}

bool Replayer::is_at(std::uint64_t pc) {
  for (std::size_t i = 0; i < machine_.vm_num(); ++i) {
    Vm& vm = machine_.vm(i);
    for (std::uint32_t id = 0; id < vm.vcpu_num(); ++id) {
      if ((*vm.vcpu(VcpuId{id}))->arch().pc() == pc) return true;
    }
  }
  return false;
}

RunReport Replayer::step_to(std::uint64_t retired, std::uint64_t pc) {
  RunReport report;
  do {
    report = machine_.run(1);
    if (is_at(pc)) stopped_ = true;
  } while (report.reason == StopReason::BudgetSpent && report.instructions < retired && !is_over());
  return report;
}

RunReport Replayer::advance_to(std::uint64_t retired) {
  const auto* until = std::get_if<UntilInstruction>(&until_);
  const bool stops = until != nullptr && until->retired <= retired;
  const std::uint64_t to = stops ? until->retired : retired;
  const std::uint64_t now = machine_.clock().retired();
  stops_by_itself_ = false;
  RunReport report{.reason = StopReason::BudgetSpent,
                   .detail = {},
                   .instructions = now,
                   .virtual_time_ns = machine_.clock().now_ns()};
  if (const auto* pc = std::get_if<UntilPc>(&until_); pc != nullptr && to > now) {
    report = step_to(to, pc->pc);
  } else if (to > now) {
    const std::uint64_t interval = trace_.digests().empty() ? 0 : trace_.header().digest_interval;
    report = run_in_intervals(machine_, to - now, interval, [this] { check_digest(); });
  }
  if (stops && machine_.clock().retired() >= to) stopped_ = true;
  if (report.reason == StopReason::Interrupted && !stops_by_itself_) stopped_ = true;
  last_ = report;
  return report;
}

void Replayer::catch_up(std::uint64_t exits, std::uint64_t idle_ns) {
  Clock& clock = machine_.clock();
  const std::uint64_t retired = clock.retired();
  const auto may_go_on = [&] {
    return !is_over() && last_.reason == StopReason::BudgetSpent && clock.retired() == retired &&
           retired != kNever;
  };
  if (may_go_on() && compares_events_ && exits_ < exits) {
    last_exit_ = exits;
    (void)advance_to(retired + 1);
    last_exit_ = kNever;
  }
  if (may_go_on() && clock.idle_ns() < idle_ns) {
    const TimeAlarm alarm(*this, clock.now_ns() + (idle_ns - clock.idle_ns()), /*is_end=*/false);
    (void)advance_to(retired + 1);
  }
}

bool Replayer::reaches(const InputRecord& input) {
  // Where everything waited, one instruction more than there was finds it waiting again.
  using When = InputRecord::When;
  const bool by_count = input.when == When::Stopped || input.retired == kNever;
  (void)advance_to(by_count ? input.retired : input.retired + 1);
  if (input.when == When::Stopped) catch_up(exits_before_[input_], 0);
  const RunReport& report = last_;
  if (is_over()) return false;
  if (report.instructions == input.retired && is_as(input.when, report.reason)) return true;
  constexpr std::array<std::string_view, 4> kWhen = {"stopped", "deadlocked", "as before", "ended"};
  differ("where an input came",
         fmt::format("{} at instruction {}", kWhen[static_cast<std::size_t>(input.when)],
                     input.retired),
         fmt::format("{} at instruction {}", to_string(report.reason), report.instructions));
  return false;
}

void Replayer::replay_input(const InputRecord& input) {
  if (input.when != InputRecord::When::Same && !reaches(input)) return;
  for (std::size_t i = 0; i < machine_.vm_num(); ++i) {
    if (machine_.vm(i).id() != input.vm) continue;
    if (without_devices_ && std::holds_alternative<traces::ConsoleInput>(input.input)) {
      ++events_;
      return apply_device_lines();
    }
    const auto images = images_.find(input.vm);
    const Vm& vm = machine_.vm(i);
    const auto applied = machine_.apply(machine_.vm(i), input.input,
                                        images == images_.end() ? nullptr : images->second);
    // A reset that fails is recorded, too. Whether this one did then, digests and the end say.
    const bool has_failed =
        !applied && vm.state() == VmState::Failed && vm.life().detail() == applied.error().message;
    if (!applied && !has_failed) differ("input", traces::to_text(input), applied.error().message);
    return;
  }
  differ("input", traces::to_text(input), fmt::format("there is no vm {}", index(input.vm)));
}

void Replayer::check_end() {
  const EndRecord& end = *trace_.end();
  const auto recorded = static_cast<StopReason>(end.reason);
  const bool is_alike =
      static_cast<std::uint8_t>(last_.reason) == end.reason ||
      (recorded == StopReason::Interrupted &&
       (last_.reason == StopReason::BudgetSpent || last_.reason == StopReason::Deadlocked));
  if (!is_alike || last_.instructions != end.retired) {
    return differ("end", fmt::format("{} at instruction {}", to_string(recorded), end.retired),
                  fmt::format("{} at instruction {}", to_string(last_.reason), last_.instructions));
  }
  if (compares_events_ && exits_ != end.exits) {
    return differ("exits", fmt::format("{}", end.exits), fmt::format("{}", exits_));
  }
  if (without_devices_) return;
  const std::uint64_t digest = machine_.digest();
  ++digests_;
  if (digest != end.digest) {
    differ("digest at the end", fmt::format("{:016x}", end.digest), fmt::format("{:016x}", digest));
  }
}

void Replayer::replay_end() {
  const auto& end = trace_.end();
  if (!end) {
    const auto last = last_known(trace_);
    // An exit comes before the instruction that it keeps from retiring.
    if (last) (void)advance_to(*last + 1);
    if (!last) error_ = last.error();
    return;
  }
  const auto reason = static_cast<StopReason>(end->reason);
  const bool by_count = reason == StopReason::BudgetSpent || reason == StopReason::Interrupted ||
                        end->retired == kNever;
  (void)advance_to(by_count ? end->retired : end->retired + 1);
  if (reason == StopReason::Interrupted) catch_up(end->exits, end->idle_ns);
  if (!is_over()) check_end();
}

Result<ReplayReport> Replayer::run(const Until& until) {
  RETRAP_TRY(check_counts(trace_));
  until_ = until;
  stopped_ = false;
  const bool listens = compares_events_ || std::holds_alternative<UntilExit>(until) ||
                       std::holds_alternative<UntilKind>(until);
  machine_.set_observer(this, listens ? Machine::Listen::Everything : Machine::Listen::Inputs);
  {
    const auto* time = std::get_if<UntilTime>(&until);
    const TimeAlarm alarm(*this, time == nullptr ? kNever : time->ns, /*is_end=*/true);
    while (!is_over() && input_ < trace_.inputs().size()) {
      const InputRecord& input = trace_.inputs()[input_];
      replay_input(input);
      if (!stopped_) ++input_;
    }
    if (!is_over()) replay_end();
  }
  machine_.set_observer(nullptr);
  if (error_) return tl::unexpected(*error_);
  using Outcome = ReplayReport::Outcome;
  return ReplayReport{.outcome = diverged_  ? Outcome::Diverged
                                 : stopped_ ? Outcome::Stopped
                                            : Outcome::Identical,
                      .events = events_,
                      .digests = digests_,
                      .exits = exits_,
                      .divergence = diverged_,
                      .run = last_};
}

}  // namespace retrap
