// Configuration files; the only file that sees toml++.
#include "vmm/config_toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <span>
#include <vector>

#include "vmm/config_check.h"
#include "vmm/config_schema.h"
#include "vmm/image.h"
#include "vmm/nearest.h"

namespace retrap {
namespace {

using Names = std::span<const std::string_view>;
constexpr std::uint64_t kAnyNumber = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kAnyWord = std::numeric_limits<std::uint32_t>::max();

FilePlace place_of(const toml::source_region& source) {
  return {.line = std::max<std::uint32_t>(1, source.begin.line),
          .column = std::max<std::uint32_t>(1, source.begin.column)};
}

std::string joined(Names names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Walks a parsed file, filling its VmConfig and noting every key and problem with its place.
class Reader {
 public:
  /// Adds to `file`, which outlives this.
  Reader(ConfigFile& file, std::optional<ArchId> arch)
      : file_(file), config_(file.config), arch_(arch) {}

  void read(const toml::table& root);

 private:
  template <class... Args>
  void say(FilePlace place, fmt::format_string<Args...> text, Args&&... args) {
    file_.cannot_read(key_, place, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void say(const toml::node& node, fmt::format_string<Args...> text, Args&&... args) {
    say(place_of(node.source()), text, std::forward<Args>(args)...);
  }

  // A key of a section: null where it is absent; its place is remembered for check_config().
  const toml::node* find(const toml::table& section, std::string_view prefix, std::string_view key);
  const toml::table* section(const toml::table& root, std::string_view name, Names keys);
  void unknown_keys(const toml::table& table, std::string_view where, Names known);

  // Values. Where the type is wrong they say so and leave `into` alone.
  bool number(const toml::node* node, std::string_view what, std::uint64_t most,
              std::uint64_t& into);
  void number(const toml::node* node, std::string_view what, std::uint32_t& into);
  void number(const toml::node* node, std::string_view what, std::optional<std::uint64_t>& into);
  bool text(const toml::node* node, std::string_view what, std::string& into);
  void file(const toml::node* node, std::string_view what, std::string& into);
  void file(const toml::node* node, std::string_view what, std::optional<std::string>& into);
  void numbers(const toml::node* node, std::string_view what, std::vector<std::uint64_t>& into);
  template <class E>
  void choice(const toml::node* node, std::string_view what,
              std::span<const std::pair<std::string_view, E>> choices, E& into);

  /// The values of a structure by position or by name, null where absent. Empty where `node` is
  /// neither an array nor a table, or one too long.
  std::vector<const toml::node*> record(const toml::node& node, const std::string& what,
                                        Names fields, std::size_t required);
  /// Calls `each(node, "memory_regions[2]")` for the elements of a list.
  void list(const toml::node* node, std::string_view section, std::string_view key, auto&& each);

  void base(const toml::table& table);
  void kernel(const toml::table& table);
  void devices(const toml::table& table);
  void foreign_keys(const toml::table& table);
  void memory_region(const toml::node& node, const std::string& what);
  void emu_device(const toml::node& node, const std::string& what);
  void passthrough_device(const toml::node& node, const std::string& what);
  void excluded(const toml::node& node, const std::string& what);

  ConfigFile& file_;
  VmConfig& config_;  ///< that of the file
  std::optional<ArchId> arch_;
  std::string key_;  ///< the key that is being read: "kernel.cmdline"
};

const toml::node* Reader::find(const toml::table& section, std::string_view prefix,
                               std::string_view key) {
  key_ = fmt::format("{}.{}", prefix, key);
  const toml::node* const node = section.get(key);
  if (node != nullptr) file_.set_place(key_, place_of(node->source()));
  return node;
}

const toml::table* Reader::section(const toml::table& root, std::string_view name, Names keys) {
  key_ = name;
  const toml::node* const node = root.get(name);
  if (node == nullptr) {
    say(FilePlace{}, "the section [{}] is missing; add it", name);
    return nullptr;
  }
  file_.set_place(std::string(name), place_of(node->source()));
  const toml::table* const table = node->as_table();
  if (table == nullptr) {
    say(*node, "{} is no section; write [{}] on a line of its own", name, name);
    return nullptr;
  }
  key_.clear();
  unknown_keys(*table, fmt::format("[{}]", name), keys);
  return table;
}

void Reader::unknown_keys(const toml::table& table, std::string_view where, Names known) {
  for (const auto& [key, value] : table) {
    const std::string_view name = key.str();
    if (std::ranges::find(known, name) != known.end()) continue;
    if (std::ranges::find(schema::kForeignKeys, name) != schema::kForeignKeys.end()) continue;
    const std::string_view near = nearest(name, known);
    const std::string remedy = near.empty() ? fmt::format("the keys are {}", joined(known))
                                            : fmt::format("did you mean '{}'?", near);
    say(place_of(key.source()), "{} has no key '{}'; {}", where, printable(name), remedy);
  }
}

bool Reader::number(const toml::node* node, std::string_view what, std::uint64_t most,
                    std::uint64_t& into) {
  if (node == nullptr) return false;
  const auto value = node->value_exact<std::int64_t>();
  if (!value) {
    say(*node, "{} must be a number; write it as 42 or 0x2a, without quotes", what);
    return false;
  }
  if (*value < 0 || static_cast<std::uint64_t>(*value) > most) {
    say(*node, "{} is {}; give a number from 0 to {:#x}", what, *value, most);
    return false;
  }
  into = static_cast<std::uint64_t>(*value);
  return true;
}

void Reader::number(const toml::node* node, std::string_view what, std::uint32_t& into) {
  std::uint64_t value = 0;
  if (number(node, what, kAnyWord, value)) into = static_cast<std::uint32_t>(value);
}

void Reader::number(const toml::node* node, std::string_view what,
                    std::optional<std::uint64_t>& into) {
  std::uint64_t value = 0;
  if (number(node, what, kAnyNumber, value)) into = value;
}

bool Reader::text(const toml::node* node, std::string_view what, std::string& into) {
  if (node == nullptr) return false;
  const auto value = node->value_exact<std::string>();
  if (!value) {
    say(*node, "{} must be a string; write it in quotes", what);
    return false;
  }
  into = *value;
  return true;
}

void Reader::file(const toml::node* node, std::string_view what, std::string& into) {
  std::string value;
  if (!text(node, what, value)) return;
  if (value.empty() || value.find('\0') != std::string::npos) {
    say(*node, "{} is empty or holds a NUL; name a file or leave the key out", what);
    return;
  }
  const std::filesystem::path given(value);
  const std::filesystem::path folder = std::filesystem::path(file_.path()).parent_path();
  into = given.is_absolute() || folder.empty() ? value : (folder / given).string();
}

void Reader::file(const toml::node* node, std::string_view what, std::optional<std::string>& into) {
  std::string value;
  file(node, what, value);
  if (!value.empty()) into = std::move(value);
}

void Reader::numbers(const toml::node* node, std::string_view what,
                     std::vector<std::uint64_t>& into) {
  if (node == nullptr) return;
  const toml::array* const array = node->as_array();
  if (array == nullptr) {
    say(*node, "{} must be a list of numbers; write [1, 2]", what);
    return;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    std::uint64_t value = 0;
    number(array->get(i), fmt::format("{}[{}]", what, i), kAnyNumber, value);
    into.push_back(value);
  }
}

template <class E>
void Reader::choice(const toml::node* node, std::string_view what,
                    std::span<const std::pair<std::string_view, E>> choices, E& into) {
  std::string value;
  if (!text(node, what, value)) return;
  std::vector<std::string_view> words;
  for (const auto& [word, meaning] : choices) {
    if (word == value) {
      into = meaning;
      return;
    }
    words.push_back(word);
  }
  say(*node, "{} is \"{}\"; use one of {}", what, printable(value), joined(words));
}

std::vector<const toml::node*> Reader::record(const toml::node& node, const std::string& what,
                                              Names fields, std::size_t required) {
  std::vector<const toml::node*> values(fields.size());
  if (const toml::array* const array = node.as_array()) {
    if (array->size() > fields.size()) {
      say(node, "{} has {} values; the fields are [{}]", what, array->size(), joined(fields));
      return {};
    }
    for (std::size_t i = 0; i < array->size(); ++i) values[i] = array->get(i);
  } else if (const toml::table* const table = node.as_table()) {
    unknown_keys(*table, what, fields);
    for (std::size_t i = 0; i < fields.size(); ++i) values[i] = table->get(fields[i]);
  } else {
    say(node, "{} must be a list [{}] or a table of these", what, joined(fields));
    return {};
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values[i] != nullptr) continue;
    say(node, "{} lacks its {}; the fields are [{}]", what, fields[i], joined(fields));
    return {};
  }
  return values;
}

void Reader::list(const toml::node* node, std::string_view section, std::string_view key,
                  auto&& each) {
  if (node == nullptr) return;
  const toml::array* const array = node->as_array();
  if (array == nullptr) {
    say(*node, "{} must be a list; write [[...], [...]]", key);
    return;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const std::string what = fmt::format("{}[{}]", key, i);
    file_.set_place(fmt::format("{}.{}", section, what), place_of(array->get(i)->source()));
    each(*array->get(i), what);
  }
}

void Reader::base(const toml::table& table) {
  for (const std::string_view key : {"id", "name", "cpu_num"}) {
    if (find(table, "base", key) != nullptr) continue;
    say(table, "[base] lacks the key '{}'; add it", key);
  }
  number(find(table, "base", "id"), "id", config_.id);
  text(find(table, "base", "name"), "name", config_.name);
  number(find(table, "base", "cpu_num"), "cpu_num", config_.cpu_num);
  numbers(find(table, "base", "phys_cpu_ids"), "phys_cpu_ids", config_.phys_cpu_ids);
  numbers(find(table, "base", "phys_cpu_sets"), "phys_cpu_sets", config_.phys_cpu_sets);

  auto type = static_cast<std::uint64_t>(config_.vm_type);
  const toml::node* const vm_type = find(table, "base", "vm_type");
  if (number(vm_type, "vm_type", static_cast<std::uint64_t>(VmType::Linux), type)) {
    config_.vm_type = static_cast<VmType>(type);
  }

  const toml::node* const arch = find(table, "base", "arch");
  if (arch == nullptr && !arch_) {
    say(table,
        "[base] does not say which architecture; add arch = \"x86_64\", \"aarch64\" or "
        "\"riscv64\", or say it on the command line");
  }
  if (arch_) config_.arch = *arch_;
  choice<ArchId>(arch, "arch", schema::kArchs, config_.arch);
  if (arch != nullptr && arch_ && config_.arch != *arch_) {
    say(*arch, "arch is {} here and {} on the command line; drop one of them",
        to_string(config_.arch), to_string(*arch_));
  }
}

void Reader::memory_region(const toml::node& node, const std::string& what) {
  const auto values = record(node, what, schema::kRegionFields, 2);
  if (values.empty()) return;
  MemoryRegionConfig& region = config_.memory_regions.emplace_back();
  number(values[0], what + ".gpa", kAnyNumber, region.gpa);
  number(values[1], what + ".size", kAnyNumber, region.size);
  number(values[2], what + ".flags", region.flags);
  std::uint64_t type = 0;
  if (number(values[3], what + ".map_type", static_cast<std::uint64_t>(MapType::Reserved), type)) {
    region.map_type = static_cast<MapType>(type);
  }
}

void Reader::kernel(const toml::table& table) {
  foreign_keys(table);
  const auto get = [&](std::string_view key) { return find(table, "kernel", key); };
  number(get("entry_point"), "entry_point", config_.entry_point);
  file(get("kernel_path"), "kernel_path", config_.kernel_path);
  number(get("kernel_load_addr"), "kernel_load_addr", config_.kernel_load_addr);
  file(get("bios_path"), "bios_path", config_.bios_path);
  number(get("bios_load_addr"), "bios_load_addr", config_.bios_load_addr);
  file(get("dtb_path"), "dtb_path", config_.dtb_path);
  number(get("dtb_load_addr"), "dtb_load_addr", config_.dtb_load_addr);
  file(get("ramdisk_path"), "ramdisk_path", config_.ramdisk_path);
  number(get("ramdisk_load_addr"), "ramdisk_load_addr", config_.ramdisk_load_addr);
  text(get("cmdline"), "cmdline", config_.cmdline);

  choice<ImageLocation>(get("image_location"), "image_location", schema::kLocations,
                        config_.image_location);
  choice<Populate>(get("populate"), "populate", schema::kPopulate, config_.populate);
  const toml::node* const regions = get("memory_regions");
  if (regions == nullptr) {
    say(table, "[kernel] lacks the key 'memory_regions'; add [[gpa, size, flags, map_type]]");
  }
  list(regions, "kernel", "memory_regions",
       [&](const toml::node& node, const std::string& what) { memory_region(node, what); });
}

void Reader::emu_device(const toml::node& node, const std::string& what) {
  const auto values = record(node, what, schema::kEmuFields, 5);
  if (values.empty()) return;
  EmuDeviceConfig& device = config_.emu_devices.emplace_back();
  text(values[0], what + ".name", device.name);
  number(values[1], what + ".base_gpa", kAnyNumber, device.base_gpa);
  number(values[2], what + ".length", kAnyNumber, device.length);
  number(values[3], what + ".irq_id", device.irq_id);
  std::uint64_t type = 0;
  if (number(values[4], what + ".emu_type", kAnyWord, type)) {
    device.emu_type = static_cast<EmuDeviceType>(type);
  }
  numbers(values[5], what + ".cfg_list", device.cfg_list);
}

void Reader::passthrough_device(const toml::node& node, const std::string& what) {
  const auto values = record(node, what, schema::kPassthroughFields, 1);
  if (values.empty()) return;
  PassthroughDeviceConfig& device = config_.passthrough_devices.emplace_back();
  text(values[0], what + ".name", device.name);
  const bool is_name = values[1] == nullptr && values[2] == nullptr && values[3] == nullptr;
  if (device.name == "/" && is_name) return;
  if (device.name.starts_with('/')) {
    say(node,
        "{} '{}' is a path in the host's device tree, which a simulated host has not; give "
        "[{}]",
        what, printable(device.name), joined(schema::kPassthroughFields));
    config_.passthrough_devices.pop_back();
    return;
  }
  number(values[1], what + ".base_gpa", kAnyNumber, device.base_gpa);
  number(values[2], what + ".base_hpa", kAnyNumber, device.base_hpa);
  number(values[3], what + ".length", kAnyNumber, device.length);
  number(values[4], what + ".irq_id", device.irq_id);
}

void Reader::excluded(const toml::node& node, const std::string& what) {
  if (const toml::array* const array = node.as_array()) {
    for (const toml::node& inner : *array) excluded(inner, what);
    return;
  }
  std::string path;
  if (!text(&node, what, path)) return;
  if (!path.starts_with('/')) say(node, "{} must be a path; start it with '/'", what);
  config_.excluded_devices.push_back(std::move(path));
}

void Reader::devices(const toml::table& table) {
  foreign_keys(table);
  const auto get = [&](std::string_view key) { return find(table, "devices", key); };
  list(get("emu_devices"), "devices", "emu_devices",
       [&](const toml::node& node, const std::string& what) { emu_device(node, what); });
  list(get("passthrough_devices"), "devices", "passthrough_devices",
       [&](const toml::node& node, const std::string& what) { passthrough_device(node, what); });
  list(get("excluded_devices"), "devices", "excluded_devices",
       [&](const toml::node& node, const std::string& what) { excluded(node, what); });
  list(get("passthrough_addresses"), "devices", "passthrough_addresses",
       [&](const toml::node& node, const std::string& what) {
         const auto values = record(node, what, schema::kWindowFields, 2);
         if (values.empty()) return;
         AddressWindow& window = config_.passthrough_addresses.emplace_back();
         number(values[0], what + ".base_gpa", kAnyNumber, window.base_gpa);
         number(values[1], what + ".length", kAnyNumber, window.length);
       });
  choice<InterruptMode>(get("interrupt_mode"), "interrupt_mode", schema::kModes,
                        config_.interrupt_mode);
}

/// Whether `node` asks for nothing that we would do anyway.
bool is_default(std::string_view key, const toml::node& node) {
  if (const toml::array* const array = node.as_array()) return array->empty();
  const std::string text = node.value_exact<std::string>().value_or("?");
  if (key == "enable_bios") return node.value_exact<bool>() == false;
  if (key == "boot_protocol") return text == "direct" || text == "kernel";
  if (key == "address_space_policy") return text == "virtualized";
  return text.empty();
}

void Reader::foreign_keys(const toml::table& table) {
  for (const std::string_view key : schema::kForeignKeys) {
    const toml::node* const node = table.get(key);
    if (node == nullptr || is_default(key, *node)) continue;
    say(*node, "{} is a key of axvm that retrap does not act on; remove it", key);
  }
}

void Reader::read(const toml::table& root) {
  unknown_keys(root, "the file", schema::kSections);
  if (const toml::table* const table = section(root, "base", schema::kBaseKeys)) base(*table);
  if (const toml::table* const table = section(root, "kernel", schema::kKernelKeys)) kernel(*table);
  if (const toml::table* const table = section(root, "devices", schema::kDeviceKeys))
    devices(*table);
}

/// The configuration, where all of it makes sense.
Result<VmConfig> sound_config(ConfigFile file) {
  file.add(check_config(file.config));
  RETRAP_TRY(file.verdict());
  return std::move(file.config);
}

}  // namespace

Result<ConfigFile> parse_config_file(std::string_view text, const std::string& path,
                                     std::optional<ArchId> arch) {
  try {
    const toml::table root = toml::parse(text, path);
    ConfigFile file(path);
    Reader(file, arch).read(root);
    return file;
  } catch (const toml::parse_error& error) {
    const FilePlace place = place_of(error.source());
    return fail(ErrorCode::InvalidInput, "{}:{}:{}: not TOML: {}; correct it", path, place.line,
                place.column, printable(error.description()));
  }
}

Result<ConfigFile> load_config_file(const std::string& path, std::optional<ArchId> arch) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 20;
  RETRAP_TRY(const auto bytes, read_file(path, kLargest));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return parse_config_file(text, path, arch);
}

Result<VmConfig> parse_config(std::string_view text, const std::string& path,
                              std::optional<ArchId> arch) {
  return parse_config_file(text, path, arch).and_then(sound_config);
}

Result<VmConfig> load_config(const std::string& path, std::optional<ArchId> arch) {
  return load_config_file(path, arch).and_then(sound_config);
}

}  // namespace retrap
