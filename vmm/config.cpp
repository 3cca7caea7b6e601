// Whether a configuration makes sense, whatever the architecture.
#include "vmm/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "vmm/config_check.h"
#include "vmm/ids.h"

namespace retrap {

namespace {

constexpr std::uint64_t kPage = 4096;
/// Below are the tables that the monitor allocates first, whatever a configuration says.
constexpr std::uint64_t kFirstHostAddress = 0x1'0000;
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestCmdline = std::size_t{64} << 10;

/// A part of the guest-physical map and how to speak of it.
struct Claim {
  GuestRange range;
  std::string key;
  std::string what;  ///< "memory_regions[0]", "emulated device 'uart'"
  /// hpa - gpa, modulo 2^64; only where the range is passed through, which maps whole pages (V3).
  std::optional<std::uint64_t> shift;
  bool emulated = false;  ///< a device: a window may have a hole for it
};

class Checker {
 public:
  explicit Checker(const VmConfig& config) : config_(config) {}

  std::vector<ConfigProblem> run() {
    base();
    memory_regions();
    emulated_devices();
    passthrough_devices();
    passthrough_addresses();
    overlaps();
    images();
    entry_point();
    return std::move(problems_);
  }

 private:
  template <class... Args>
  void say(std::string key, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back({std::move(key), fmt::format(text, std::forward<Args>(args)...)});
  }

  void base();
  void per_vcpu_list(std::string_view name, const std::vector<std::uint64_t>& list);
  void memory_regions();
  void memory_region_flags(const std::string& key, std::uint32_t flags);
  void host_address(const std::string& key, const std::string& what, std::uint64_t at,
                    std::string_view remedy);
  void emulated_devices();
  void ivc_device(const std::string& key, const std::string& what, const EmuDeviceConfig& device,
                  bool first);
  void passthrough_devices();
  void passthrough_addresses();
  void overlaps();
  void images();
  void image_address(std::string_view key, std::optional<std::uint64_t> address);
  void entry_point();

  /// Adds a claim, or says what is wrong with it and gives null.
  Claim* claim(const std::string& key, const std::string& what, std::uint64_t base,
               std::uint64_t size);
  [[nodiscard]] std::optional<std::size_t> region_at(std::uint64_t address) const;

