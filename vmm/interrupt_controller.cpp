// Who has which line of an interrupt controller.
#include "vmm/interrupt_controller.h"

namespace retrap {

Result<> InterruptController::claim_line(std::uint32_t line, std::string_view device) {
  if (!has_line(line)) {
    return fail(ErrorCode::InvalidInput, "{} wants interrupt line {}, which is not there", device,
                line);
  }
  const auto [claim, is_free] = claims_.try_emplace(line, device);
  if (is_free) return {};
  return fail(ErrorCode::AlreadyExists, "{} wants interrupt line {}, which {} has", device, line,
              claim->second);
}

void InterruptController::release_line(std::uint32_t line) {
  claims_.erase(line);
}

}  // namespace retrap
