// A virtual machine: vCPUs, address space, devices, life cycle, run loop.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "vmm/hal.h"
#include "vmm/interrupt_controller.h"
#include "vmm/ivc_window.h"
#include "vmm/life_cycle.h"
#include "vmm/observer.h"
#include "vmm/vcpu.h"

namespace retrap {

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
  /// Asked after each exit and each alarm while the turn is not due: where true, run_vcpu() returns
  /// Nothing, as it does where the turn is due. Any of them may have woken another vCPU.
  [[nodiscard]] virtual bool wants_back() { return false; }
};

/// What RAM allows unless somebody says otherwise.
inline constexpr MappingFlags kRamFlags =
    MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;

/// The monitor of one guest.
///
/// A guest cannot make it fail: Errors are misuse by the embedder or a refusal by the host.
class Vm final : private LineSink {
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
  [[nodiscard]] VmState state() const { return life_.state(); }
  [[nodiscard]] const LifeCycle& life() const { return life_; }

  /// Loads the images into guest memory and sets up the boot vCPU. Only while Ready.
  [[nodiscard]] Result<> load(const Images& images);

  // What moves a VM from one state to another: the table is LifeCycle's. While a vCPU is in
  // run_vcpu() (its devices and observers may call these), it comes back at its next exit.
  [[nodiscard]] Result<> boot() { return life_.boot(); }
  [[nodiscard]] Result<> suspend() { return life_.suspend(); }
  [[nodiscard]] Result<> resume() { return life_.resume(); }
  [[nodiscard]] Result<> shutdown() { return end(VmEnd::ShutDown); }
  /// The same for another reason.
  [[nodiscard]] Result<> end(VmEnd reason, std::string detail = {}) {
    return life_.end(reason, std::move(detail));
  }

  /// Ready again, as Vm::create() made it from the configuration: no images, no memory or windows
  /// of the embedder, whose devices stay plugged and are reset. References to its parts (vCPUs,
  /// memory, buses, board) end. BadState while a vCPU runs; where the host refuses to build it
  /// again it has Failed.
  [[nodiscard]] Result<> reset();

  /// Gives every frame back, and every device up. Ready, Stopped, Failed -> Destroyed.
  [[nodiscard]] Result<> destroy();

  /// InvalidInput where there is none.
  [[nodiscard]] Result<Vcpu*> vcpu(VcpuId id) {
    if (index(id) >= vcpu_num()) [[unlikely]]
      return no_vcpu(id);
    return &parts_->vcpus[index(id)];
  }
  [[nodiscard]] std::size_t vcpu_num() const { return is_built() ? parts_->vcpus.size() : 0; }

  /// Runs a vCPU until an exit that is the embedder's to handle. Consumes MmioRead, MmioWrite,
  /// SysRegRead, SysRegWrite, IoRead, IoWrite and NestedPageFault; always unbinds. BadState unless
  /// Running; InvalidInput for a vCPU that is not there.
  ///
  /// Where a `runner` is given, it is asked first about every exit that would be returned,
  /// BudgetSpent apart: where it says that the guest goes on, the exit is not returned.
  [[nodiscard]] Result<ExitReason> run_vcpu(VcpuId id, VcpuRunner* runner = nullptr);

  // Memory, at any time: between two exits or from a device, while the guest runs. What goes away
  // is gone for the guest's next access. BadState where the VM is Destroyed.

  /// A window to host memory that somebody else owns.
  [[nodiscard]] Result<> map_region(GuestPhys gpa, HostPhys hpa, std::uint64_t size,
                                    MappingFlags flags);
  /// More RAM, zeroed, owned by this VM and populated as its configuration says. Whole pages;
  /// AlreadyExists names the region or device in the way.
  [[nodiscard]] Result<> grow_memory(GuestPhys gpa, std::uint64_t size,
                                     MappingFlags flags = kRamFlags);
  /// Takes away whatever is mapped in the range; frames of owned RAM go back to the host.
  [[nodiscard]] Result<> unmap_region(GuestPhys gpa, std::uint64_t size);

