// Passthrough: windows widened and merged, holes for emulated devices, host devices on the bus.
#include "vmm/passthrough.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr MappingFlags kWindowFlags =
    MappingFlags::Read | MappingFlags::Write | MappingFlags::Device;

/// What one entry of the configuration asks for.
struct Window {
  std::uint64_t gpa;
  std::uint64_t hpa;
  std::uint64_t size;
  std::uint32_t irq_id;
  std::string key;
  std::string name;
  std::uint64_t asked_first = gpa;  ///< before it was widened to whole pages
  std::uint64_t asked_last = last();

  [[nodiscard]] std::uint64_t last() const { return gpa + (size - 1); }
};

std::vector<Window> entries_of(const VmConfig& config) {
  std::vector<Window> windows;
  for (std::size_t i = 0; i < config.passthrough_devices.size(); ++i) {
    const PassthroughDeviceConfig& device = config.passthrough_devices[i];
    if (is_whole_tree(device)) continue;
    windows.push_back({.gpa = device.base_gpa,
                       .hpa = device.base_hpa,
                       .size = device.length,
                       .irq_id = device.irq_id,
                       .key = fmt::format("devices.passthrough_devices[{}]", i),
                       .name = "passthrough device " + printable(device.name)});
  }
  for (std::size_t i = 0; i < config.passthrough_addresses.size(); ++i) {
    const AddressWindow& address = config.passthrough_addresses[i];
    windows.push_back({.gpa = address.base_gpa,
                       .hpa = address.base_gpa,
                       .size = address.length,
                       .irq_id = 0,
                       .key = fmt::format("devices.passthrough_addresses[{}]", i),
                       .name = "passthrough window"});
  }
  return windows;
}

/// Whether the host has a device in `window`: then it is no memory.
bool has_host_device(const Window& window, const HostDevices* devices) {
  const auto range = HostRange::make(HostPhys(window.hpa), window.size);
  return range && devices != nullptr && devices->touches(*range);
}

/// Both ends move outwards to page boundaries, by the same distance on both sides.
Result<Window> whole_pages(Window window) {
  const std::uint64_t offset = window.gpa % kPageSize;
  if (window.hpa % kPageSize != offset) {
    return fail(ErrorCode::InvalidInput,
                "{}: {} has {:#x} and {:#x}, which are at different places in their pages",
                window.key, window.name, window.gpa, window.hpa);
  }
  const auto end = checked_add(window.size, offset);
  const auto size = end ? checked_align_up(*end, kPageSize) : end;
  if (window.size == 0 || !size || !checked_add(window.gpa - offset, *size - 1)) {
    return fail(ErrorCode::InvalidInput, "{}: {} cannot have {:#x} bytes at {:#x}", window.key,
                window.name, window.size, window.gpa);
  }
  window.gpa -= offset;
  window.hpa -= offset;
  window.size = *size;
  return window;
}

/// Two windows that share a page which goes to one place are one.
std::vector<Window> merged(std::vector<Window> windows) {
  std::ranges::sort(windows, {}, &Window::gpa);
  std::vector<Window> out;
  for (Window& window : windows) {
    const bool joins = !out.empty() && window.gpa <= out.back().last() &&
                       window.hpa - window.gpa == out.back().hpa - out.back().gpa;
    if (!joins) {
      out.push_back(std::move(window));
      continue;
    }
    out.back().asked_last = std::max(out.back().asked_last, window.asked_last);
    out.back().size = std::max(out.back().last(), window.last()) - out.back().gpa + 1;
    out.back().name += ", " + window.name;
  }
  return out;
}

/// The emulated devices that the pages of `window` have a byte of, by address.
std::vector<Bus::Plug> devices_in(const Window& window, const Bus& mmio) {
  std::vector<Bus::Plug> plugs = mmio.plugs();
  std::erase_if(plugs, [&](const Bus::Plug& plug) {
    return plug.base > window.last() || plug.base + (plug.device->size() - 1) < window.gpa;
  });
  return plugs;
}

/// The pages without an emulated device, in as few runs as possible.
std::vector<GuestRange> free_pages(const Window& window, const Bus& mmio) {
  std::vector<GuestRange> runs;
  const auto add = [&runs](std::uint64_t base, std::uint64_t end) {
    if (const auto run = GuestRange::make(GuestPhys(base), end - base)) runs.push_back(*run);
  };
  std::uint64_t next = window.gpa;
  for (const Bus::Plug& plug : devices_in(window, mmio)) {
    const std::uint64_t page = align_down(plug.base, kPageSize);
    if (page > next) add(next, page);
    const std::uint64_t last = (plug.base + (plug.device->size() - 1)) | (kPageSize - 1);
    if (last >= window.last()) return runs;
    next = last + 1;
  }
  add(next, window.gpa + window.size);
  return runs;
}

/// The device that lies across an end of the window, neither in it nor out of it; or null.
const Device* cut_device(const Window& window, const Bus& mmio) {
  const auto crosses = [&](std::uint64_t inside, std::uint64_t outside) {
    const Device* const device = mmio.first_in(inside, 1);
    return device != nullptr && device == mmio.first_in(outside, 1) ? device : nullptr;
  };
  const Device* device = window.gpa == 0 ? nullptr : crosses(window.gpa, window.gpa - 1);
  if (device == nullptr && window.last() + 1 != 0)
    device = crosses(window.last(), window.last() + 1);
  return device;
}

