// Every register by name: for dumps, differences and digests.
#include "sim/unicorn/x86_64/cpu.h"

namespace retrap::unicorn::x86_64 {
namespace {

constexpr std::array<std::string_view, 16> kGprs = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                    "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                    "r12", "r13", "r14", "r15"};

struct SegmentNames {
  std::string_view selector, base, limit, attributes;
};
constexpr std::array<SegmentNames, kSegments> kSegmentNames = {{
    {"es", "es.base", "es.limit", "es.attributes"},
    {"cs", "cs.base", "cs.limit", "cs.attributes"},
    {"ss", "ss.base", "ss.limit", "ss.attributes"},
    {"ds", "ds.base", "ds.limit", "ds.attributes"},
    {"fs", "fs.base", "fs.limit", "fs.attributes"},
    {"gs", "gs.base", "gs.limit", "gs.attributes"},
    {"ldtr", "ldtr.base", "ldtr.limit", "ldtr.attributes"},
    {"tr", "tr.base", "tr.limit", "tr.attributes"},
}};

struct MsrName {
  std::string_view name;
  std::uint32_t number;
};
constexpr std::array<MsrName, 10> kMsrs = {{
    {"SYSENTER_CS", 0x174},
    {"SYSENTER_ESP", 0x175},
    {"SYSENTER_EIP", 0x176},
    {"PAT", 0x277},
    {"STAR", 0xc000'0081},
    {"LSTAR", 0xc000'0082},
    {"CSTAR", 0xc000'0083},
    {"SFMASK", 0xc000'0084},
    {"KERNEL_GS_BASE", 0xc000'0102},
    {"TSC_AUX", 0xc000'0103},
}};

constexpr std::array<std::string_view, 8> kDebugNames = {"dr0", "dr1", "dr2", "dr3",
                                                         "",    "",    "dr6", "dr7"};

struct WideNames {
  std::string_view low, high;
};
constexpr std::array<WideNames, 8> kFpuNames = {{{"st0.significand", "st0.exponent"},
                                                 {"st1.significand", "st1.exponent"},
                                                 {"st2.significand", "st2.exponent"},
                                                 {"st3.significand", "st3.exponent"},
                                                 {"st4.significand", "st4.exponent"},
                                                 {"st5.significand", "st5.exponent"},
                                                 {"st6.significand", "st6.exponent"},
                                                 {"st7.significand", "st7.exponent"}}};
constexpr std::array<WideNames, 16> kXmmNames = {{{"xmm0.low", "xmm0.high"},
                                                  {"xmm1.low", "xmm1.high"},
                                                  {"xmm2.low", "xmm2.high"},
                                                  {"xmm3.low", "xmm3.high"},
                                                  {"xmm4.low", "xmm4.high"},
                                                  {"xmm5.low", "xmm5.high"},
                                                  {"xmm6.low", "xmm6.high"},
                                                  {"xmm7.low", "xmm7.high"},
                                                  {"xmm8.low", "xmm8.high"},
                                                  {"xmm9.low", "xmm9.high"},
                                                  {"xmm10.low", "xmm10.high"},
                                                  {"xmm11.low", "xmm11.high"},
                                                  {"xmm12.low", "xmm12.high"},
                                                  {"xmm13.low", "xmm13.high"},
                                                  {"xmm14.low", "xmm14.high"},
                                                  {"xmm15.low", "xmm15.high"}}};

template <class T>
T read_register(uc_context* context, int id) {
  T value{};
  check(uc_context_reg_read(context, id, &value), "context_reg_read");
  return value;
}

void add_vector_state(uc_context* context, std::vector<NamedRegister>& out) {
  out.push_back({"fcw", read_register<std::uint16_t>(context, UC_X86_REG_FPCW)});
  out.push_back({"fsw", read_register<std::uint16_t>(context, UC_X86_REG_FPSW)});
  out.push_back({"ftw", read_register<std::uint16_t>(context, UC_X86_REG_FPTAG)});
  out.push_back({"mxcsr", read_register<std::uint32_t>(context, UC_X86_REG_MXCSR)});
  for (unsigned i = 0; i < kFpuNames.size(); ++i) {
    const auto bytes =
        read_register<std::array<std::uint8_t, 16>>(context, UC_X86_REG_FP0 + static_cast<int>(i));
    std::uint64_t low = 0;
    std::uint16_t high = 0;
    std::memcpy(&low, bytes.data(), sizeof low);
    std::memcpy(&high, bytes.data() + sizeof low, sizeof high);
    out.push_back({kFpuNames[i].low, low});
    out.push_back({kFpuNames[i].high, high});
  }
  for (unsigned i = 0; i < kXmmNames.size(); ++i) {
    const auto words =
        read_register<std::array<std::uint64_t, 2>>(context, UC_X86_REG_XMM0 + static_cast<int>(i));
    out.push_back({kXmmNames[i].low, words[0]});
    out.push_back({kXmmNames[i].high, words[1]});
  }
}

}  // namespace

std::vector<NamedRegister> UnicornCpu::registers() const {
  const CpuState state = this->state();
  std::vector<NamedRegister> out;
  out.reserve(128);
  for (unsigned i = 0; i < 16; ++i) out.push_back({kGprs[i], state.gpr[i]});
  out.push_back({"rip", state.rip});
  out.push_back({"rflags", state.rflags});
  for (unsigned i = 0; i < kSegments; ++i) {
    out.push_back({kSegmentNames[i].selector, state.segments[i].selector});
    out.push_back({kSegmentNames[i].base, state.segments[i].base});
    out.push_back({kSegmentNames[i].limit, state.segments[i].limit});
    out.push_back({kSegmentNames[i].attributes, state.segments[i].attributes});
  }
  out.push_back({"gdtr.base", state.gdtr.base});
  out.push_back({"gdtr.limit", state.gdtr.limit});
  out.push_back({"idtr.base", state.idtr.base});
  out.push_back({"idtr.limit", state.idtr.limit});
  out.push_back({"cr0", state.cr0});
  out.push_back({"cr2", state.cr2});
  out.push_back({"cr3", state.cr3});
  out.push_back({"cr4", state.cr4});
  out.push_back({"EFER", state.efer});
  for (unsigned i = 0; i < kDebugNames.size(); ++i) {
    if (!kDebugNames[i].empty()) out.push_back({kDebugNames[i], vcpu_->env.tail().dr[i]});
  }
  for (const MsrName& name : kMsrs) out.push_back({name.name, msr(name.number)});
  add_vector_state(vcpu_->env.context(), out);
  return out;
}

void UnicornCpu::digest(Digest& into) const {
  for (const NamedRegister& reg : registers()) into.add(reg.value);
  into.add(vcpu_->env.in_shadow() ? 1 : 0);
  into.add(vcpu_->tsc_offset);
  into.add(vcpu_->pending ? 1 : 0);
  if (!vcpu_->pending) return;
  const Event& event = vcpu_->pending->event;
  into.add(event.vector);
  into.add(static_cast<std::uint64_t>(event.type));
  into.add(event.has_error ? 1 : 0);
  into.add(event.error);
  into.add(event.address);
}

}  // namespace retrap::unicorn::x86_64
