// Children that record, and a parent that kills them.
#include "tests/replay/kills.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "sim/record.h"
#include "sim/replay.h"
#include "tests/replay/guest_machine.h"
#include "traces/sink.h"
#include "traces/text.h"
#include "vmm/base/prng.h"

namespace retrap::test {
namespace {

/// The console guest is typed at all the time: exits, inputs and digests, one block after another.
bool record_at(ArchId arch, const std::string& path) {
  auto machine = machine_with(arch, "echo");
  auto sink = traces::make_file_sink(path);
  if (!machine || !sink) return false;
  auto recorder = Recorder::start(**machine, *std::move(sink),
                                  {.detail = traces::Detail::Full, .digest_interval = 20'000});
  if (!recorder) return false;
  Vm& vm = (*machine)->vm(0);
  RunReport report = (*recorder)->run(1'000'000);
  for (int i = 0; i < 1000 && report.reason == StopReason::Deadlocked; ++i) {
    if (!(*machine)->type(vm, static_cast<char>('A' + i % 26))) break;
    report = (*recorder)->run(1'000'000);
  }
  return (*recorder)->finish(report).has_value();
}

traces::ByteVector contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::uint64_t end_of(const traces::Reader::Block& block) {
  return block.offset + traces::kFrameSize + block.frame.stored;
}

}  // namespace

Killing::Killing(ArchId arch, const std::filesystem::path& folder)
    : arch_(arch), path_((folder / fmt::format("{}.rtr", to_string(arch))).string()) {
  const bool recorded = record_at(arch_, path_);
  if (recorded) whole_ = contents(path_);
}

std::string Killing::check(const traces::ByteVector& left, Killed& killed) const {
  if (left.size() > whole_.size() || !std::equal(left.begin(), left.end(), whole_.begin())) {
    return "it is not the beginning of the recording that was not killed";
  }
  const auto whole = traces::Reader::parse("whole.rtr", whole_);
  if (!whole) return whole.error().message;
  const auto& blocks = whole->blocks();
  if (left.size() < end_of(blocks[0])) return {};  // nothing yet to open
  const auto reader = traces::Reader::parse("killed.rtr", left);
  if (!reader) return reader.error().message;
  const auto there = static_cast<std::size_t>(std::count_if(
      blocks.begin(), blocks.end(),
      [&](const traces::Reader::Block& block) { return end_of(block) <= left.size(); }));
  if (reader->blocks().size() != there) {
    return fmt::format("{} blocks are read of {} whole ones", reader->blocks().size(), there);
  }
  killed.was_cut_off = !reader->end().has_value();
  killed.within_a_block = killed.was_cut_off && left.size() != end_of(blocks[there - 1]);
  auto machine = machine_with(arch_, "echo");
  if (!machine) return machine.error().message;
  const auto report = Replayer(**machine, *reader).run();
  if (!report) return report.error().message;
  if (report->outcome == ReplayReport::Outcome::Identical) return {};
  return traces::to_text(*report->divergence, "recorded", "now");
}

Killed Killing::run(std::uint64_t seed) {
  std::filesystem::remove(path_);
  Prng prng(seed);
  const std::uint64_t size = prng.below(whole_.size() + 1);
  const std::chrono::microseconds more(prng.below(200));
  const pid_t child = fork();
  if (child == 0) _exit(record_at(arch_, path_) ? 0 : 1);
  int status = 0;
  bool runs = true;
  std::error_code nothing_there;
  while (runs && (!std::filesystem::exists(path_) ||
                  std::filesystem::file_size(path_, nothing_there) < size)) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    runs = waitpid(child, &status, WNOHANG) == 0;
  }
  std::this_thread::sleep_for(more);
  if (runs) {
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
  }
  Killed killed;
  if (whole_.empty()) {
    killed.problem = "nothing can be recorded";
  } else if (std::filesystem::exists(path_)) {
    killed.problem = check(contents(path_), killed);
  }
  return killed;
}

}  // namespace retrap::test
