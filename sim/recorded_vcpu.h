// A scripted CPU whose script is a trace: it takes the recorded exits at the recorded times.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "traces/reader.h"
#include "vmm/arch_vcpu.h"
#include "vmm/clock.h"

namespace retrap {

/// The next event of a trace, until somebody takes it.
class EventFeed {
 public:
  /// Deliveries to the VMs `without_deliveries` are passed over: the CPUs that took them are not
  /// there.
  explicit EventFeed(const traces::Reader& trace, std::vector<VmId> without_deliveries = {})
      : cursor_(trace), without_deliveries_(std::move(without_deliveries)) {
    advance();
  }

  /// Null at the end, and where the trace cannot be read on.
  [[nodiscard]] const traces::Event* head() const { return has_ ? &event_ : nullptr; }
  [[nodiscard]] const traces::ExitRecord* exit() const {
    return has_ ? std::get_if<traces::ExitRecord>(&event_) : nullptr;
  }
  void advance() {
    do {
      const auto more = cursor_.next(event_);
      has_ = more && *more;
      if (!more) error_ = more.error();
    } while (has_ && is_passed_over());
  }
  /// The number of the exit at the head, or of the one before it.
  [[nodiscard]] std::uint64_t number() const {
    return cursor_.exits() == 0 ? 0 : cursor_.exits() - 1;
  }
  [[nodiscard]] std::size_t block() const { return cursor_.block(); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  [[nodiscard]] bool is_passed_over() const {
    const auto* const line = std::get_if<traces::InjectionRecord>(&event_);
    return line != nullptr && line->change == LineChange::Deliver &&
           std::find(without_deliveries_.begin(), without_deliveries_.end(), line->vm) !=
               without_deliveries_.end();
  }

  traces::EventCursor cursor_;
  traces::Event event_;
  std::vector<VmId> without_deliveries_;
  bool has_ = false;
  std::optional<Error> error_;
};

/// Whose events are at the head of the feed, it plays; the others it gives way to.
class RecordedVcpu final : public ArchVcpu {
 public:
  RecordedVcpu(VmId vm, VcpuId id, EventFeed& feed, Clock& clock)
      : vm_(vm), id_(id), feed_(feed), clock_(clock) {}

  [[nodiscard]] ExitReason run() override;
  void complete(std::uint64_t value) override { (void)value; }
  void refuse() override {}
  /// The recorded accesses that follow the fault.
  [[nodiscard]] Emulated emulate(AccessPort& port) override;
  void inject_abort(const exits::NestedPageFault& fault) override { (void)fault; }
  void reset() override {}
  void set_entry(GuestPhys entry, std::uint64_t arg) override {
    (void)entry;
    (void)arg;
  }
  [[nodiscard]] Result<std::uint64_t> gpr(unsigned index) const override;
  [[nodiscard]] Result<> set_gpr(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t pc() const override { return pc_; }
  void set_return_value(std::uint64_t value) override { (void)value; }
  [[nodiscard]] std::uint64_t not_supported() const override { return not_supported_; }
  [[nodiscard]] bool wakeup_pending() const override { return own() != nullptr; }
  [[nodiscard]] std::vector<NamedRegister> registers() const override { return {{"pc", pc_}}; }
  void digest(Digest& into) const override { into.add(pc_); }

  /// What the architecture answers to hypercalls that do not exist.
  void set_not_supported(std::uint64_t value) { not_supported_ = value; }

 private:
  /// The exit at the head, where it is this vCPU's.
  [[nodiscard]] const traces::ExitRecord* own() const;

  VmId vm_;
  VcpuId id_;
  EventFeed& feed_;
  Clock& clock_;
  std::uint64_t pc_ = 0;
  std::uint64_t not_supported_ = 0;
};

}  // namespace retrap
