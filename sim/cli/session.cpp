// Starts recordings, and types at guests.
#include "sim/cli/session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <utility>

#include "sim/architectures.h"
#include "sim/cli/keyboard.h"
#include "vmm/base/digest.h"
#include "vmm/config_text.h"

namespace retrap::cli {
namespace {

/// How often standard input is looked at: a millisecond of a guest that is busy.
constexpr std::uint64_t kStep = 1'000'000;

constexpr std::array<std::string_view, 4> kRoles = {"kernel", "ramdisk", "dtb", "bios"};

std::string path_of(const VmConfig& config, std::string_view role) {
  if (role == "kernel") return config.kernel_path;
  if (role == "ramdisk") return config.ramdisk_path.value_or("");
  if (role == "dtb") return config.dtb_path.value_or("");
  return config.bios_path.value_or("");
}

}  // namespace

std::span<const std::byte> bytes_of(const Images& images, std::string_view role) {
  if (role == "kernel")
    return images.kernel ? images.kernel->bytes() : std::span<const std::byte>{};
  if (role == "ramdisk") return images.ramdisk;
  return role == "dtb" ? images.dtb : images.bios;
}

std::vector<traces::ImageRecord> image_records(const VmConfig& config, const Images& images,
                                               bool embedded) {
  std::vector<traces::ImageRecord> records;
  for (const std::string_view role : kRoles) {
    const auto bytes = bytes_of(images, role);
    if (bytes.empty()) continue;
    Digest digest;
    digest.add(bytes);
    records.push_back({.vm = VmId{config.id},
                       .role = std::string(role),
                       .path = path_of(config, role),
                       .size = bytes.size(),
                       .digest = digest.value(),
                       .embedded = embedded});
  }
  return records;
}

Result<Session> Session::start(std::unique_ptr<Machine> machine, const RunOptions& options,
                               const Images& images) {
  Session session(std::move(machine), options.console_input);
  if (!options.output) return session;
  const VmConfig& config = session.machine_->vm(0).config();
  const bool full = options.detail == traces::Detail::Full;
  const traces::Header header{.program = program_name(),
                              .detail = options.detail,
                              .seed = options.seed,
                              .memory_bytes = 0,
                              .digest_interval = full ? options.digest_interval : 0,
                              .configs = {to_toml(config)},
                              .images = image_records(config, images, options.with_images),
                              .notes = {},
                              .boards = {{.arch = std::string(to_string(config.arch)),
                                          .revision = board_revision(config.arch)}}};
  // A file that has become too large is an error of write(), not the end of the guest.
  (void)std::signal(SIGXFSZ, SIG_IGN);
  RETRAP_TRY(auto sink, traces::make_file_sink(*options.output));
  RETRAP_TRY(session.recorder_, Recorder::start(*session.machine_, std::move(sink), header));
  if (!options.with_images) return session;
  for (std::size_t i = 0; i < header.images.size(); ++i) {
    RETRAP_TRY(session.recorder_->embed(i, bytes_of(images, header.images[i].role)));
  }
  return session;
}

RunReport Session::run(std::uint64_t max_instructions) {
  return recorder_ ? recorder_->run(max_instructions) : machine_->run(max_instructions);
}

RunReport Session::run_interactively(std::uint64_t max_instructions) {
  using Clock = std::chrono::steady_clock;
  Keyboard keyboard;
  const auto start = Clock::now();
  Vm& vm = machine_->vm(0);
  std::string pending;
  std::uint64_t left = max_instructions;
  for (;;) {
    const std::uint64_t before = machine_->clock().retired();
    RunReport report = run(std::min(left, kStep));
    left -= std::min(left, report.instructions - before);
    const bool waits = report.reason == StopReason::Deadlocked;
    if (report.reason != StopReason::BudgetSpent && !waits) return report;
    if (report.reason == StopReason::BudgetSpent && left == 0) return report;
    const auto ahead = std::chrono::nanoseconds(report.virtual_time_ns) - (Clock::now() - start);
    const auto most = waits && pending.empty()
                          ? std::chrono::milliseconds(-1)  // for ever
                          : std::max(std::chrono::milliseconds(0),
                                     std::chrono::duration_cast<std::chrono::milliseconds>(ahead));
    pending += keyboard.read(pending.empty() ? most : std::chrono::milliseconds(0));
    if (keyboard.wants_out()) {
      report.reason = StopReason::Interrupted;
      return report;
    }
    const std::size_t typed = machine_->type(vm, pending);
    pending.erase(0, typed);
    if (waits && typed == 0 && (keyboard.is_over() || !pending.empty())) return report;
  }
}

Result<> Session::finish(const RunReport& report) {
  return recorder_ ? recorder_->finish(report) : Result<>();
}

}  // namespace retrap::cli
