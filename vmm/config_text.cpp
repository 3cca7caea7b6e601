// Writes configurations.
#include "vmm/config_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

namespace retrap {
namespace {

/// Collects lines "key = value".
class Lines {
 public:
  void section(std::string_view name) { text_ += fmt::format("[{}]\n", name); }
  void line(std::string_view key, std::string_view value) {
    text_ += fmt::format("{} = {}\n", key, value);
  }
  void number(std::string_view key, std::uint64_t value) { line(key, fmt::format("{}", value)); }
  void address(std::string_view key, const std::optional<std::uint64_t>& value) {
    if (value) line(key, word(*value));
  }
  void text(std::string_view key, std::string_view value) { line(key, quoted(value)); }
  void file(std::string_view key, const std::optional<std::string>& value) {
    if (value && !value->empty()) text(key, *value);
  }
  void list(std::string_view key, const std::vector<std::string>& rows) {
    if (!rows.empty()) line(key, fmt::format("[{}]", fmt::join(rows, ", ")));
  }
  void numbers(std::string_view key, const std::vector<std::uint64_t>& values) {
    if (!values.empty()) line(key, words(values));
  }

  static std::string word(std::uint64_t value) { return fmt::format("{:#x}", value); }
  static std::string words(const std::vector<std::uint64_t>& values) {
    std::vector<std::string> texts;
    texts.reserve(values.size());
    for (const std::uint64_t value : values) texts.push_back(word(value));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  }
  static std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out += fmt::format("\\{}", c);
      } else if (byte < 0x20 || byte == 0x7f) {
        out += fmt::format("\\u{:04x}", byte);
      } else {
        out.push_back(c);
      }
    }
    return out + "\"";
  }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

void base(Lines& lines, const VmConfig& config) {
  lines.section("base");
  lines.number("id", config.id);
  lines.text("name", config.name);
  lines.number("vm_type", static_cast<std::uint64_t>(config.vm_type));
  lines.text("arch", to_string(config.arch));
  lines.number("cpu_num", config.cpu_num);
  lines.numbers("phys_cpu_ids", config.phys_cpu_ids);
  lines.numbers("phys_cpu_sets", config.phys_cpu_sets);
}

void kernel(Lines& lines, const VmConfig& config) {
  lines.section("kernel");
  lines.address("entry_point", config.entry_point);
  lines.file("kernel_path", config.kernel_path);
  lines.address("kernel_load_addr", config.kernel_load_addr);
  lines.file("bios_path", config.bios_path);
  lines.address("bios_load_addr", config.bios_load_addr);
  lines.file("dtb_path", config.dtb_path);
  lines.address("dtb_load_addr", config.dtb_load_addr);
  lines.file("ramdisk_path", config.ramdisk_path);
  lines.address("ramdisk_load_addr", config.ramdisk_load_addr);
  if (config.image_location == ImageLocation::Memory) lines.text("image_location", "memory");
  if (!config.cmdline.empty()) lines.text("cmdline", config.cmdline);
  std::vector<std::string> regions;
  regions.reserve(config.memory_regions.size());
  for (const MemoryRegionConfig& region : config.memory_regions) {
    regions.push_back(fmt::format("[{:#x}, {:#x}, {:#x}, {}]", region.gpa, region.size,
                                  region.flags, static_cast<unsigned>(region.map_type)));
  }
  lines.line("memory_regions", fmt::format("[{}]", fmt::join(regions, ", ")));
  lines.text("populate", config.populate == Populate::Lazy ? "lazy" : "eager");
}

void devices(Lines& lines, const VmConfig& config) {
  lines.section("devices");
  std::vector<std::string> rows;
  rows.reserve(config.emu_devices.size());
  for (const EmuDeviceConfig& it : config.emu_devices) {
    rows.push_back(fmt::format("[{}, {:#x}, {:#x}, {}, {:#x}, {}]", Lines::quoted(it.name),
                               it.base_gpa, it.length, it.irq_id,
                               static_cast<std::uint32_t>(it.emu_type), Lines::words(it.cfg_list)));
  }
  lines.list("emu_devices", rows);
  rows.clear();
  for (const PassthroughDeviceConfig& it : config.passthrough_devices) {
    rows.push_back(is_whole_tree(it)
                       ? fmt::format("[{}]", Lines::quoted(it.name))
                       : fmt::format("[{}, {:#x}, {:#x}, {:#x}, {}]", Lines::quoted(it.name),
                                     it.base_gpa, it.base_hpa, it.length, it.irq_id));
  }
  lines.list("passthrough_devices", rows);
  rows.clear();
  for (const std::string& it : config.excluded_devices) {
    rows.push_back(fmt::format("[{}]", Lines::quoted(it)));
  }
  lines.list("excluded_devices", rows);
  rows.clear();
  for (const AddressWindow& it : config.passthrough_addresses) {
    rows.push_back(fmt::format("[{:#x}, {:#x}]", it.base_gpa, it.length));
  }
  lines.list("passthrough_addresses", rows);
  switch (config.interrupt_mode) {
    case InterruptMode::NoIrq:       lines.text("interrupt_mode", "no_irq"); break;
    case InterruptMode::Emulated:    lines.text("interrupt_mode", "emulated"); break;
    case InterruptMode::Passthrough: lines.text("interrupt_mode", "passthrough"); break;
  }
}

}  // namespace

std::string to_toml(const VmConfig& config) {
  Lines lines;
  base(lines, config);
  kernel(lines, config);
  devices(lines, config);
  return std::move(lines).take();
}

}  // namespace retrap
