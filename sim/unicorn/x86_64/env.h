// The window on the CPU state inside a uc_context: the one place that knows Unicorn 2.1.4's layout.
#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "sim/unicorn/x86_64/names.h"

namespace retrap::unicorn::x86_64 {

// The engine's own summary of the CPU's mode (hflags).
namespace hf {
inline constexpr std::uint32_t kCpl = 3;
inline constexpr std::uint32_t kInhibit = 1U << 3;  ///< interrupt shadow
inline constexpr std::uint32_t kCs32 = 1U << 4;
inline constexpr std::uint32_t kSs32 = 1U << 5;
inline constexpr std::uint32_t kAddSeg = 1U << 6;
inline constexpr std::uint32_t kLma = 1U << 14;
inline constexpr std::uint32_t kCs64 = 1U << 15;
inline constexpr std::uint32_t kGuest = 1U << 21;  ///< in SVM guest mode
}  // namespace hf

namespace rflags {
inline constexpr std::uint64_t kStatus = 0x8d5;  ///< OF SF ZF AF PF CF
inline constexpr std::uint64_t kCf = 1;
inline constexpr std::uint64_t kZf = 1U << 6;
inline constexpr std::uint64_t kTf = 1U << 8;
inline constexpr std::uint64_t kIf = 1U << 9;
inline constexpr std::uint64_t kDf = 1U << 10;
inline constexpr std::uint64_t kOf = 1U << 11;
inline constexpr std::uint64_t kNt = 1U << 14;
inline constexpr std::uint64_t kRf = 1U << 16;
inline constexpr std::uint64_t kVm = 1U << 17;
inline constexpr std::uint64_t kAc = 1U << 18;
[[nodiscard]] constexpr unsigned iopl(std::uint64_t flags) {
  return static_cast<unsigned>(flags >> 12) & 3;
}
}  // namespace rflags

// The second word of a descriptor, which is how the engine keeps segment attributes.
namespace descriptor {
inline constexpr std::uint32_t kAccessed = 1U << 8;
inline constexpr std::uint32_t kReadWrite = 1U << 9;
inline constexpr std::uint32_t kConforming = 1U << 10;
inline constexpr std::uint32_t kCode = 1U << 11;
inline constexpr std::uint32_t kS = 1U << 12;
inline constexpr unsigned kDplShift = 13;
inline constexpr std::uint32_t kP = 1U << 15;
inline constexpr std::uint32_t kL = 1U << 21;
inline constexpr std::uint32_t kB = 1U << 22;
inline constexpr std::uint32_t kG = 1U << 23;
}  // namespace descriptor

namespace cr0 {
inline constexpr std::uint64_t kPe = 1;
inline constexpr std::uint64_t kWp = 1U << 16;
inline constexpr std::uint64_t kNw = 1U << 29;
inline constexpr std::uint64_t kCd = 1U << 30;
inline constexpr std::uint64_t kPg = 1U << 31;
}  // namespace cr0

namespace cr4 {
inline constexpr std::uint64_t kPse = 1U << 4;
inline constexpr std::uint64_t kPae = 1U << 5;
inline constexpr std::uint64_t kSmep = 1U << 20;
inline constexpr std::uint64_t kSmap = 1U << 21;
}  // namespace cr4

namespace efer {
inline constexpr std::uint64_t kSce = 1;
inline constexpr std::uint64_t kLme = 1U << 8;
inline constexpr std::uint64_t kLma = 1U << 10;
inline constexpr std::uint64_t kNxe = 1U << 11;
inline constexpr std::uint64_t kSvme = 1U << 12;
}  // namespace efer

/// SegmentCache.
struct EnvSegment {
  std::uint32_t selector;
  std::uint32_t padding;
  std::uint64_t base;
  std::uint32_t limit;
  std::uint32_t flags;  ///< second word of the descriptor
};

/// CPUX86State, from its start.
struct EnvHead {
  std::uint64_t regs[16];
  std::uint64_t eip;
  std::uint64_t eflags;  ///< in a hook without status flags and DF: see Env::join_flags()
  std::uint64_t cc_dst;
  std::uint64_t cc_src;
  std::uint64_t cc_src2;
  std::uint32_t cc_op;
  std::int32_t df;
  std::uint32_t hflags;
  std::uint32_t hflags2;
  EnvSegment segs[6];
  EnvSegment ldt;
  EnvSegment tr;
  EnvSegment gdt;
  EnvSegment idt;
  std::uint64_t cr[9];
  std::int32_t a20_mask;
  std::int32_t padding;
  std::uint64_t bounds[10];
  std::uint64_t bndcfgs;
  std::uint64_t efer;
};

/// From sysenter_cs on.
struct EnvMsrs {
  std::uint32_t sysenter_cs;
  std::uint32_t padding;
  std::uint64_t sysenter_esp;
  std::uint64_t sysenter_eip;
  std::uint64_t star;
  std::uint64_t vm_hsave;
  std::uint64_t lstar;
  std::uint64_t cstar;
  std::uint64_t fmask;
  std::uint64_t kernel_gs_base;
  std::uint64_t tsc;
  std::uint64_t tsc_adjust;
  std::uint64_t tsc_deadline;
  std::uint64_t tsc_aux;
};

/// The end, up to end_reset_fields.
struct EnvTail {
  std::int32_t error_code;
  std::int32_t exception_is_int;
  std::uint64_t exception_next_eip;
  std::uint64_t dr[8];
  std::uint64_t breakpoints[4];
  std::int32_t old_exception;
  std::int32_t padding0;
  std::uint64_t vm_vmcb;
  std::uint64_t tsc_offset;
  std::uint64_t intercept;
  std::uint16_t intercept_cr_read;
  std::uint16_t intercept_cr_write;
  std::uint16_t intercept_dr_read;
  std::uint16_t intercept_dr_write;
  std::uint32_t intercept_exceptions;
  std::uint32_t padding1;
  std::uint64_t nested_cr3;
  std::uint32_t nested_pg_mode;
  std::uint8_t v_tpr;
  std::uint8_t padding2[3];
  std::uint64_t retaddr;
};

/// Where the pieces lie in a uc_context, and where the engine has its own.
struct EnvLayout {
  std::size_t head = 0;  ///< directly behind the context's own header
  std::size_t msrs = 0;
  std::size_t pat = 0;
  std::size_t tail = 0;
  std::byte* live = nullptr;  ///< the head of the engine's state

