// A machine without an instruction set.
#include "sim/scripted/scripted_board.h"

#include "vmm/base/bits.h"

namespace retrap::scripted {

void ScriptedInterrupts::set_line(std::uint32_t line, bool level) {
  if (!has_line(line)) return;
  lines_ = level ? lines_ | bit(line) : lines_ & ~bit(line);
  if (level) vcpus_.front()->set_wakeup(true);
}

Result<> ScriptedInterrupts::inject(VcpuId vcpu, std::uint64_t vector) {
  if (vector > 0xff) return fail(ErrorCode::InvalidInput, "there is no vector {:#x}", vector);
  injections_.push_back({vcpu, vector});
  vcpus_[index(vcpu)]->set_wakeup(true);
  return {};
}

void ScriptedInterrupts::reset() {
  lines_ = 0;
  injections_.clear();
}

void ScriptedInterrupts::digest(Digest& into) const {
  into.add(lines_);
  for (const Injection& injection : injections_) {
    into.add(index(injection.vcpu));
    into.add(injection.vector);
  }
}

ScriptedBoard::ScriptedBoard(const VmConfig& config, Clock& clock) {
  for (std::uint32_t id = 0; id < config.cpu_num; ++id) {
    vcpus_.push_back(std::make_unique<ScriptedVcpu>(clock));
  }
}

Result<> ScriptedBoard::load(const Images& images) {
  if (images.kernel) return fail(ErrorCode::Unsupported, "a script is not loaded from a file");
  return {};
}

bool ScriptedBoard::receive(char byte) {
  (void)byte;
  return false;
}

void ScriptedBoard::reset() {
  for (const auto& vcpu : vcpus_) vcpu->reset();
  interrupts_.reset();
}

void ScriptedBoard::digest(Digest& into) const {
  interrupts_.digest(into);
}

VmConfig ScriptedArchitecture::default_config(std::uint64_t memory_bytes) const {
  VmConfig config;
  config.name = "scripted";
  config.arch = id_;
  if (memory_bytes != 0)
    config.memory_regions.push_back({.gpa = 0x4000'0000, .size = memory_bytes});
  return config;
}

void ScriptedArchitecture::check(const VmConfig& config, std::vector<std::string>& problems) const {
  if (config.vm_type == VmType::HostVm) problems.emplace_back("base.vm_type: 0 is not scripted");
}

Result<std::unique_ptr<Board>> ScriptedArchitecture::make_board(const VmConfig& config,
                                                                VmParts parts) {
  return std::make_unique<ScriptedBoard>(config, parts.clock);
}

}  // namespace retrap::scripted
