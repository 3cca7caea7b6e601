// Offsets into Unicorn 2.1.4's CPU state, and the check at start that they are right.
#include "sim/unicorn/x86_64/env.h"

#include "sim/unicorn/cpu_object.h"
#include "sim/unicorn/engine.h"

namespace retrap::unicorn::x86_64 {
namespace {

constexpr std::array kGprIds = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
                                UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                                UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
                                UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};

void write_reg(uc_engine* uc, int id, std::uint64_t value) {
  check(uc_reg_write(uc, id, &value), "reg_write");
}
std::uint64_t read_reg(uc_engine* uc, int id) {
  std::uint64_t value = 0;
  check(uc_reg_read(uc, id, &value), "reg_read");
  return value;
}
void write_msr(uc_engine* uc, std::uint32_t number, std::uint64_t value) {
  uc_x86_msr msr{number, value};
  check(uc_reg_write(uc, UC_X86_REG_MSR, &msr), "reg_write MSR");
}
std::uint64_t read_msr(uc_engine* uc, std::uint32_t number) {
  uc_x86_msr msr{number, 0};
  check(uc_reg_read(uc, UC_X86_REG_MSR, &msr), "reg_read MSR");
  return msr.value;
}

constexpr std::uint32_t kFlagsInSource = 1;  // CC_OP_EFLAGS: cc_src is the flags

constexpr std::uint64_t sentinel(unsigned index) {
  return 0x5115'c0de'0000'0000 + index * 0x0101'0101ULL;
}

/// A context of the engine as it is, put back at the end.
class Kept {
 public:
  explicit Kept(uc_engine* uc) : uc_(uc) {
    check(uc_context_alloc(uc, &context_), "context_alloc");
    check(uc_context_save(uc, context_), "context_save");
  }
  ~Kept() {
    check(uc_context_restore(uc_, context_), "context_restore");
    uc_context_free(context_);
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  [[nodiscard]] uc_context* get() const { return context_; }

 private:
  uc_engine* uc_;
  uc_context* context_ = nullptr;
};

/// The offset of `needle` in the context, at multiples of 8, or `size`.
template <class T>
std::size_t find(uc_context* context, std::size_t size, const T& needle) {
  const auto* bytes = reinterpret_cast<const std::byte*>(context);
  for (std::size_t offset = 0; offset + sizeof needle <= size; offset += 8) {
    if (std::memcmp(bytes + offset, &needle, sizeof needle) == 0) return offset;
  }
  return size;
}

void write_general_registers(uc_engine* uc, unsigned first) {
  for (unsigned i = 0; i < kGprIds.size(); ++i) write_reg(uc, kGprIds[i], sentinel(first + i));
}

void write_sentinels(uc_engine* uc) {
  write_general_registers(uc, 0);
  uc_x86_mmr tr{0x28, 0x1122'3344'5566'7788, 0x1234, 0x8b00};
  uc_x86_mmr gdtr{0, 0x99aa'bbcc'ddee, 0x7f, 0};
  check(uc_reg_write(uc, UC_X86_REG_TR, &tr), "reg_write TR");
  check(uc_reg_write(uc, UC_X86_REG_GDTR, &gdtr), "reg_write GDTR");
  for (int i = 0; i < 4; ++i) {
    write_reg(uc, UC_X86_REG_DR0 + i, 0xd0d0'd000 + static_cast<unsigned>(i));
  }
  write_msr(uc, 0x174, 0x1740);
  write_msr(uc, 0x175, sentinel(20));
  write_msr(uc, 0x176, sentinel(21));
  write_msr(uc, 0x277, sentinel(22));
  for (std::uint32_t i = 0; i < 4; ++i) write_msr(uc, 0xc000'0081 + i, sentinel(23 + i));
  write_msr(uc, 0xc000'0102, sentinel(27));
  write_msr(uc, 0xc000'0103, 0x1030);
}

bool head_matches(uc_engine* uc, const EnvHead& head) {
  return head.tr.selector == 0x28 && head.tr.base == 0x1122'3344'5566'7788 &&
         head.tr.limit == 0x1234 && head.tr.flags == 0x8b00 && head.gdt.base == 0x99aa'bbcc'ddee &&
         head.gdt.limit == 0x7f && head.cr[0] == read_reg(uc, UC_X86_REG_CR0) &&
         head.cr[4] == read_reg(uc, UC_X86_REG_CR4) && head.efer == read_msr(uc, 0xc000'0080) &&
         (head.hflags & hf::kCs64) != 0 && head.eip == read_reg(uc, UC_X86_REG_RIP);
}

bool msrs_match(const EnvMsrs& msrs) {
  return msrs.sysenter_cs == 0x1740 && msrs.sysenter_esp == sentinel(20) &&
         msrs.sysenter_eip == sentinel(21) && msrs.star == sentinel(23) &&
         msrs.lstar == sentinel(24) && msrs.cstar == sentinel(25) && msrs.fmask == sentinel(26) &&
         msrs.kernel_gs_base == sentinel(27) && msrs.tsc_aux == 0x1030;
}

bool tail_matches(const EnvTail& tail) {
  bool same = tail.old_exception == -1 && tail.intercept == 0;
  for (unsigned i = 0; i < 4; ++i) same = same && tail.dr[i] == 0xd0d0'd000 + i;
  return same;
}

std::array<std::uint64_t, 16> general_registers(unsigned first) {
  std::array<std::uint64_t, 16> values{};
  for (unsigned i = 0; i < values.size(); ++i) values[i] = sentinel(first + i);
  return values;
}

// No context may have seen these values: it would lie in the same heap.
std::byte* search(uc_engine* uc) {
  const auto wanted = general_registers(200);
  write_general_registers(uc, 200);
  return find_in_cpu(uc, std::as_bytes(std::span(wanted)), sizeof(EnvHead));
}

// Another set of values: the engine's own registers follow it.
std::string_view mismatch(uc_engine* uc, std::byte* found) {
  write_general_registers(uc, 300);
  const auto wanted = general_registers(300);
  const bool same = std::memcmp(found, wanted.data(), sizeof wanted) == 0;
  return same ? std::string_view() : "a copy of the general registers";
}

}  // namespace

Result<EnvLayout> EnvLayout::probe(uc_engine* uc) {
  const auto refuse = [](std::string_view what) {
    return fail(ErrorCode::Backend,
                "unicorn {}.{}.{}: the CPU state has another layout than that of 2.1.4 ({})",
                UC_VERSION_MAJOR, UC_VERSION_MINOR, UC_VERSION_PATCH, what);
  };
  RETRAP_TRY(std::byte* const live, find_state(uc, search, mismatch));
  const Kept kept(uc);
  write_sentinels(uc);
  const Kept written(uc);
  uc_context* const context = written.get();

  const std::size_t size = uc_context_size(uc);
  std::size_t stated = 0;  // by the context's header: the bytes of the state
  std::memcpy(&stated, context, sizeof stated);
  const std::size_t head = find(context, size, general_registers(0));
  if (stated + head != size) return refuse("context header");
  const std::size_t lstar = find(context, size, sentinel(24));
  const std::size_t pat = find(context, size, sentinel(22));
  if (head + sizeof(EnvHead) > size) return refuse("general registers");
  if (lstar < offsetof(EnvMsrs, lstar) || lstar + sizeof(EnvMsrs) > size) return refuse("MSRs");
  if (pat >= size) return refuse("PAT");
  if (size < sizeof(EnvTail)) return refuse("size");

  const EnvLayout layout{.head = head,
                         .msrs = lstar - offsetof(EnvMsrs, lstar),
                         .pat = pat,
                         .tail = size - sizeof(EnvTail),
                         .live = live};
  Env typed(uc, layout);
  typed.attach();
  if (!head_matches(uc, typed.head())) return refuse("system registers");
  if (!msrs_match(typed.msrs())) return refuse("MSRs");
  if (!tail_matches(typed.tail())) return refuse("debug registers and intercepts");
  return layout;
}

Env::Env(uc_engine* uc, const EnvLayout& layout)
    : uc_(uc), layout_(layout), live_(layout.live - layout.head) {
  check(uc_context_alloc(uc, &context_), "context_alloc");
  base_ = reinterpret_cast<std::byte*>(context_);
}
Env::~Env() {
  uc_context_free(context_);
}

void Env::detach() {
  if (!is_attached()) return;
  base_ = reinterpret_cast<std::byte*>(context());
}
void Env::restore() {
  if (is_attached()) return;
  copy_to_engine();
  attach();
}
void Env::copy_to_engine() const {
  check(uc_context_restore(uc_, context_), "context_restore");
}
uc_context* Env::context() const {
  if (is_attached()) check(uc_context_save(uc_, context_), "context_save");
  return context_;
}

void Env::join_flags() {
  EnvHead& env = head();
  if (env.cc_op != kFlagsInSource) {
    env.eflags = read_reg(uc_, UC_X86_REG_RFLAGS);
    return;
  }
  env.eflags &= ~(rflags::kStatus | rflags::kDf);
  env.eflags |= (env.cc_src & rflags::kStatus) | (env.df < 0 ? rflags::kDf : 0);
}

void Env::split_flags() {
  EnvHead& env = head();
  env.cc_src = env.eflags & rflags::kStatus;
  env.cc_op = kFlagsInSource;
  env.df = (env.eflags & rflags::kDf) != 0 ? -1 : 1;
  env.eflags &= ~(rflags::kStatus | rflags::kDf);
}

void Env::load_segment(SegmentName name, const EnvSegment& value) {
  EnvHead& env = head();
  env.segs[static_cast<unsigned>(name)] = value;
  if (name == SegmentName::Cs) {
    if ((env.hflags & hf::kLma) != 0 && (value.flags & descriptor::kL) != 0) {
      env.hflags |= hf::kCs32 | hf::kSs32 | hf::kCs64;
      env.hflags &= ~hf::kAddSeg;
    } else {
      env.hflags &= ~(hf::kCs32 | hf::kCs64);
      if ((value.flags & descriptor::kB) != 0) env.hflags |= hf::kCs32;
    }
  }
  if (name == SegmentName::Ss) {
    env.hflags = (env.hflags & ~hf::kCpl) | (value.flags >> descriptor::kDplShift & 3);
  }
  const auto& es = env.segs[static_cast<unsigned>(SegmentName::Es)];
  const auto& ss = env.segs[static_cast<unsigned>(SegmentName::Ss)];
  const auto& ds = env.segs[static_cast<unsigned>(SegmentName::Ds)];
  std::uint32_t derived = (ss.flags & descriptor::kB) != 0 ? hf::kSs32 : 0;
  if ((env.hflags & hf::kCs64) != 0) {
    derived |= hf::kSs32;
  } else if (!protected_mode() || virtual_8086() || (env.hflags & hf::kCs32) == 0 ||
             (ds.base | es.base | ss.base) != 0) {
    derived |= hf::kAddSeg;
  }
  env.hflags = (env.hflags & ~(hf::kSs32 | hf::kAddSeg)) | derived;
}

}  // namespace retrap::unicorn::x86_64