  /// Bytes out of and into RAM, across regions, at any alignment: as AddressSpace has it.
  [[nodiscard]] Result<> read_from_guest(GuestPhys gpa, std::span<std::byte> into);
  [[nodiscard]] Result<> write_to_guest(GuestPhys gpa, std::span<const std::byte> from);

  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<T> read_from_guest_of(GuestPhys gpa) {
    T value;
    return read_from_guest(gpa, std::as_writable_bytes(std::span(&value, 1))).map([&] {
      return value;
    });
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<> write_to_guest_of(GuestPhys gpa, const T& value) {
    return write_to_guest(gpa, std::as_bytes(std::span(&value, 1)));
  }

  /// A place for an inter-VM channel in the window of the configuration's IVC device, and back.
  /// Maps nothing; IvcChannels does that. As IvcWindow has it.
  [[nodiscard]] Result<GuestRange> alloc_ivc_channel(std::uint64_t size);
  [[nodiscard]] Result<> release_ivc_channel(GuestPhys gpa, std::uint64_t size);
  [[nodiscard]] const IvcWindow& ivc_window() const { return ivc_window_; }

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

  // The parts. Not where the VM is Destroyed, or a reset of it has failed.
  [[nodiscard]] bool is_built() const { return parts_ != nullptr; }
  [[nodiscard]] AddressSpace& memory() { return parts().memory; }
  [[nodiscard]] Bus& mmio() { return parts().mmio; }
  [[nodiscard]] Bus& ports() { return parts().ports; }
  [[nodiscard]] Bus& sysregs() { return parts().sysregs; }
  [[nodiscard]] Board& board() { return *parts().board; }
  /// What devices access memory through, those of the embedder, too. Stays where it is over resets;
  /// refuses everything where there are no parts. Its counters begin anew with the parts.
  [[nodiscard]] GuestDma& dma() { return dma_; }
  [[nodiscard]] Frames& frames() { return hal_.frames(); }
  [[nodiscard]] const VmStatistics& statistics() const { return statistics_; }

  /// Null for none; outlives its registration.
  void set_observer(Observer* observer) {
    // What passed while nobody looked is no exit's cost.
    if (observer_ == nullptr) (void)clock_.lap();
    observer_ = observer;
  }

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
  /// What a VM is made of, in the order in which it is built.
  struct Parts {
    Parts(AddressSpace space, Clock& clock)
        : memory(std::move(space)),
          mmio("mmio", clock),
          ports("port", clock),
          sysregs("sysreg", clock, Bus::Unit::Register) {}
    AddressSpace memory;
    Bus mmio;
    Bus ports;
    Bus sysregs;
    std::unique_ptr<Board> board;
    std::vector<Vcpu> vcpus;
    std::vector<Progress> progress;  ///< by VcpuId
  };
  /// A device of the embedder: it outlives a reset.
  struct Plugged {
    Bus Parts::* bus;
    std::uint64_t base;
    std::uint32_t line;
    const Device* device;
  };

  Vm(VmConfig config, Hal& hal, ConsoleSink& console);
  [[nodiscard]] Result<> build();
  [[nodiscard]] Result<> plug_board(Architecture& architecture);
  [[nodiscard]] Result<> wire_ivc_device();
  void drop_parts();
  [[nodiscard]] Result<> rebuild();
  /// The parts go; the embedder's devices are given back, in the order of plugged_.
  [[nodiscard]] std::vector<std::unique_ptr<Device>> tear_down();
  [[nodiscard]] Result<Device*> plug(Bus Parts::* bus, std::uint64_t base,
                                     std::unique_ptr<Device> device, std::uint32_t line);
  [[nodiscard]] Parts& parts() const;
  [[nodiscard]] Result<> check_built(std::string_view operation) const;
  /// Whether memory may come to `range`: no device is there.
  [[nodiscard]] Result<> check_free(GuestPhys gpa, std::uint64_t size) const;
  [[nodiscard]] Result<> check_no_device(GuestRange range) const;
  [[nodiscard]] Result<> check_no_memory(GuestPhys base, const Device& device) const;
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
  void on_cpu_line(VcpuId vcpu, std::uint32_t line, bool level) override;
  void on_device_line(std::uint32_t line, bool level) override;
  void on_delivery(VcpuId vcpu, std::uint64_t vector) override;
  void report(VcpuId id, const ExitReason& exit);
  void report_answer(VcpuId id, std::uint64_t value);
  void report_injection(VcpuId vcpu, std::uint64_t vector, LineChange change);

  VmConfig config_;
  Hal& hal_;
  Clock& clock_;
  ConsoleSink& console_;
  LifeCycle life_;
  IvcWindow ivc_window_;
  GuestDma dma_;
  std::unique_ptr<Parts> parts_;  ///< null where there are none
  std::vector<Plugged> plugged_;
  VmStatistics statistics_;
  Observer* observer_ = nullptr;
  std::uint64_t sequence_ = 0;
};

}  // namespace retrap
