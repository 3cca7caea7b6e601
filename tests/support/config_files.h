// Configurations that tests start from.
#pragma once

#include <string>
#include <string_view>

namespace retrap::test {

/// A sound configuration in positional notation, one key a line; line 1 is "[base]".
inline constexpr std::string_view kSoundConfig = R"([base]
id = 1
name = "demo"
vm_type = 1
arch = "aarch64"
cpu_num = 2
phys_cpu_ids = [0x0, 0x1]
phys_cpu_sets = [0b01, 0b10]
[kernel]
entry_point = 0x4020_0000
kernel_path = "demo.bin"
kernel_load_addr = 0x4020_0000
dtb_load_addr = 0x4000_0000
image_location = "fs"
cmdline = "console=ttyAMA0"
memory_regions = [[0x4000_0000, 0x0200_0000, 0x7, 0]]
[devices]
interrupt_mode = "emu"
emu_devices = [["gicd", 0x0800_0000, 0x1_0000, 0, 0x21, []]]
passthrough_devices = [["uart", 0x0900_0000, 0x0900_0000, 0x1000, 33]]
excluded_devices = [["/soc/gpu"]]
passthrough_addresses = [[0x0a00_0000, 0x1000]]
)";

/// kSoundConfig with the line that starts with `key` replaced by `line` (removed where empty);
/// unchanged where no line does.
[[nodiscard]] inline std::string sound_config_with(std::string_view key, std::string_view line) {
  std::string text(kSoundConfig);
  const std::size_t before = text.find("\n" + std::string(key));
  if (before == std::string::npos) return text;
  const std::size_t start = before + 1;
  const std::size_t end = text.find('\n', start) + 1;
  return text.replace(start, end - start, line.empty() ? "" : std::string(line) + "\n");
}

}  // namespace retrap::test
