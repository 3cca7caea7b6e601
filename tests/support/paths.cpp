// Paths that only the build knows.
#include "tests/support/paths.h"

#include <fstream>

namespace retrap::test {

namespace fs = std::filesystem;

fs::path source_dir() {
  return RETRAP_SOURCE_DIR;
}

fs::path retrap_program() {
  return fs::path(RETRAP_BINARY_DIR) / "bin" / "retrap";
}

std::string builtin_guest(ArchId arch, std::string_view name) {
  const fs::path guest = fs::path(RETRAP_BINARY_DIR) / "guests" / to_string(arch) / name;
  return guest.string() + ".elf";
}

std::optional<LinuxGuest> linux_guest(std::string_view arch) {
  const fs::path folder = fs::path(RETRAP_LINUX_GUESTS) / arch;
  const fs::path modules = folder / "modules";
  LinuxGuest guest{.kernel = folder / "kernel",
                   .initrd = folder / "initrd.gz",
                   .busybox_sha256 = {},
                   .entropy_modules = {modules / "virtio_mmio.ko", modules / "virtio-rng.ko"}};
  std::ifstream sum(folder / "busybox.sha256");
  if (!fs::exists(guest.kernel) || !fs::exists(guest.initrd)) return std::nullopt;
  if (!(sum >> guest.busybox_sha256)) return std::nullopt;
  return guest;
}

}  // namespace retrap::test
