// What every example starts with: an architecture, its TOML file, a machine and a built-in guest.
#pragma once

#include <cstdio>
#include <string>

#include "sim/machine.h"
#include "tests/guests/embedded.h"
#include "vmm/config_toml.h"

namespace example {

using namespace retrap;

/// The file says what the example is about. What differs between boards is added here: RAM where
/// the board has it.
inline Result<VmConfig> read_config(Machine& machine, ArchId arch, const std::string& path) {
  RETRAP_TRY(VmConfig config, load_config(path, arch));
  config.memory_regions = machine.architecture(arch)->default_config(16 << 20).memory_regions;
  return config;
}

/// A program of tests/guests/programs.
inline Result<Images> guest(ArchId arch, const std::string& name) {
  const guests::Guest* const found = guests::find(arch, name);
  if (found == nullptr) return fail(ErrorCode::NotFound, "there is no guest {}", name);
  Images images;
  RETRAP_TRY(images.kernel, Image::parse(name, {found->elf.begin(), found->elf.end()}, arch));
  return images;
}

/// The interrupt line that the guests listen to.
inline std::uint32_t device_line(ArchId arch) {
  return arch == ArchId::X86_64 ? 5 : arch == ArchId::Aarch64 ? 40 : 11;
}

inline void say(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

inline void say_end(const RunReport& report) {
  say(fmt::format("the machine stops: {}\n", to_string(report.reason)));
}

/// main(): PROGRAM ARCH CONFIG.toml
inline int run(int count, char** arguments, Result<> (*body)(ArchId, const std::string&)) {
  const auto arch = arch_from_name(count == 3 ? arguments[1] : "");
  if (!arch) {
    std::fprintf(stderr, "usage: %s x86_64|aarch64|riscv64 CONFIG.toml\n", arguments[0]);
    return 2;
  }
  const auto done = body(*arch, arguments[2]);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}

}  // namespace example
