// An initramfs with another /init, and more files: what a test has the guest do in userland.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace retrap::test {

/// Writes `initrd` with `script` as its /init to `out`, and `files` under their names in the root.
/// Returns false where a file cannot be read or written.
///
/// Linux unpacks one archive after the other, and a later /init replaces an earlier one
/// (Documentation/driver-api/early-userspace/buffer-format.rst).
[[nodiscard]] bool make_initramfs(const std::filesystem::path& initrd, std::string_view script,
                                  const std::filesystem::path& out,
                                  const std::vector<std::filesystem::path>& files = {});

}  // namespace retrap::test
