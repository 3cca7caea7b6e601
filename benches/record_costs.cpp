// What recording and replaying cost a Linux boot: record_costs ARCH KERNEL INITRD FOLDER [ROUNDS
// [VCPUS]]. Machines that are to be compared run by turns, so that what else the host does hits all
// of them alike.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "sim/record.h"
#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "traces/sink.h"
#include "vmm/base/digest.h"
#include "vmm/config_text.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using traces::Detail;

/// Long enough to pay for the switch, short enough for the host not to change meanwhile.
constexpr std::uint64_t kTurn = 10'000'000;

struct Guest {
  ArchId arch = ArchId::X86_64;
  std::vector<std::byte> kernel;
  std::vector<std::byte> initrd;
  std::uint32_t vcpus = 1;
};

struct Cost {
  double cpu = 0;
  double wall = 0;
};

double seconds(clockid_t clock) {
  timespec now{};
  (void)clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Adds what happens in its life to a cost.
class Timed {
 public:
  explicit Timed(Cost& cost) : cost_(cost) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() {
    cost_.cpu += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    cost_.wall += seconds(CLOCK_MONOTONIC) - wall_;
  }

 private:
  Cost& cost_;
  double cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
  double wall_ = seconds(CLOCK_MONOTONIC);
};

Result<std::unique_ptr<Machine>> machine_for(const Guest& guest) {
  RETRAP_TRY(auto machine, Machine::create({}));
  VmConfig config = machine->architecture(guest.arch)->default_config(std::uint64_t{512} << 20);
  config.cpu_num = guest.vcpus;
  config.cmdline =
      guest.arch == ArchId::Aarch64 ? "console=ttyAMA0 panic=-1" : "console=ttyS0 panic=-1";
  Images images;
  RETRAP_TRY(images.kernel, Image::parse("kernel", guest.kernel, guest.arch));
  images.ramdisk = guest.initrd;
  RETRAP_TRY([[maybe_unused]] Vm * vm, machine->add_vm(std::move(config), images));
  return machine;
}

/// A boot that goes on turn by turn, and what it has cost so far.
class Boot {
 public:
  virtual ~Boot() = default;
  /// True once it has ended; an Error where it went wrong.
  [[nodiscard]] Result<bool> turn() {
    if (ended_) return true;
    turns_.emplace_back();
    const Timed timed(turns_.back());
    RETRAP_TRY(ended_, advance());
    return ended_;
  }
  [[nodiscard]] bool has_ended() const { return ended_; }
  /// Of each turn.
  [[nodiscard]] const std::vector<Cost>& turns() const { return turns_; }

 protected:
  [[nodiscard]] virtual Result<bool> advance() = 0;

 private:
  std::vector<Cost> turns_;
  bool ended_ = false;
};

Result<bool> ended(const RunReport& report) {
  if (report.reason == StopReason::BudgetSpent) return false;
  if (report.reason == StopReason::PoweredOff) return true;
  return fail(ErrorCode::Backend, "the guest did not power off: {} {}", to_string(report.reason),
              report.detail);
}

class PlainBoot final : public Boot {
 public:
  explicit PlainBoot(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}

 protected:
  Result<bool> advance() override { return ended(machine_->run(kTurn)); }

 private:
  std::unique_ptr<Machine> machine_;
};

class RecordedBoot final : public Boot {
 public:
  RecordedBoot(std::unique_ptr<Machine> machine, const Guest& guest, Detail detail,
               std::string path)
      : machine_(std::move(machine)), guest_(guest), detail_(detail), path_(std::move(path)) {}

  [[nodiscard]] const traces::Writer& writer() const { return recorder_->writer(); }

 protected:
  Result<bool> advance() override {
    if (recorder_ == nullptr) RETRAP_TRY(begin());
    const RunReport report = recorder_->run(kTurn);
    RETRAP_TRY(const bool over, ended(report));
    if (over) RETRAP_TRY(recorder_->finish(report));
    return over;
  }

 private:
  /// As retrap record does it: what the images are is part of the trace.
  Result<> begin() {
    const VmConfig& config = machine_->vm(0).config();
    traces::Header header{.detail = detail_,
                          .digest_interval = detail_ == Detail::Full ? 100'000'000U : 0U,
                          .configs = {to_toml(config)}};
    for (const auto* bytes : {&guest_.kernel, &guest_.initrd}) {
      Digest digest;
      digest.add(*bytes);
      header.images.push_back({.vm = VmId{config.id},
                               .role = "kernel",
                               .path = "kernel",
                               .size = bytes->size(),
                               .digest = digest.value()});
    }
    RETRAP_TRY(auto sink, traces::make_file_sink(path_));
    RETRAP_TRY(recorder_, Recorder::start(*machine_, std::move(sink), header));
    return {};
  }

  std::unique_ptr<Machine> machine_;
  const Guest& guest_;
  Detail detail_;
  std::string path_;
  std::unique_ptr<Recorder> recorder_;
};

class ReplayedBoot final : public Boot {
 public:
  ReplayedBoot(std::unique_ptr<Machine> machine, std::string path)
      : machine_(std::move(machine)), path_(std::move(path)) {}

 protected:
  Result<bool> advance() override {
    if (trace_ == nullptr) {
      RETRAP_TRY(auto trace, traces::Reader::open(path_));
      trace_ = std::make_unique<traces::Reader>(std::move(trace));
      replayer_ = std::make_unique<Replayer>(*machine_, *trace_);
    }
    const std::uint64_t to = machine_->clock().retired() + kTurn;
    RETRAP_TRY(const ReplayReport report, replayer_->run(UntilInstruction{to}));
    if (report.outcome == ReplayReport::Outcome::Diverged) {
      return fail(ErrorCode::Diverged, "{}",
                  traces::to_text(*report.divergence, "recorded", "now"));
    }
    return report.outcome == ReplayReport::Outcome::Identical;
  }

 private:
  std::unique_ptr<Machine> machine_;
  std::string path_;
  std::unique_ptr<traces::Reader> trace_;
  std::unique_ptr<Replayer> replayer_;
};

/// All of them to their ends, by turns. Each goes first as often as the others.
Result<> race(const std::vector<std::unique_ptr<Boot>>& boots) {
  for (std::size_t first = 0;; ++first) {
    bool all = true;
    for (std::size_t i = 0; i < boots.size(); ++i) {
      RETRAP_TRY(const bool over, boots[(first + i) % boots.size()]->turn());
      all = all && over;
    }
    if (all) return {};
  }
}

Cost sum(const std::vector<Cost>& turns) {
  Cost all;
  for (const Cost& turn : turns) {
    all.cpu += turn.cpu;
    all.wall += turn.wall;
  }
  return all;
}

/// The least that each turn has taken in any round: what is left without the host's other work.
void take_least(std::vector<double>& least, const std::vector<Cost>& turns) {
  least.resize(std::max(least.size(), turns.size()), 1e9);
  for (std::size_t i = 0; i < turns.size(); ++i) least[i] = std::min(least[i], turns[i].cpu);
}

/// The ratios of several rounds.
struct Ratio {
  std::string_view what;
  double limit;
  std::vector<double> cpu{};
  std::vector<double> wall{};
  std::vector<double> least{};       ///< of each turn
  std::vector<double> base_least{};  ///< of each turn

  void add(const Boot& boot, const Boot& base) {
    const Cost cost = sum(boot.turns());
    const Cost base_cost = sum(base.turns());
    cpu.push_back(cost.cpu / base_cost.cpu);
    wall.push_back(cost.wall / base_cost.wall);
    take_least(least, boot.turns());
    take_least(base_least, base.turns());
  }
  /// Of the sums of the least.
  [[nodiscard]] double quiet() const {
    return std::accumulate(least.begin(), least.end(), 0.0) /
           std::accumulate(base_least.begin(), base_least.end(), 0.0);
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void show(const Ratio& ratio) {
  const double cpu = median(ratio.cpu);
  const auto [least, most] = std::minmax_element(ratio.cpu.begin(), ratio.cpu.end());
  fmt::print("  {:<24} {:6.3f}   {:5.3f} to {:5.3f}   {:6.3f}   {:6.3f}   {:5.2f}\n", ratio.what,
             cpu, *least, *most, ratio.quiet(), median(ratio.wall), ratio.limit);
}

Result<> show_exits_only(const std::string& path) {
  RETRAP_TRY(const auto trace, traces::Reader::open(path));
  RETRAP_TRY(const VmConfig config, parse_config(trace.header().configs[0], "config"));
  double best = 1e9;
  std::uint64_t exits = 0;
  for (int i = 0; i < 9; ++i) {
    Cost cost;
    {
      const Timed timed(cost);
      RETRAP_TRY(const auto report, replay_exits(trace, config));
      exits = report.exits;
      if (report.divergence) {
        return fail(ErrorCode::Diverged, "{}",
                    traces::to_text(*report.divergence, "recorded", "the monitor alone"));
      }
    }
    best = std::min(best, cost.cpu);
  }
  const double rate = static_cast<double>(exits) / best / 1e6;
  fmt::print("  replay --exits-only      {:6.2f} million exits/s ({} exits), at least 2: {}\n",
             rate, exits, rate >= 2 ? "met" : "MISSED");
  return {};
}

Result<> measure(const Guest& guest, const std::string& folder, std::uint64_t rounds) {
  const auto path = [&](std::string_view name) { return fmt::format("{}/{}.rtr", folder, name); };
  std::array<Ratio, 5> ratios = {{{"record inputs", 1.02},
                                  {"record exits", 1.10},
                                  {"record full", 9.99},
                                  {"replay of exits", 1.05},
                                  {"replay of full", 1.05}}};
  std::uint64_t exits = 0;
  std::uint64_t bytes = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    constexpr std::array kDetails = {Detail::Inputs, Detail::Exits, Detail::Full};
    constexpr std::array<std::string_view, 3> kNames = {"inputs", "exits", "full"};
    std::vector<std::unique_ptr<Boot>> boots;
    RETRAP_TRY(auto plain, machine_for(guest));
    boots.push_back(std::make_unique<PlainBoot>(std::move(plain)));
    for (std::size_t i = 0; i < kDetails.size(); ++i) {
      RETRAP_TRY(auto machine, machine_for(guest));
      boots.push_back(
          std::make_unique<RecordedBoot>(std::move(machine), guest, kDetails[i], path(kNames[i])));
    }
    RETRAP_TRY(race(boots));
    for (std::size_t i = 0; i < 3; ++i) ratios[i].add(*boots[i + 1], *boots[0]);
    const auto& writer = dynamic_cast<const RecordedBoot&>(*boots[2]).writer();
    exits = writer.exits();
    bytes = writer.bytes_of(traces::Layer::Exits);

    boots.clear();
    for (const std::size_t i : {1U, 2U}) {
      RETRAP_TRY(auto recorded, machine_for(guest));
      boots.push_back(
          std::make_unique<RecordedBoot>(std::move(recorded), guest, kDetails[i], path("again")));
      RETRAP_TRY(auto replayed, machine_for(guest));
      boots.push_back(std::make_unique<ReplayedBoot>(std::move(replayed), path(kNames[i])));
    }
    RETRAP_TRY(race(boots));
    ratios[3].add(*boots[1], *boots[0]);
    ratios[4].add(*boots[3], *boots[2]);
  }
  fmt::print(
      "{} with {} vcpu: {:.2f} bytes an exit\n  {:<24} {:>6}   {:<14}   {:>6}   {:>6}   {}\n",
      to_string(guest.arch), guest.vcpus, static_cast<double>(bytes) / static_cast<double>(exits),
      fmt::format("(median of {})", rounds), "cpu", "least, most", "quiet", "wall", "limit");
  for (const Ratio& ratio : ratios) show(ratio);
  return show_exits_only(path("exits"));
}

std::vector<std::byte> contents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return std::max<std::uint64_t>(value, 1);
}

}  // namespace
}  // namespace retrap

int main(int count, char** arguments) {
  using namespace retrap;
  const std::span<char*> words(arguments, static_cast<std::size_t>(count));
  const auto arch = words.size() < 5 ? std::nullopt : arch_from_name(words[1]);
  if (!arch) {
    fmt::print(stderr, "record_costs ARCH KERNEL INITRD FOLDER [ROUNDS [VCPUS]]\n");
    return 2;
  }
  const Guest guest{.arch = *arch,
                    .kernel = contents(words[2]),
                    .initrd = contents(words[3]),
                    .vcpus = words.size() > 6 ? static_cast<std::uint32_t>(number(words[6])) : 1};
  const auto done = measure(guest, words[4], words.size() > 5 ? number(words[5]) : 5);
  if (done) return 0;
  fmt::print(stderr, "record_costs: {}\n", done.error().message);
  return 1;
}
