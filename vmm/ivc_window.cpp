// Best fit over the gaps between the channels of one VM.
#include "vmm/ivc_window.h"

#include "vmm/base/bits.h"

namespace retrap {

const EmuDeviceConfig* ivc_device_of(const VmConfig& config) {
  for (const EmuDeviceConfig& device : config.emu_devices) {
    if (device.emu_type == EmuDeviceType::IvcChannel) return &device;
  }
  return nullptr;
}

std::optional<std::uint32_t> ivc_line_of(const VmConfig& config) {
  const EmuDeviceConfig* const device = ivc_device_of(config);
  if (device == nullptr || config.interrupt_mode == InterruptMode::NoIrq) return std::nullopt;
  if (!device->cfg_list.empty()) return static_cast<std::uint32_t>(device->cfg_list.front());
  if (device->irq_id != 0) return device->irq_id;
  return std::nullopt;
}

IvcWindow::IvcWindow(const VmConfig& config) {
  const EmuDeviceConfig* const device = ivc_device_of(config);
  if (device == nullptr) return;
  if (const auto range = GuestRange::make(GuestPhys(device->base_gpa), device->length)) {
    range_ = *range;
  }
}

Result<GuestRange> IvcWindow::allocate(std::uint64_t size) {
  if (!range_) return fail(ErrorCode::InvalidInput, "there is no ivc device in the configuration");
  const auto rounded = checked_align_up(size, kPageSize);
  if (size == 0 || !rounded) {
    return fail(ErrorCode::InvalidInput, "a channel cannot have {:#x} bytes", size);
  }
  std::optional<GuestPhys> best;
  std::uint64_t best_gap = 0;
  const auto consider = [&](GuestPhys base, std::uint64_t gap) {
    if (gap < *rounded || (best && gap >= best_gap)) return;
    best = base;
    best_gap = gap;
  };
  GuestPhys next = range_->base();
  for (const auto& [base, length] : used_) {
    consider(next, base.offset_from(next));
    next = base.wrapping_add(length);
  }
  // The window may end where addresses end.
  consider(next, range_->size() - next.offset_from(range_->base()));
  if (!best) {
    return fail(ErrorCode::NoMemory, "the ivc window {} has no {:#x} bytes left in one piece",
                *range_, *rounded);
  }
  used_.emplace(*best, *rounded);
  return *GuestRange::make(*best, *rounded);
}

Result<> IvcWindow::release(GuestPhys gpa, std::uint64_t size) {
  const auto found = used_.find(gpa);
  const auto rounded = checked_align_up(size, kPageSize);
  if (found == used_.end() || !rounded || size == 0 || found->second != *rounded) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} is no channel that was given out", gpa, size);
  }
  used_.erase(found);
  return {};
}

std::uint64_t IvcWindow::bytes_used() const {
  std::uint64_t bytes = 0;
  for (const auto& [base, size] : used_) bytes += size;
  return bytes;
}

}  // namespace retrap
