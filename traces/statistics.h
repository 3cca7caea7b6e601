// How often what happened: by kind, device address, program counter and vCPU.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "traces/walk.h"

namespace retrap::traces {

class Statistics final : public Visitor {
 public:
  /// Exits, and the guest's instructions before each of them.
  struct Count {
    std::uint64_t exits = 0;
    std::uint64_t instructions = 0;
  };
  using ByKey = std::map<std::pair<std::size_t, std::uint64_t>, Count>;  ///< (kind, key)

  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;

  [[nodiscard]] const std::array<Count, kExitKinds>& by_kind() const { return kinds_; }
  [[nodiscard]] const ByKey& by_pc() const { return pcs_; }
  [[nodiscard]] std::uint64_t exits() const { return exits_; }

  /// Tables for people, `top` lines each.
  [[nodiscard]] std::string to_text(std::uint64_t top) const;
  [[nodiscard]] std::string to_json(std::uint64_t top) const;

 private:
  std::array<Count, kExitKinds> kinds_{};
  ByKey pcs_;
  ByKey addresses_;  ///< of MMIO, ports, system registers, faults, and numbers of hypercalls
  std::map<std::pair<std::uint32_t, std::uint32_t>, Count> vcpus_;  ///< (vm, vcpu)
  std::uint64_t exits_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t injections_ = 0;
  std::uint64_t inputs_ = 0;
  std::uint64_t digests_ = 0;
  std::uint64_t last_retired_ = 0;
};

}  // namespace retrap::traces
