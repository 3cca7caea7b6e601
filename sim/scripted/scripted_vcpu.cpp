// Plays exits, counts instructions, and checks that the monitor keeps the protocol.
#include "sim/scripted/scripted_vcpu.h"

#include <algorithm>

#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"
#include "vmm/register_value.h"

namespace retrap::scripted {
namespace {

/// Exits that complete() or refuse() must answer.
bool wants_answer(const ExitReason& exit) {
  return std::holds_alternative<exits::MmioRead>(exit) ||
         std::holds_alternative<exits::MmioWrite>(exit) ||
         std::holds_alternative<exits::SysRegRead>(exit) ||
         std::holds_alternative<exits::SysRegWrite>(exit) ||
         std::holds_alternative<exits::IoRead>(exit) ||
         std::holds_alternative<exits::IoWrite>(exit);
}

constexpr std::array<std::string_view, ScriptedVcpu::kRegisters> kNames = {
    "r0", "r1", "r2",  "r3",  "r4",  "r5",  "r6",  "r7",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

}  // namespace

void ScriptedVcpu::play(Script script) {
  script_ = std::move(script);
  next_ = 0;
  current_ = script_.size();
  passed_ = 0;
  repeated_ = 0;
  unanswered_ = false;
  runs_ = 0;
  answers_.clear();
}

ExitReason ScriptedVcpu::run() {
  RETRAP_CHECK(!unanswered_, "the monitor resumed without answering a {}", name(current().exit));
  ++runs_;
  if (clock_.stop_at() <= clock_.retired()) return exits::BudgetSpent{};
  if (is_over()) return exits::SystemDown{};
  const Step& step = script_[next_];
  const std::uint64_t wanted = step.after - passed_;
  const std::uint64_t allowed = clock_.stop_at() - clock_.retired();
  const std::uint64_t retired = std::min(wanted, allowed);
  clock_.retire_to(clock_.retired() + retired);
  pc_ += retired;
  if (allowed <= wanted) {
    passed_ += retired;
    return exits::BudgetSpent{};
  }
  current_ = next_;
  unanswered_ = wants_answer(step.exit);
  if (repeated_ < step.repeats) {
    ++repeated_;
    passed_ = step.after;
    return step.exit;
  }
  ++next_;
  passed_ = 0;
  repeated_ = 0;
  return step.exit;
}

const Step& ScriptedVcpu::current() const {
  RETRAP_CHECK(current_ < script_.size(), "nothing has been played");
  return script_[current_];
}

void ScriptedVcpu::retire() {
  clock_.retire_to(clock_.retired() + 1);
  ++pc_;
}

void ScriptedVcpu::complete(std::uint64_t value) {
  RETRAP_CHECK(unanswered_, "an answer to no question");
  unanswered_ = false;
  answers_.emplace_back(Completed{value});
  std::visit(Overloaded{
                 [&](const exits::MmioRead& read) {
                   if (read.reg < kRegisters) registers_[read.reg] = register_value(read, value);
                 },
                 [&](const exits::SysRegRead& read) {
                   if (read.reg < kRegisters) registers_[read.reg] = value;
                 },
                 [&](const exits::IoRead& read) {
                   registers_[0] = merge_port_value(registers_[0], read.width, value);
                 },
                 [](const auto&) {},
             },
             current().exit);
  retire();
}

void ScriptedVcpu::refuse() {
  RETRAP_CHECK(unanswered_, "an answer to no question");
  unanswered_ = false;
  answers_.emplace_back(Refused{});
}

Emulated ScriptedVcpu::emulate(AccessPort& port) {
  const Step step = current();
  RETRAP_CHECK(std::holds_alternative<exits::NestedPageFault>(step.exit),
               "only a nested fault is emulated, and not a {}", name(step.exit));
  for (const PortAccess& access : step.accesses) {
    bool taken = false;
    if (const auto* read = std::get_if<exits::MmioRead>(&access)) {
      std::uint64_t value = 0;
      taken = port.read(*read, value);
      answers_.emplace_back(Accessed{read->addr, taken ? std::optional(value) : std::nullopt});
      if (taken && read->reg < kRegisters) registers_[read->reg] = register_value(*read, value);
    } else {
      const auto& write = std::get<exits::MmioWrite>(access);
      taken = port.write(write);
      answers_.emplace_back(Accessed{write.addr, taken ? std::optional(write.data) : std::nullopt});
    }
    if (!taken) return Emulated::NoAccess;
  }
  if (step.emulated == Emulated::Retired) retire();
  return step.emulated;
}

void ScriptedVcpu::inject_abort(const exits::NestedPageFault& fault) {
  answers_.emplace_back(Aborted{fault});
}

void ScriptedVcpu::reset() {
  registers_.fill(0);
  pc_ = 0;
  unanswered_ = false;
}

void ScriptedVcpu::set_entry(GuestPhys entry, std::uint64_t arg) {
  answers_.emplace_back(Entered{entry, arg});
  pc_ = entry.raw();
  registers_[0] = arg;
}

Result<std::uint64_t> ScriptedVcpu::gpr(unsigned index) const {
  if (index >= kRegisters) return fail(ErrorCode::InvalidInput, "there is no register {}", index);
  return registers_[index];
}

Result<> ScriptedVcpu::set_gpr(unsigned index, std::uint64_t value) {
  if (index >= kRegisters) return fail(ErrorCode::InvalidInput, "there is no register {}", index);
  registers_[index] = value;
  return {};
}

void ScriptedVcpu::set_return_value(std::uint64_t value) {
  answers_.emplace_back(Returned{value});
  registers_[0] = value;
}

void ScriptedVcpu::answer_cpu_up(CpuUpResult result) {
  answers_.emplace_back(CpuUpAnswered{result});
}

std::vector<NamedRegister> ScriptedVcpu::registers() const {
  std::vector<NamedRegister> named;
  named.reserve(kRegisters + 1);
  for (unsigned index = 0; index < kRegisters; ++index) {
    named.push_back({kNames[index], registers_[index]});
  }
  named.push_back({"pc", pc_});
  return named;
}

void ScriptedVcpu::digest(Digest& into) const {
  for (const std::uint64_t value : registers_) into.add(value);
  into.add(pc_);
}

}  // namespace retrap::scripted
