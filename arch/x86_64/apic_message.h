// What travels between the APICs.
#pragma once

#include <cstdint>

namespace retrap::x86_64 {

/// Intel SDM volume 3, 11.6.1, "Delivery Mode".
enum class DeliveryMode : std::uint8_t {
  Fixed = 0,
  LowestPriority = 1,
  Smi = 2,
  Reserved = 3,
  Nmi = 4,
  Init = 5,
  Startup = 6,
  ExtInt = 7,
};

struct ApicMessage {
  std::uint32_t destination;
  bool logical;
  DeliveryMode mode;
  std::uint8_t vector;
  bool level_triggered;
  friend bool operator==(const ApicMessage&, const ApicMessage&) = default;
};

/// Takes messages: the set of local APICs.
class ApicBus {
 public:
  virtual ~ApicBus() = default;
  /// Whether anybody accepted it.
  virtual bool deliver(const ApicMessage& message) = 0;
};

/// Hears the end of a level-triggered interrupt: the IO-APIC.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  virtual void end_of_interrupt(std::uint8_t vector) = 0;
};

}  // namespace retrap::x86_64