/// Whether devices have all pages of `window`, and one of them what it asks for: then the guest has
/// that already.
bool is_there_already(const Window& window, const Bus& mmio) {
  const std::uint64_t asked = window.asked_last - window.asked_first + 1;
  return free_pages(window, mmio).empty() && mmio.first_in(window.asked_first, asked) != nullptr;
}

/// What the devices of the board are in the way of.
Result<> check_fits(const Window& window, const Bus& mmio) {
  if (free_pages(window, mmio).empty()) {
    return fail(ErrorCode::AlreadyExists, "{}: the emulated device {} leaves nothing of it",
                window.name, devices_in(window, mmio).front().device->name());
  }
  if (const Device* const device = cut_device(window, mmio)) {
    return fail(ErrorCode::AlreadyExists, "{} cuts the emulated device {} in two", window.name,
                device->name());
  }
  return {};
}

Result<> map_around_devices(const Window& window, PassthroughParts parts) {
  if (is_there_already(window, parts.mmio)) return {};
  RETRAP_TRY(check_fits(window, parts.mmio));
  for (const GuestRange& run : free_pages(window, parts.mmio)) {
    const std::uint64_t distance = run.base().raw() - window.gpa;
    RETRAP_TRY(parts.memory.map_linear(run.base(), HostPhys(window.hpa + distance), run.size(),
                                       kWindowFlags, window.name));
  }
  return {};
}

Result<> plug_devices(const Window& window, HostRange range, const VmConfig& config,
                      PassthroughParts parts) {
  RETRAP_TRY(const auto claimed, parts.devices->claim(range, VmId{config.id}));
  const bool wired = config.interrupt_mode == InterruptMode::Passthrough && window.irq_id != 0;
  for (const HostDevices::Entry& entry : claimed) {
    const std::uint64_t base = window.gpa + (entry.range.base().raw() - window.hpa);
    RETRAP_TRY(parts.mmio.add(base, *entry.device, wired ? window.irq_id : Bus::kNoLine,
                              &parts.interrupts));
  }
  return {};
}

/// The windows of memory, whole and merged.
Result<std::vector<Window>> memory_windows(const VmConfig& config, const HostDevices* devices) {
  std::vector<Window> windows;
  for (Window& window : entries_of(config)) {
    if (has_host_device(window, devices)) continue;
    RETRAP_TRY(Window whole, whole_pages(std::move(window)));
    windows.push_back(std::move(whole));
  }
  return merged(std::move(windows));
}

void examine_memory(const Window& window, const BoardView& board, ConfigFindings& findings) {
  const auto say = [&](std::vector<ConfigProblem>& where, std::string text) {
    where.push_back({.key = window.key, .text = std::move(text)});
  };
  const std::string where =
      fmt::format("{} at {:#x} + {:#x}", window.name, window.gpa, window.size);
  if (window.last() > low_bits(board.address_bits)) {
    say(findings.problems,
        fmt::format("{} is beyond the {} bits of a guest-physical address; give a lower base_gpa",
                    where, board.address_bits));
    return;
  }
  if (is_there_already(window, board.mmio)) {
    std::vector<std::string_view> names;
    for (const Bus::Plug& plug : devices_in(window, board.mmio)) {
      names.push_back(plug.device->name());
    }
    say(findings.notes, fmt::format("{} is the board's {}, which the guest has already", where,
                                    fmt::join(names, ", ")));
    return;
  }
  const auto fits = check_fits(window, board.mmio);
  if (!fits) say(findings.problems, fits.error().message + "; move it, or give whole devices");
}

void examine_host_device(const Window& window, const VmConfig& config, const BoardView& board,
                         ConfigFindings& findings) {
  if (config.interrupt_mode != InterruptMode::Passthrough || window.irq_id == 0) return;
  if (board.interrupts.has_line(window.irq_id)) return;
  findings.problems.push_back(
      {.key = window.key,
       .text = fmt::format("{} wants interrupt line {}, which is not there; give another",
                           window.name, window.irq_id)});
}

}  // namespace

Result<> pass_through(const VmConfig& config, PassthroughParts parts) {
  for (const Window& window : entries_of(config)) {
    const auto range = HostRange::make(HostPhys(window.hpa), window.size);
    if (!range || !has_host_device(window, parts.devices)) continue;
    RETRAP_TRY(plug_devices(window, *range, config, parts)
                   .map_error(while_doing("{}: {}", window.key, window.name)));
  }
  RETRAP_TRY(const std::vector<Window> windows, memory_windows(config, parts.devices));
  for (const Window& window : windows) {
    RETRAP_TRY(map_around_devices(window, parts).map_error(while_doing("{}", window.key)));
  }
  return {};
}

void examine_windows(const VmConfig& config, const BoardView& board, ConfigFindings& findings) {
  for (std::size_t i = 0; i < config.passthrough_devices.size(); ++i) {
    if (!is_whole_tree(config.passthrough_devices[i])) continue;
    findings.notes.push_back(
        {.key = fmt::format("devices.passthrough_devices[{}]", i),
         .text = "passthrough device / is every device of the board, and the guest has them "
                 "already"});
  }
  for (const Window& window : entries_of(config)) {
    if (has_host_device(window, board.devices)) {
      examine_host_device(window, config, board, findings);
    }
  }
  // What is wrong with the windows themselves has been said.
  const auto windows = memory_windows(config, board.devices);
  if (!windows) return;
  for (const Window& window : *windows) examine_memory(window, board, findings);
}

}  // namespace retrap
