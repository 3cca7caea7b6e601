// Gateways, priorities, claims.
#include "arch/riscv64/plic.h"

#include "arch/riscv64/causes.h"

namespace retrap::riscv64 {
namespace {

enum class Block : std::uint8_t { Priority, Pending, Enable, Threshold, Claim };

// "Memory Map".
constexpr std::uint64_t kPending = 0x1000;
constexpr std::uint64_t kEnable = 0x2000;
constexpr std::uint64_t kEnableStride = 0x80;
constexpr std::uint64_t kContext = 0x20'0000;
constexpr std::uint64_t kContextStride = 0x1000;

}  // namespace

struct Plic::Place {
  Block block;
  std::uint32_t context = 0;
  std::uint32_t index = 0;  ///< the source, or the word of a bit map
};

Plic::Plic(unsigned contexts) : contexts_(contexts), outputs_(contexts, 0) {}

std::optional<Plic::Place> Plic::find(std::uint64_t offset, std::size_t contexts) {
  if (offset % 4 != 0) return std::nullopt;
  if (offset < kPending) {
    const auto source = static_cast<std::uint32_t>(offset / 4);
    if (source == 0 || source >= kSources) return std::nullopt;
    return Place{.block = Block::Priority, .index = source};
  }
  if (offset < kEnable) {
    const auto word = static_cast<std::uint32_t>((offset - kPending) / 4);
    if (word >= kWords) return std::nullopt;
    return Place{.block = Block::Pending, .index = word};
  }
  const bool is_enable = offset < kContext;
  const std::uint64_t stride = is_enable ? kEnableStride : kContextStride;
  const std::uint64_t rest = offset - (is_enable ? kEnable : kContext);
  if (rest / stride >= contexts) return std::nullopt;
  const auto context = static_cast<std::uint32_t>(rest / stride);
  const auto word = static_cast<std::uint32_t>(rest % stride / 4);
  if (is_enable) {
    if (word >= kWords) return std::nullopt;
    return Place{.block = Block::Enable, .context = context, .index = word};
  }
  if (word > 1) return std::nullopt;
  return Place{.block = word == 0 ? Block::Threshold : Block::Claim, .context = context};
}

IoResult<std::uint64_t> Plic::read(const Access& access) {
  const auto place = find(access.offset, contexts_.size());
  if (!place) return tl::unexpected(IoError::NoRegister);
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  switch (place->block) {
    case Block::Priority:  return sources_[place->index].priority;
    case Block::Pending:   return pending_word(place->index);
    case Block::Enable:    return contexts_[place->context].enable[place->index];
    case Block::Threshold: return contexts_[place->context].threshold;
    case Block::Claim:     return claim(place->context);
  }
  return tl::unexpected(IoError::NoRegister);
}

IoResult<> Plic::write(const Access& access, std::uint64_t value) {
  const auto place = find(access.offset, contexts_.size());
  if (!place) return tl::unexpected(IoError::NoRegister);
  if (access.width != Width::Word) return tl::unexpected(IoError::BadWidth);
  const auto word = static_cast<std::uint32_t>(value);
  switch (place->block) {
    case Block::Priority:
      sources_[place->index].priority = static_cast<std::uint8_t>(word & kMaxPriority);
      break;
    case Block::Pending: return tl::unexpected(IoError::ReadOnly);
    case Block::Enable:
      contexts_[place->context].enable[place->index] = place->index == 0 ? word & ~1u : word;
      break;
    case Block::Threshold: contexts_[place->context].threshold = word & kMaxPriority; break;
    case Block::Claim:     complete(contexts_[place->context], value); break;
  }
  update();
  return {};
}

std::uint32_t Plic::pending_word(std::uint32_t word) const {
  std::uint32_t bits = 0;
  for (std::uint32_t i = 0; i < 32; ++i) {
    if (sources_[word * 32 + i].pending) bits |= 1u << i;
  }
  return bits;
}

/// The pending, enabled source of the highest priority, the lowest number among equals; 0: none.
std::uint32_t Plic::best_source(const Context& context) const {
  std::uint32_t best = 0;
  for (std::uint32_t source = 1; source < kSources; ++source) {
    if (!sources_[source].pending || !is_enabled(context, source)) continue;
    if (sources_[source].priority > sources_[best].priority) best = source;
  }
  return best;
}

// "Interrupt Claim Process": the threshold does not matter to a claim.
std::uint32_t Plic::claim(std::uint32_t number) {
  Context& context = contexts_[number];
  context.injected = false;
  const std::uint32_t source = best_source(context);
  if (source != 0) {
    sources_[source].pending = false;
    sources_[source].in_service = true;
    tell_delivery(VcpuId{number}, source);
  }
  update();
  return source;
}

// "Interrupt Completion": the identity of a source that is not enabled here is ignored.
void Plic::complete(const Context& context, std::uint64_t source) {
  if (source == 0 || source >= kSources) return;
  Source& completed = sources_[source];
  if (!is_enabled(context, static_cast<std::uint32_t>(source)) || !completed.in_service) return;
  completed.in_service = false;
  completed.pending = completed.latched || (!completed.edge && completed.level);
  completed.latched = false;
}

void Plic::set_line(std::uint32_t line, bool level) {
  if (!has_line(line)) return;
  Source& source = sources_[line];
  const bool rises = level && !source.level;
  source.level = level;
  // "Interrupt Gateways": nothing more is forwarded until the source is completed.
  if (source.in_service) {
    source.latched = source.latched || (source.edge && rises);
    return;
  }
  if (source.edge ? rises : level) source.pending = true;
  update();
}

void Plic::pulse(std::uint32_t line) {
  if (!has_line(line)) return;
  Source& source = sources_[line];
  (source.in_service ? source.latched : source.pending) = true;
  update();
}

void Plic::make_edge_triggered(std::uint32_t source) {
  if (has_line(source)) sources_[source].edge = true;
}

void Plic::inject_external(unsigned context) {
  contexts_[context].injected = true;
  update();
}

Result<> Plic::inject(VcpuId vcpu, std::uint64_t vector) {
  if ((vector & ~kInterrupt) != kSupervisorExternal || index(vcpu) >= contexts_.size()) {
    return fail(ErrorCode::InvalidInput, "the plic cannot raise interrupt {:#x} at vcpu {}", vector,
                index(vcpu));
  }
  inject_external(index(vcpu));
  return {};
}

void Plic::update() {
  for (std::size_t i = 0; i < contexts_.size(); ++i) {
    const Context& context = contexts_[i];
    const std::uint32_t best = best_source(context);
    const bool wins = best != 0 && sources_[best].priority > context.threshold;
    outputs_[i] = wins || context.injected ? 1 : 0;
  }
}

void Plic::reset() {
  for (Source& source : sources_) source = {.edge = source.edge};
  for (Context& context : contexts_) context = {};
  update();
}

void Plic::digest(Digest& into) const {
  for (const Source& source : sources_) {
    const std::uint64_t flags = std::uint64_t{source.level} | std::uint64_t{source.edge} << 1 |
                                std::uint64_t{source.latched} << 2 |
                                std::uint64_t{source.pending} << 3 |
                                std::uint64_t{source.in_service} << 4;
    into.add(flags << 8 | source.priority);
  }
  for (const Context& context : contexts_) {
    for (const std::uint32_t word : context.enable) into.add(word);
    into.add(std::uint64_t{context.threshold} << 1 | std::uint64_t{context.injected});
  }
}

}  // namespace retrap::riscv64
