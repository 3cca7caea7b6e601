// What is known when a run is over, as JSON.
#include "sim/cli/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "vmm/config_check.h"

namespace retrap::cli {

namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot_write(const std::string& path, int error) {
  return fail(ErrorCode::Backend, "{}: cannot write: {}; name another file", path,
              std::generic_category().message(error));
}

bool is_special(const std::string& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

/// 0, or errno.
int write_all(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return errno;
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int error = errno;
  if (std::fclose(file) != 0) return errno;
  return written ? 0 : error;
}

}  // namespace

std::array<std::uint64_t, kExitKinds> exits_of(Machine& machine) {
  std::array<std::uint64_t, kExitKinds> sum{};
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    const auto& exits = machine.vm(i).statistics().exits;
    for (std::size_t kind = 0; kind < kExitKinds; ++kind) sum[kind] += exits[kind];
  }
  return sum;
}

std::string digest_text(std::uint64_t digest) {
  return fmt::format("{:016x}", digest);
}

std::string to_json(const RunSummary& summary) {
  nlohmann::ordered_json exits = nlohmann::ordered_json::object();
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    exits[std::string(kExitNames[kind])] = summary.exits[kind];
  }
  nlohmann::ordered_json json;
  json["arch"] = to_string(summary.arch);
  json["vcpus"] = summary.vcpus;
  json["seed"] = summary.seed;
  json["instructions"] = summary.report.instructions;
  json["exits"] = std::move(exits);
  json["digest"] = digest_text(summary.digest);
  json["virtual_time_ns"] = summary.report.virtual_time_ns;
  json["wall_seconds"] = summary.wall_seconds;
  json["stop_reason"] = to_string(summary.report.reason);
  return json.dump();
}

Result<> check_writable(const std::string& path) {
  if (path == "-") return {};
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return cannot_write(path, EISDIR);
  if (is_special(path)) {
    return access(path.c_str(), W_OK) == 0 ? Result<>() : cannot_write(path, errno);
  }
  const fs::path folder = fs::path(path).parent_path();
  const std::string name = folder.empty() ? "." : folder.string();
  if (access(name.c_str(), W_OK) != 0) return cannot_write(path, errno);
  return {};
}

Result<> check_recordable(const std::string& path) {
  std::error_code ignored;
  if (path == "-" || fs::is_fifo(path, ignored) || fs::is_socket(path, ignored)) {
    return fail(ErrorCode::InvalidInput, "-o {}: is no file, and a trace is one; name a file",
                printable(path));
  }
  return check_writable(path);
}

Result<> write_file(const std::string& path, const std::string& text) {
  if (is_special(path)) {
    const int error = write_all(path, text);
    return error == 0 ? Result<>() : cannot_write(path, error);
  }
  const std::string beside = fmt::format("{}.{}.tmp", path, getpid());
  int error = write_all(beside, text);
  if (error == 0 && std::rename(beside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  (void)std::remove(beside.c_str());
  return cannot_write(path, error);
}

}  // namespace retrap::cli
