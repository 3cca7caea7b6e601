// A virtual machine: vCPUs, address space, devices, life cycle, run loop.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "vmm/hal.h"
#include "vmm/observer.h"
#include "vmm/vcpu.h"

namespace retrap {

enum class VmState : std::uint8_t { Ready, Running, Stopped };
[[nodiscard]] std::string_view to_string(VmState state);

struct VmStatistics {
  /// By index of ExitReason. BudgetSpent is not the guest's doing: neither counted nor observed.
  std::array<std::uint64_t, kExitKinds> exits{};
  std::uint64_t populated = 0;  ///< nested faults that brought a page in
  std::uint64_t aborts = 0;     ///< accesses the guest got an abort for
  std::uint64_t refused_sysregs = 0;
  std::uint64_t unclaimed_ports = 0;
};

/// The cause of a GuestCrash that the monitor finds: exits without end, and no instruction retires
/// (an abort whose handler cannot be fetched, a fault that comes back).
inline constexpr std::uint64_t kNoProgress = ~std::uint64_t{0};

/// Whoever has a vCPU run: asked about the exits that are not the VM's own.
class VcpuRunner : public ExitHandler {
 public:
  /// Asked after each exit and each alarm, at the instruction count `retired`: where true,
  /// run_vcpu() returns Nothing. Any of them may have woken another vCPU.
  [[nodiscard]] virtual bool wants_back(std::uint64_t retired) {
    (void)retired;
    return false;
  }
};

/// The monitor of one guest.
///
/// A guest cannot make it fail: Errors are misuse by the embedder or a refusal by the host.
class Vm {
 public:
  /// Checks the whole configuration first (Error lists every problem, one a line); then builds
  /// memory, devices and vCPUs. Unsupported where `hal` has no such hardware.
  /// `console` and `hal` outlive the VM.
  [[nodiscard]] static Result<std::unique_ptr<Vm>> create(VmConfig config, Hal& hal,
                                                          ConsoleSink& console);
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  [[nodiscard]] VmId id() const { return VmId{config_.id}; }
  [[nodiscard]] const VmConfig& config() const { return config_; }
  [[nodiscard]] VmState state() const { return state_; }

  /// Loads the images into guest memory and sets up the boot vCPU. Only while Ready.
  [[nodiscard]] Result<> load(const Images& images);

  [[nodiscard]] Result<> boot();      ///< Ready -> Running
  [[nodiscard]] Result<> shutdown();  ///< Ready, Running -> Stopped

  /// InvalidInput where there is none.
  [[nodiscard]] Result<Vcpu*> vcpu(VcpuId id) {
    if (index(id) >= vcpus_.size()) [[unlikely]]
      return no_vcpu(id);
    return &vcpus_[index(id)];
  }
  [[nodiscard]] std::size_t vcpu_num() const { return vcpus_.size(); }

  /// Runs a vCPU until an exit that is the embedder's to handle. Consumes MmioRead, MmioWrite,
  /// SysRegRead, SysRegWrite, IoRead, IoWrite and NestedPageFault; always unbinds. BadState unless
  /// Running; InvalidInput for a vCPU that is not there.
  ///
  /// Where a `runner` is given, it is asked first about every exit that would be returned,
  /// BudgetSpent apart: where it says that the guest goes on, the exit is not returned.
  [[nodiscard]] Result<ExitReason> run_vcpu(VcpuId id, VcpuRunner* runner = nullptr);

  [[nodiscard]] Result<> map_region(GuestPhys gpa, HostPhys hpa, std::uint64_t size,
                                    MappingFlags flags);
  [[nodiscard]] Result<> unmap_region(GuestPhys gpa, std::uint64_t size);

  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<T> read_from_guest_of(GuestPhys gpa) {
    return memory_.load<T>(gpa);
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<> write_to_guest_of(GuestPhys gpa, const T& value) {
    return memory_.store(gpa, value);
  }

  [[nodiscard]] Result<> inject_interrupt_to_vcpu(VcpuId id, std::uint64_t vector);

  /// The answer to a hypercall: the return register, and the observer is told.
  [[nodiscard]] Result<> answer_hypercall(VcpuId id, std::uint64_t value);

  /// Devices of the embedder, at any time while no vCPU runs. `line` is an input of the VM's
  /// interrupt controller, or Bus::kNoLine.
  [[nodiscard]] Result<Device*> add_mmio_device(GuestPhys base, std::unique_ptr<Device> device,
                                                std::uint32_t line = Bus::kNoLine);
  [[nodiscard]] Result<Device*> add_port_device(std::uint16_t base, std::unique_ptr<Device> device,
                                                std::uint32_t line = Bus::kNoLine);
  [[nodiscard]] Result<Device*> add_sysreg_device(std::uint64_t base,
                                                  std::unique_ptr<Device> device);

  [[nodiscard]] AddressSpace& memory() { return memory_; }
  [[nodiscard]] Bus& mmio() { return mmio_; }
  [[nodiscard]] Bus& ports() { return ports_; }
  [[nodiscard]] Bus& sysregs() { return sysregs_; }
  [[nodiscard]] Board& board() { return *board_; }
  [[nodiscard]] const VmStatistics& statistics() const { return statistics_; }

  /// Null for none; outlives its registration.
  void set_observer(Observer* observer) { observer_ = observer; }

  /// Everything a guest could see: registers, RAM, devices, interrupt state.
  void digest(Digest& into) const;

 private:
  class Port;
  class RunLoop;
  /// How often a vCPU came back since an instruction retired.
  struct Progress {
    std::uint64_t retired = 0;
    std::uint32_t fruitless = 0;
  };

  Vm(VmConfig config, Hal& hal, AddressSpace memory);
  [[nodiscard]] Result<> plug_board(Architecture& architecture, ConsoleSink& console);
  [[nodiscard]] Result<> check_no_device(GuestRange range) const;
  [[nodiscard]] Result<> check_no_memory(GuestPhys base, const Device& device) const;
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view operation) const;
  [[nodiscard]] tl::unexpected<Error> no_vcpu(VcpuId id) const;

  /// Whether the exit is dealt with; otherwise it is the embedder's.
  [[nodiscard]] bool handle(Vcpu& vcpu, const ExitReason& exit);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::MmioRead& read);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::MmioWrite& write);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::SysRegRead& read);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::SysRegWrite& write);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::IoRead& read);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::IoWrite& write);
  [[nodiscard]] bool on(Vcpu& vcpu, const exits::NestedPageFault& fault);
  void emulate(Vcpu& vcpu, const exits::NestedPageFault& fault);
  [[nodiscard]] bool makes_progress(VcpuId id);
  [[nodiscard]] ExitReason no_progress(Vcpu& vcpu);
  void saw(VcpuId id, const ExitReason& exit) {
    ++statistics_.exits[exit.index()];
    if (observer_ != nullptr) [[unlikely]]
      report(id, exit);
  }
  void answered(VcpuId id, std::uint64_t value) {
    if (observer_ != nullptr) [[unlikely]]
      report_answer(id, value);
  }
  void report(VcpuId id, const ExitReason& exit);
  void report_answer(VcpuId id, std::uint64_t value);

  VmConfig config_;
  Clock& clock_;
  VmState state_ = VmState::Ready;
  AddressSpace memory_;
  Bus mmio_;
  Bus ports_;
  Bus sysregs_;
  std::unique_ptr<Board> board_;
  std::vector<Vcpu> vcpus_;
  std::vector<Progress> progress_;  ///< by VcpuId
  VmStatistics statistics_;
  Observer* observer_ = nullptr;
  std::uint64_t sequence_ = 0;
};

}  // namespace retrap