  const VmConfig& config_;
  std::vector<Claim> claims_;
  std::vector<ConfigProblem> problems_;
};

std::string quoted(std::string_view kind, std::string_view name) {
  return fmt::format("{} '{}'", kind, printable(name));
}

// V16, V18: a list of the wrong length, no vCPU at all, more vCPUs than a mask has bits.
void Checker::base() {
  if (config_.name.size() > kLongestName || printable(config_.name) != config_.name) {
    say("base.name", "name is longer than {} bytes or holds control characters; give a plain name",
        kLongestName);
  }
  if (config_.id == index(kIvcChannels)) {
    say("base.id", "id {:#x} is that of the inter-VM channels in the frame ledger; give another",
        config_.id);
  }
  if (config_.cpu_num == 0 || config_.cpu_num > kMaxVcpus) {
    say("base.cpu_num", "cpu_num is {}; give 1 to {}", config_.cpu_num, kMaxVcpus);
  }
  per_vcpu_list("phys_cpu_ids", config_.phys_cpu_ids);
  per_vcpu_list("phys_cpu_sets", config_.phys_cpu_sets);
  auto ids = config_.phys_cpu_ids;
  std::ranges::sort(ids);
  if (const auto twice = std::ranges::adjacent_find(ids); twice != ids.end()) {
    say("base.phys_cpu_ids", "phys_cpu_ids has {:#x} twice; give each vCPU an id of its own",
        *twice);
  }
  for (std::size_t i = 0; i < config_.phys_cpu_sets.size(); ++i) {
    if (config_.phys_cpu_sets[i] != 0) continue;
    say(fmt::format("base.phys_cpu_sets[{}]", i),
        "phys_cpu_sets[{}] is 0: no CPU to run on; set a bit per CPU", i);
  }
}

void Checker::per_vcpu_list(std::string_view name, const std::vector<std::uint64_t>& list) {
  if (list.empty() || list.size() == config_.cpu_num) return;
  say(fmt::format("base.{}", name),
      "{} has {} entries and cpu_num is {}; give one entry a vCPU, or leave the key out", name,
      list.size(), config_.cpu_num);
}

// V17: every sum here is checked.
Claim* Checker::claim(const std::string& key, const std::string& what, std::uint64_t base,
                      std::uint64_t size) {
  if (size == 0) {
    say(key, "{} has length 0; give its size in bytes", what);
    return nullptr;
  }
  const auto range = GuestRange::make(GuestPhys(base), size);
  if (!range) {
    say(key, "{}: {:#x} + {:#x} wraps around the end of the address space; make it smaller", what,
        base, size);
    return nullptr;
  }
  return &claims_.emplace_back(
      Claim{.range = *range, .key = key, .what = what, .shift = std::nullopt});
}

void Checker::memory_regions() {
  if (config_.memory_regions.empty() && !config_.kernel_path.empty()) {
    say("kernel.memory_regions",
        "memory_regions is empty: no RAM for the kernel; add [gpa, size, flags, map_type]");
  }
  for (std::size_t i = 0; i < config_.memory_regions.size(); ++i) {
    const MemoryRegionConfig& region = config_.memory_regions[i];
    const std::string key = fmt::format("kernel.memory_regions[{}]", i);
    const std::string what = fmt::format("memory_regions[{}]", i);
    claim(key, what, region.gpa, region.size);
    if (region.gpa % kPage != 0 || region.size % kPage != 0) {
      say(key, "{}: gpa {:#x} and size {:#x} must be multiples of {:#x}", what, region.gpa,
          region.size, kPage);
    }
    memory_region_flags(key, region.flags);
    if (region.map_type != MapType::Alloc) {
      host_address(key, what, region.gpa, "another gpa, or map_type 0 (alloc)");
    }
  }
}

void Checker::host_address(const std::string& key, const std::string& what, std::uint64_t at,
                           std::string_view remedy) {
  if (at >= kFirstHostAddress) return;
  say(key, "{}: host address {:#x} is in the first {:#x} bytes, which the monitor keeps; give {}",
      what, at, kFirstHostAddress, remedy);
}

void Checker::memory_region_flags(const std::string& key, std::uint32_t flags) {
  constexpr std::uint32_t kKnown = 0x3f;
  const std::string what = key.substr(key.find('.') + 1);
  const auto has = [flags](MappingFlags flag) {
    return (flags & static_cast<std::uint32_t>(flag)) != 0;
  };
  if ((flags & ~kKnown) != 0) {
    say(key, "{}: flags {:#x} has unknown bits {:#x}; use READ 1, WRITE 2, EXECUTE 4, USER 8", what,
        flags, flags & ~kKnown);
  }
  if (has(MappingFlags::Device) || has(MappingFlags::Uncached)) {
    say(key,
        "{}: flags {:#x} makes RAM a device (0x10) or uncached (0x20); clear these bits or use "
        "passthrough_devices",
        what, flags);
  }
  if (!has(MappingFlags::Read)) {
    say(key, "{}: flags {:#x} lacks READ (1); RAM is always readable", what, flags);
  }
}

void Checker::ivc_device(const std::string& key, const std::string& what,
                         const EmuDeviceConfig& device, bool first) {
  if (!first) say(key, "{} is a second ivc channel device; keep one window for all channels", what);
  if (device.base_gpa % kPage != 0 || device.length % kPage != 0) {
    say(key, "{}: base {:#x} and length {:#x} must be multiples of {:#x}", what, device.base_gpa,
        device.length, kPage);
  }
  if (!device.cfg_list.empty() && device.cfg_list.front() > ~std::uint32_t{0}) {
    say(key, "{}: cfg_list[0] {:#x} is no interrupt line; give the line of a notification", what,
        device.cfg_list.front());
  }
}

// D3: a device that cannot be built is refused before anything is.
void Checker::emulated_devices() {
  std::size_t ivc = 0;
  for (std::size_t i = 0; i < config_.emu_devices.size(); ++i) {
    const EmuDeviceConfig& device = config_.emu_devices[i];
    const std::string key = fmt::format("devices.emu_devices[{}]", i);
    const std::string what = quoted("emulated device", device.name);
    const auto number = static_cast<std::uint64_t>(device.emu_type);
    const EmuDeviceKind* const kind = find_emu_device_kind(number);
    if (kind == nullptr) {
      say(key, "{} has the unknown emu_type {:#x}; see the table in docs/configuration.md", what,
          number);
      continue;
    }
    if (kind->archs.find(to_string(config_.arch)) == std::string_view::npos) {
      say(key, "{} has emu_type {:#x} ({}), which {} does not have; remove it", what, number,
          kind->name, to_string(config_.arch));
    }
    if (device.cfg_list.size() < kind->cfg_entries) {
      say(key, "{} ({}) has {} cfg_list entries; give {}: [{}]", what, kind->name,
          device.cfg_list.size(), kind->cfg_entries, kind->cfg_meaning);
    }
    if (device.emu_type == EmuDeviceType::Dummy) continue;
    if (device.emu_type == EmuDeviceType::IvcChannel) ivc_device(key, what, device, ivc++ == 0);
    if (!is_on_ports(config_.arch, device.emu_type)) {
      Claim* const claimed = claim(key, what, device.base_gpa, device.length);
      if (claimed != nullptr) claimed->emulated = device.emu_type != EmuDeviceType::IvcChannel;
      continue;
    }
    constexpr std::uint64_t kPorts = 0x10000;
    if (device.length == 0 || device.length > kPorts || device.base_gpa > kPorts - device.length) {
      say(key, "{}: ports {:#x} + {:#x} are not below {:#x}; give its first port and their number",
          what, device.base_gpa, device.length, kPorts);
    }
  }
}

void Checker::passthrough_devices() {
  for (std::size_t i = 0; i < config_.passthrough_devices.size(); ++i) {
    const PassthroughDeviceConfig& device = config_.passthrough_devices[i];
    if (is_whole_tree(device)) continue;
    const std::string key = fmt::format("devices.passthrough_devices[{}]", i);
    const std::string what = quoted("passthrough device", device.name);
    Claim* const claimed = claim(key, what, device.base_gpa, device.length);
    if (claimed == nullptr) continue;
    claimed->shift = device.base_hpa - device.base_gpa;
    host_address(key, what, device.base_hpa, "another base_hpa");
    if (!HostRange::make(HostPhys(device.base_hpa), device.length)) {
      say(key, "{}: base_hpa {:#x} + {:#x} wraps around the end of the address space", what,
          device.base_hpa, device.length);
    }
    if (device.base_gpa % kPage != device.base_hpa % kPage) {
      say(key, "{}: base_gpa {:#x} and base_hpa {:#x} lie at different offsets in their pages",
          what, device.base_gpa, device.base_hpa);
    }
  }
}

void Checker::passthrough_addresses() {
  for (std::size_t i = 0; i < config_.passthrough_addresses.size(); ++i) {
    const AddressWindow& window = config_.passthrough_addresses[i];
    const std::string what = fmt::format("passthrough_addresses[{}]", i);
    Claim* const claimed = claim("devices." + what, what, window.base_gpa, window.length);
    if (claimed == nullptr) continue;
    claimed->shift = 0;
    host_address("devices." + what, what, window.base_gpa, "another base_gpa");
  }
}

GuestRange whole_pages(GuestRange range) {
  const GuestPhys base = range.base().align_down(kPage);
  const std::uint64_t size = (range.last().raw() | (kPage - 1)) - base.raw() + 1;
  return GuestRange::make(base, size).value_or(range);
}

/// Whether `device` lies in a hole of `window`, or is all that there is of it.
bool fits_in(const Claim& device, const Claim& window) {
  if (!device.emulated || !window.shift) return false;
  return window.range.contains(device.range) || device.range.contains(window.range);
}

bool conflict(const Claim& a, const Claim& b) {
  if (fits_in(a, b) || fits_in(b, a)) return false;
  if (a.range.overlaps(b.range)) return true;
  if (!a.shift && !b.shift) return false;
  // Two windows may share a page that goes to one place.
  return a.shift != b.shift && whole_pages(a.range).overlaps(whole_pages(b.range));
}

// V4: every pair, both named.
void Checker::overlaps() {
  for (std::size_t later = 0; later < claims_.size(); ++later) {
    const Claim& b = claims_[later];
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      const Claim& a = claims_[earlier];
      if (!conflict(a, b)) continue;
      say(b.key, "{} ({}) overlaps {} ({}){}; move one of them", b.what, b.range, a.what, a.range,
          a.range.overlaps(b.range) ? "" : " in a page");
    }
  }
}

std::optional<std::size_t> Checker::region_at(std::uint64_t address) const {
  for (std::size_t i = 0; i < config_.memory_regions.size(); ++i) {
    const MemoryRegionConfig& region = config_.memory_regions[i];
    if (address >= region.gpa && address - region.gpa < region.size) return i;
  }
  return std::nullopt;
}

void Checker::images() {
  if (config_.bios_path && !config_.bios_path->empty() && !config_.bios_load_addr) {
    say("kernel.bios_path", "bios_path has no bios_load_addr; add bios_load_addr = 0x...");
  }
  if (config_.cmdline.find('\0') != std::string::npos || config_.cmdline.size() > kLongestCmdline) {
    say("kernel.cmdline", "cmdline holds a NUL or more than {} bytes; shorten it", kLongestCmdline);
  }
  if (config_.memory_regions.empty()) return;
  image_address("kernel_load_addr", config_.kernel_load_addr);
  image_address("bios_load_addr", config_.bios_load_addr);
  image_address("dtb_load_addr", config_.dtb_load_addr);
  image_address("ramdisk_load_addr", config_.ramdisk_load_addr);
}

void Checker::image_address(std::string_view key, std::optional<std::uint64_t> address) {
  if (!address || region_at(*address)) return;
  say(fmt::format("kernel.{}", key), "{} {:#x} is in none of the memory_regions; move it into RAM",
      key, *address);
}

void Checker::entry_point() {
  if (!config_.entry_point || config_.memory_regions.empty()) return;
  const auto region = region_at(*config_.entry_point);
  if (!region) {
    say("kernel.entry_point",
        "entry_point {:#x} is in none of the memory_regions; move it into RAM",
        *config_.entry_point);
    return;
  }
  const std::uint32_t flags = config_.memory_regions[*region].flags;
  if ((flags & static_cast<std::uint32_t>(MappingFlags::Execute)) == 0) {
    say("kernel.entry_point",
        "entry_point {:#x} is in memory_regions[{}], whose flags {:#x} lack EXECUTE (4); add it",
        *config_.entry_point, *region, flags);
  }
}

constexpr std::string_view kEverywhere = "x86_64 aarch64 riscv64";
constexpr std::string_view kNowhere;
constexpr std::string_view kRedistributorCfg = "cpu_num, stride, first_pcpu";

// Reference: axvm's EmulatedDeviceType and what each backend reads of cfg_list.
constexpr std::array<EmuDeviceKind, 14> kKinds = {{
    // clang-format off
    {EmuDeviceType::Dummy,               "dummy",                kEverywhere, 0, ""},
    {EmuDeviceType::InterruptController, "interrupt controller", kEverywhere, 0, ""},
    {EmuDeviceType::Console,             "console",              kEverywhere, 0, ""},
    {EmuDeviceType::FwCfg,               "fw_cfg",               kNowhere,    0, ""},
    {EmuDeviceType::IvcChannel,          "ivc channel",          kEverywhere, 0, ""},
    {EmuDeviceType::GpptRedistributor,   "gppt redistributor",   "aarch64",   3, kRedistributorCfg},
    {EmuDeviceType::GpptDistributor,     "gppt distributor",     "aarch64",   0, ""},
    {EmuDeviceType::GpptIts,             "gppt its",             kNowhere,    1, "host_gits_base"},
    {EmuDeviceType::X86IoApic,           "x86 I/O APIC",         "x86_64",    0, ""},
    {EmuDeviceType::X86Pit,              "x86 PIT",              "x86_64",    0, ""},
    {EmuDeviceType::PpptGlobal,          "pppt global",          "riscv64",   1, "context_num"},
    {EmuDeviceType::VirtioBlk,           "virtio-blk",           kNowhere,    0, ""},
    {EmuDeviceType::VirtioNet,           "virtio-net",           kNowhere,    0, ""},
    {EmuDeviceType::VirtioConsole,       "virtio-console",       kNowhere,    0, ""},
    // clang-format on
}};

}  // namespace

