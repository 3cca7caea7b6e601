// How often what happened: by kind, device, address, program counter and vCPU.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "traces/walk.h"

namespace retrap::traces {

/// Whose address an exit of this kind was at, as "pl011 0x9000000"; empty where no device is there.
using DeviceNames = std::function<std::string(VmId vm, std::size_t kind, std::uint64_t address)>;

class Statistics final : public Visitor {
 public:
  /// Exits, and the instructions that the machine retired before each of them, since its last exit
  /// of any kind.
  struct Count {
    std::uint64_t exits = 0;
    std::uint64_t instructions = 0;
    std::uint64_t idle_ns = 0;  ///< by_kind() only: skipped after such exits, until the next one
    friend Count operator+(const Count& a, const Count& b) {
      return {a.exits + b.exits, a.instructions + b.instructions, a.idle_ns + b.idle_ns};
    }
  };
  using ByKey = std::map<std::pair<std::size_t, std::uint64_t>, Count>;  ///< (kind, key)
  /// (kind, address, vm)
  using ByAddress = std::map<std::tuple<std::size_t, std::uint64_t, std::uint32_t>, Count>;

  void on_passing(const ExitRecord& exit, std::uint64_t number) override;
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;

  [[nodiscard]] const std::array<Count, kExitKinds>& by_kind() const { return kinds_; }
  [[nodiscard]] const ByKey& by_pc() const { return pcs_; }
  [[nodiscard]] std::uint64_t exits() const { return exits_; }

  /// Tables for people, `top` lines each. Without `devices` there is no table of devices.
  [[nodiscard]] std::string to_text(std::uint64_t top, const DeviceNames& devices = {}) const;
  [[nodiscard]] std::string to_json(std::uint64_t top, const DeviceNames& devices = {}) const;

 private:
  std::array<Count, kExitKinds> kinds_{};
  ByKey pcs_;
  ByAddress addresses_;  ///< of MMIO, ports, system registers, faults, and numbers of hypercalls
  std::map<std::pair<std::uint32_t, std::uint32_t>, Count> vcpus_;  ///< (vm, vcpu)
  std::uint64_t exits_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t injections_ = 0;
  std::uint64_t inputs_ = 0;
  std::uint64_t digests_ = 0;
  std::uint64_t instructions_ = 0;  ///< before the exits that are counted
  std::uint64_t delta_ = 0;         ///< between the last two exits of the machine
  std::uint64_t last_retired_ = 0;
  std::uint64_t last_idle_ns_ = 0;
  std::size_t idle_kind_ = kExitKinds;  ///< of the last exit, where it was counted
};

}  // namespace retrap::traces
