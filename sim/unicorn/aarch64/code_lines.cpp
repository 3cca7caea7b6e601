// The ledger of translated lines.
#include "sim/unicorn/aarch64/code_lines.h"

#include <cstring>

#include "vmm/base/bits.h"

namespace retrap::unicorn::aarch64 {

Result<CodeLines> CodeLines::make(HostMemory& memory) {
  const std::uint64_t flags = align_up(memory.size() / kLineBytes, kPageSize);
  RETRAP_TRY(HostRam state, HostRam::map(flags));
  RETRAP_TRY(HostRam listed, HostRam::map(flags));
  RETRAP_TRY(HostRam copy, HostRam::map(memory.size()));
  return CodeLines(memory, std::move(state), std::move(listed), std::move(copy));
}

CodeLines::CodeLines(HostMemory& memory, HostRam state, HostRam listed, HostRam copy)
    : memory_(memory),
      state_(std::move(state)),
      listed_(std::move(listed)),
      copy_(std::move(copy)) {}

bool CodeLines::is_unchanged(std::uint64_t line) const {
  const std::uint64_t offset = line * kLineBytes;
  return std::memcmp(copy_.bytes().data() + offset, memory_.data() + offset, kLineBytes) == 0;
}

void CodeLines::translated(std::uint64_t hpa, std::uint64_t size) {
  for (std::uint64_t line = line_of(hpa); line <= line_of(hpa + size - 1); ++line) {
    if (state(line) == kNone) {
      state(line) = kClean;
      std::memcpy(copy_.bytes().data() + line * kLineBytes, memory_.data() + line * kLineBytes,
                  kLineBytes);
      if (listed(line) == kNone) lines_.push_back(line);
      listed(line) = kClean;
    } else if (state(line) == kClean && !is_unchanged(line)) {
      state(line) = kMixed;
    }
  }
}

void CodeLines::queue(std::uint64_t hpa) {
  if (queue_.size() >= kMaxQueue) {
    everything_ = true;
  } else if (!queue_.empty() && queue_.back().end == hpa) {
    queue_.back().end += kLineBytes;
  } else {
    queue_.push_back({hpa, hpa + kLineBytes});
  }
}

void CodeLines::invalidate_line(std::uint64_t hpa) {
  const std::uint64_t line = line_of(hpa);
  if (state(line) == kNone || (state(line) == kClean && is_unchanged(line))) return;
  state(line) = kNone;
  queue(memory_.base().raw() + line * kLineBytes);
}

void CodeLines::invalidate_changed() {
  std::vector<std::uint64_t> lines;
  lines.swap(lines_);
  for (const std::uint64_t line : lines) {
    invalidate_line(memory_.base().raw() + line * kLineBytes);
    listed(line) = state(line);
    if (listed(line) != kNone) lines_.push_back(line);
  }
}

void CodeLines::invalidate_page(std::uint64_t hpa) {
  const std::uint64_t page = hpa & ~(kPageSize - 1);
  for (std::uint64_t at = page; at < page + kPageSize; at += kLineBytes) {
    std::byte& line = state(line_of(at));
    if (line == kNone) continue;
    line = kNone;
    queue(at);
  }
}

void CodeLines::apply(Engine& engine) {
  applying_ = true;
  if (everything_) {
    engine.flush_code();
    for (const std::uint64_t line : lines_) state(line) = listed(line) = kNone;
    lines_.clear();
  } else {
    for (const Range& range : queue_) {
      check(uc_ctl_remove_cache(engine.get(), kWindow | range.begin, kWindow | range.end),
            "remove_cache");
    }
  }
  queue_.clear();
  everything_ = false;
  applying_ = false;
}

}  // namespace retrap::unicorn::aarch64