ConfigProblem problem_of(std::string_view clause) {
  constexpr std::string_view kInKeys = "abcdefghijklmnopqrstuvwxyz0123456789_.[]";
  const std::size_t end = clause.find_first_not_of(kInKeys);
  const bool has_key = clause.starts_with("base.") || clause.starts_with("kernel.") ||
                       clause.starts_with("devices.");
  if (!has_key || end == std::string_view::npos || !clause.substr(end).starts_with(": ")) {
    return {.key = {}, .text = std::string(clause)};
  }
  return {.key = std::string(clause.substr(0, end)), .text = std::string(clause.substr(end + 2))};
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  return out;
}

const EmuDeviceKind* find_emu_device_kind(std::uint64_t type) {
  const auto row = std::ranges::find(kKinds, type, [](const EmuDeviceKind& kind) {
    return static_cast<std::uint64_t>(kind.type);
  });
  return row == kKinds.end() ? nullptr : &*row;
}

void check_interrupt_numbers(const VmConfig& config, std::uint32_t limit,
                             std::vector<std::string>& problems) {
  const auto check = [&](std::string_view key, std::size_t i, const auto& device) {
    if (device.irq_id < limit) return;
    problems.push_back(fmt::format("devices.{}[{}]: {} has interrupt line {}; {} has 0 to {}", key,
                                   i, printable(device.name), device.irq_id, to_string(config.arch),
                                   limit - 1));
  };
  for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
    if (config.emu_devices[i].emu_type != EmuDeviceType::Dummy) continue;
    check("emu_devices", i, config.emu_devices[i]);
  }
  for (std::size_t i = 0; i < config.passthrough_devices.size(); ++i) {
    check("passthrough_devices", i, config.passthrough_devices[i]);
  }
}

bool is_on_ports(ArchId arch, EmuDeviceType type) {
  return arch == ArchId::X86_64 &&
         (type == EmuDeviceType::Console || type == EmuDeviceType::X86Pit);
}

std::vector<std::uint64_t> phys_cpu_ids_of(const VmConfig& config) {
  std::vector<std::uint64_t> ids;
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    ids.push_back(phys_cpu_id_of(config, vcpu));
  }
  return ids;
}

std::vector<ConfigProblem> check_config(const VmConfig& config) {
  return Checker(config).run();
}

std::vector<std::string> problems_of(const VmConfig& config) {
  std::vector<std::string> texts;
  for (ConfigProblem& problem : check_config(config)) texts.push_back(std::move(problem.text));
  return texts;
}

}  // namespace retrap
