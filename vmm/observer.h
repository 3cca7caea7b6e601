// How others listen: traces, statistics and hooks, without the monitor knowing them.
#pragma once

#include <cstdint>

#include "vmm/exit.h"
#include "vmm/ids.h"

namespace retrap {

/// A vCPU came back. Also called for each access of an instruction that makes several.
struct ExitEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t sequence;  ///< of this VM, from 0
  std::uint64_t retired;   ///< machine instruction count at the exit
  std::uint64_t pc;
  const ExitReason& reason;
};

/// What the monitor answered: the value of a read, the result of a hypercall.
struct AnswerEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t sequence;  ///< of the exit it answers
  std::uint64_t value;
};

/// A vector became pending at a vCPU: an IPI, or the embedder's inject_interrupt_to_vcpu().
struct InjectionEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t retired;  ///< machine instruction count
  std::uint64_t vector;
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_exit(const ExitEvent& event) { (void)event; }
  virtual void on_answer(const AnswerEvent& event) { (void)event; }
  virtual void on_injection(const InjectionEvent& event) { (void)event; }
};

}  // namespace retrap
