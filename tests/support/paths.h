// Where a test finds what it did not make itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/arch_id.h"

namespace retrap::test {

/// The root of the project's sources.
[[nodiscard]] std::filesystem::path source_dir();

/// The program `retrap` of this build.
[[nodiscard]] std::filesystem::path retrap_program();

/// The path of a built-in guest of this build, for example of "hello".
[[nodiscard]] std::string builtin_guest(ArchId arch, std::string_view name);

/// An unmodified Debian kernel with its initramfs, as ./dev guests leaves them.
struct LinuxGuest {
  std::filesystem::path kernel;
  std::filesystem::path initrd;
  std::string busybox_sha256;  ///< what the guest prints for its busybox, 64 hex digits
  /// Drivers that the kernel does not have built in, in the order in which to load them.
  std::vector<std::filesystem::path> entropy_modules;
};

/// The guest for "x86_64", "aarch64" or "riscv64", or nothing where it has not been fetched.
[[nodiscard]] std::optional<LinuxGuest> linux_guest(std::string_view arch);

}  // namespace retrap::test
