// Port accesses: dealt with in their own hook, in the middle of a block.
#include "sim/unicorn/x86_64/core.h"
#include "vmm/base/bits.h"

namespace retrap::unicorn::x86_64 {

std::uint32_t Core::on_in(uc_engine* /*uc*/, std::uint32_t /*port*/, int size, void* self) {
  Core& core = *static_cast<Core*>(self);
  core.access_port();
  const std::uint64_t rax = core.hook_env_.head().regs[static_cast<unsigned>(Gpr::Rax)];
  return static_cast<std::uint32_t>(rax & low_bits(8 * static_cast<unsigned>(size)));
}

void Core::on_out(uc_engine* /*uc*/, std::uint32_t /*port*/, int /*size*/, std::uint32_t /*value*/,
                  void* self) {
  static_cast<Core*>(self)->access_port();
}

// When the hook returns, the engine goes on behind the instruction, and takes RIP and the flags for
// what they were. Where more has happened than the access, the block must end here: the instruction
// is aborted, although it is done.
void Core::access_port() {
  if (!may_stay() || is_string_io(decode_at_rip(hook_env_))) abort_instruction(Stop::PortIo);
  Vcpu& cpu = *loaded_;
  const EnvHead& head = hook_env_.head();
  const Env::Flags flags = hook_env_.flags();
  const std::uint32_t mode = head.hflags;
  const Block block = counter_.current();
  const std::uint64_t count = counter_.count();
  stop_ = Stop::PortIo;
  code_is_dropped_ = false;
  hook_env_.join_flags();
  const std::uint64_t rflags = head.eflags;
  const Next next = deal_with_stop(cpu);

  const bool only = cpu.exit.code == SvmExit::Ioio && head.eip == cpu.exit.next_rip &&
                    head.eflags == rflags && head.hflags == mode;
  const bool free = next == Next::Resume && step_ == Step::Off && !must_leave_ &&
                    !code_is_dropped_ && !window_wanted_ && count <= limit_;
  if (!only || !free || !cpu.env.is_attached()) {
    done_port_ = DonePort{.cpu = &cpu, .next = next};
    abort_instruction(Stop::PortIo);
  }
  hook_env_.set_flags(flags);
  forget_stop();
  counter_.go_on_in(block, count);
}

bool Core::after_done_port() {
  const DonePort done = *done_port_;
  done_port_.reset();
  hook_env_.head().regs[static_cast<unsigned>(Gpr::Rcx)] = kept_rcx_;
  rcx_is_lost_ = false;
  return stay(*done.cpu, done.next);
}

}  // namespace retrap::unicorn::x86_64