  /// Finds and checks every field that we use, by writing through the public register API. Backend
  /// where this build of Unicorn lays the state out in another way. Changes nothing.
  [[nodiscard]] static Result<EnvLayout> probe(uc_engine* uc);
};

/// The registers of one CPU: in the engine while they are attached, else in a uc_context.
class Env {
 public:
  /// Detached, with nothing in it.
  Env(uc_engine* uc, const EnvLayout& layout);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  /// The engine's registers are these from now on. Safe in hooks, as are all changes to head().
  void attach() { base_ = live_; }
  [[nodiscard]] bool is_attached() const { return base_ == live_; }
  /// The engine gets other registers: keeps these.
  void detach();
  /// Gives the registers to the engine, which loses those that it has.
  void restore();
  /// The same, and keeps them: they are restored again and again.
  void copy_to_engine() const;

  /// The registers for the API of contexts.
  [[nodiscard]] uc_context* context() const;
  [[nodiscard]] EnvHead& head() { return *at<EnvHead>(layout_.head); }
  [[nodiscard]] const EnvHead& head() const { return *at<EnvHead>(layout_.head); }
  [[nodiscard]] EnvMsrs& msrs() { return *at<EnvMsrs>(layout_.msrs); }
  [[nodiscard]] const EnvMsrs& msrs() const { return *at<EnvMsrs>(layout_.msrs); }
  [[nodiscard]] EnvTail& tail() { return *at<EnvTail>(layout_.tail); }
  [[nodiscard]] const EnvTail& tail() const { return *at<EnvTail>(layout_.tail); }
  [[nodiscard]] std::uint64_t& pat() { return *at<std::uint64_t>(layout_.pat); }

  // What the state says.
  [[nodiscard]] unsigned cpl() const { return head().hflags & hf::kCpl; }
  [[nodiscard]] bool long_mode() const { return (head().efer & efer::kLma) != 0; }
  [[nodiscard]] bool code64() const { return (head().hflags & hf::kCs64) != 0; }
  [[nodiscard]] unsigned code_bytes() const {
    return code64() ? 8 : (head().hflags & hf::kCs32) != 0 ? 4 : 2;
  }
  [[nodiscard]] bool protected_mode() const { return (head().cr[0] & cr0::kPe) != 0; }
  [[nodiscard]] bool virtual_8086() const { return (head().eflags & rflags::kVm) != 0; }
  [[nodiscard]] bool in_shadow() const { return (head().hflags & hf::kInhibit) != 0; }
  /// The linear address of an instruction: CS:offset.
  [[nodiscard]] std::uint64_t linear_rip() const {
    if (code64()) return head().eip;
    return head().segs[static_cast<unsigned>(SegmentName::Cs)].base + head().eip;
  }

  // While the engine runs, the status flags and DF are in fields of their own, and the former as
  // the operands of the instruction that set them. Outside, head().eflags has them all.
  void join_flags();   ///< in a hook: as outside
  void split_flags();  ///< and back
  /// The fields that split_flags() writes.
  struct Flags {
    std::uint64_t eflags, source;
    std::uint32_t operation;
    std::int32_t direction;
  };
  [[nodiscard]] Flags flags() const {
    return {head().eflags, head().cc_src, head().cc_op, head().df};
  }
  void set_flags(const Flags& flags) {
    EnvHead& env = head();
    env.eflags = flags.eflags;
    env.cc_src = flags.source;
    env.cc_op = flags.operation;
    env.df = flags.direction;
  }

  /// In 64-bit mode the base of CS means nothing (APM volume 2, 4.5.1); the engine adds it to RIP.
  [[nodiscard]] bool has_code_base() const {
    return code64() && head().segs[static_cast<unsigned>(SegmentName::Cs)].base != 0;
  }
  /// Outside of 64-bit mode RIP has 32 bits; far returns of the engine load more.
  [[nodiscard]] bool has_wide_rip() const { return !code64() && head().eip >> 32 != 0; }
  void drop_code_base() { head().segs[static_cast<unsigned>(SegmentName::Cs)].base = 0; }

  /// Loads a segment register's hidden part with everything that the engine derives from it.
  void load_segment(SegmentName name, const EnvSegment& value);

 private:
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

  uc_engine* uc_;
  uc_context* context_ = nullptr;
  EnvLayout layout_;
  std::byte* live_;  ///< where a context would begin whose state is the engine's
  std::byte* base_;  ///< the same for these registers
};

/// Between the two encodings of segment attributes: VMCB and descriptor.
[[nodiscard]] constexpr std::uint32_t to_flags(std::uint16_t attributes) {
  return (attributes & 0xffU) << 8 | (attributes & 0xf00U) << 12;
}
[[nodiscard]] constexpr std::uint16_t to_attributes(std::uint32_t flags) {
  return static_cast<std::uint16_t>((flags >> 8 & 0xff) | (flags >> 12 & 0xf00));
}

}  // namespace retrap::unicorn::x86_64
