// A machine without an instruction set: scripted vCPUs, and an interrupt controller that remembers.
#pragma once

#include <memory>
#include <vector>

#include "sim/scripted/scripted_format.h"
#include "sim/scripted/scripted_vcpu.h"
#include "vmm/architecture.h"

namespace retrap::scripted {

/// Sixty-four lines and vectors 0 to 255. A vCPU wakes up by any vector.
class ScriptedInterrupts final : public InterruptController {
 public:
  struct Injection {
    VcpuId vcpu;
    std::uint64_t vector;
    friend bool operator==(const Injection&, const Injection&) = default;
  };
  static constexpr std::uint32_t kLines = 64;

  explicit ScriptedInterrupts(std::vector<std::unique_ptr<ScriptedVcpu>>& vcpus) : vcpus_(vcpus) {}

  void set_line(std::uint32_t line, bool level) override;
  [[nodiscard]] bool has_line(std::uint32_t line) const override { return line < kLines; }
  [[nodiscard]] Result<> inject(VcpuId vcpu, std::uint64_t vector) override;

  [[nodiscard]] std::uint64_t lines() const { return lines_; }  ///< one bit a line
  [[nodiscard]] const std::vector<Injection>& injections() const { return injections_; }
  void reset();
  void digest(Digest& into) const;

 private:
  std::vector<std::unique_ptr<ScriptedVcpu>>& vcpus_;
  std::uint64_t lines_ = 0;
  std::vector<Injection> injections_;
};

/// Loads images nowhere, receives nothing. A risen line wakes the boot vCPU.
class ScriptedBoard final : public Board {
 public:
  ScriptedBoard(const VmConfig& config, Clock& clock);

  [[nodiscard]] ScriptedVcpu& vcpu(VcpuId id) override { return *vcpus_[index(id)]; }
  [[nodiscard]] ScriptedInterrupts& interrupts() override { return interrupts_; }
  [[nodiscard]] Result<> load(const Images& images) override;
  [[nodiscard]] bool receive(char byte) override;
  void reset() override;
  void digest(Digest& into) const override;

 private:
  std::vector<std::unique_ptr<ScriptedVcpu>> vcpus_;
  ScriptedInterrupts interrupts_{vcpus_};
};

/// Takes the place of any architecture.
class ScriptedArchitecture final : public Architecture {
 public:
  explicit ScriptedArchitecture(ArchId id = ArchId::Riscv64) : id_(id) {}

  [[nodiscard]] ArchId id() const override { return id_; }
  [[nodiscard]] const PageTableFormat& page_table_format() const override { return format_; }
  [[nodiscard]] VmConfig default_config(std::uint64_t memory_bytes) const override;
  void check(const VmConfig& config, std::vector<std::string>& problems) const override;
  [[nodiscard]] Result<std::unique_ptr<Board>> make_board(const VmConfig& config,
                                                          VmParts parts) override;

 private:
  ArchId id_;
  ScriptedFormat format_;
};

}  // namespace retrap::scripted
