// Finds the CPU state of an engine by what was written to it, and checks its layout.
#include "sim/unicorn/riscv64/env.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn::riscv64 {
namespace {

/// The state lies in the object of the CPU, behind its table of blocks (32 KiB).
constexpr std::size_t kObjectBytes = std::size_t{64} << 10;
constexpr std::size_t kHostPage = 4096;

constexpr std::uint64_t sentinel(unsigned index) {
  return 0x5115'c0de'0000'0000 + index * 0x0101'0101ULL;
}

void write(uc_engine* uc, int id, std::uint64_t value) {
  check(uc_reg_write(uc, id, &value), "reg_write");
}

/// Says whether memory can be read, without reading it: the system refuses to copy from it.
class ReadableMemory {
 public:
  ReadableMemory() {
    if (pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) ends_ = {-1, -1};
  }
  ~ReadableMemory() {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  ReadableMemory(const ReadableMemory&) = delete;
  ReadableMemory& operator=(const ReadableMemory&) = delete;

  [[nodiscard]] bool has(const std::byte* at) const {
    if (::write(ends_[1], at, 1) != 1) return false;
    std::byte copied{};
    return ::read(ends_[0], &copied, 1) == 1;
  }
  /// Bytes from `at` on, up to `limit`.
  [[nodiscard]] std::size_t size_at(const std::byte* at, std::size_t limit) const {
    std::size_t size = 0;
    while (size + kHostPage <= limit && has(at + size) && has(at + size + kHostPage - 1)) {
      size += kHostPage;
    }
    return size;
  }

 private:
  std::array<int, 2> ends_{};
};

/// The state in the object at `object`, or null.
std::byte* state_in(std::byte* object, std::size_t size) {
  std::array<std::uint64_t, 32> wanted{};
  for (unsigned i = 1; i < wanted.size(); ++i) wanted[i] = sentinel(i);
  for (std::size_t at = 0; at + sizeof(Env) <= size; at += 8) {
    if (std::memcmp(object + at, wanted.data(), sizeof wanted) == 0) return object + at;
  }
  return nullptr;
}

/// One of the first pointers in a uc_engine is that to its CPU.
std::byte* search(uc_engine* uc) {
  const ReadableMemory readable;
  const auto* const words = reinterpret_cast<const std::byte*>(uc);
  const std::size_t size = malloc_usable_size(uc);
  for (std::size_t at = 0; at + sizeof(std::byte*) <= size; at += sizeof(std::byte*)) {
    std::uint64_t word = 0;
    std::memcpy(&word, words + at, sizeof word);
    if (word < kHostPage || word % 16 != 0) continue;
    std::byte* object = nullptr;
    std::memcpy(&object, words + at, sizeof object);
    if (std::byte* const found = state_in(object, readable.size_at(object, kObjectBytes))) {
      return found;
    }
  }
  return nullptr;
}

/// Every register by the public interface, each with a value of its own.
void write_all(uc_engine* uc, unsigned first) {
  for (unsigned i = 1; i < 32; ++i) {
    write(uc, UC_RISCV_REG_X0 + static_cast<int>(i), sentinel(first + i));
  }
  for (unsigned i = 0; i < 32; ++i) {
    write(uc, UC_RISCV_REG_F0 + static_cast<int>(i), sentinel(first + 32 + i));
  }
  write(uc, UC_RISCV_REG_PC, sentinel(first + 64));
  write(uc, UC_RISCV_REG_SEPC, sentinel(first + 65));
  write(uc, UC_RISCV_REG_SCAUSE, sentinel(first + 66));
  write(uc, UC_RISCV_REG_STVAL, sentinel(first + 67));
  write(uc, UC_RISCV_REG_SSCRATCH, sentinel(first + 68));
  write(uc, UC_RISCV_REG_STVEC, sentinel(first + 69) & ~3ULL);
  write(uc, UC_RISCV_REG_SCOUNTEREN, first & 7);
  write(uc, UC_RISCV_REG_MSTATUS, 0x122);  // SPP, SPIE, SIE
  write(uc, UC_RISCV_REG_MIP, 0x202);
  write(uc, UC_RISCV_REG_MIE, 0x220);
  write(uc, UC_RISCV_REG_MIDELEG, 0x222);
}

bool registers_match(const Env& env, unsigned first) {
  bool same = env.x[0] == 0 && env.pc == sentinel(first + 64);
  for (unsigned i = 1; i < 32; ++i) same = same && env.x[i] == sentinel(first + i);
  for (unsigned i = 0; i < 32; ++i) same = same && env.f[i] == sentinel(first + 32 + i);
  return same;
}

bool csrs_match(const Env& env, unsigned first) {
  return env.sepc == sentinel(first + 65) && env.scause == sentinel(first + 66) &&
         env.sbadaddr == sentinel(first + 67) && env.sscratch == sentinel(first + 68) &&
         env.stvec == (sentinel(first + 69) & ~3ULL) && env.scounteren == (first & 7) &&
         env.mstatus == 0x122 && env.mip == 0x202 && env.mie == 0x220 && env.mideleg == 0x222;
}

/// The privilege, and the reservation that every change of it breaks.
bool privilege_matches(uc_engine* uc, Env& env) {
  bool same = true;
  for (const std::uint64_t privilege : {0ULL, 1ULL, 3ULL}) {
    env.load_res = 0;
    write(uc, UC_RISCV_REG_PRIV, privilege);
    same = same && env.priv == privilege && env.load_res == Env::kNoReservation;
  }
  return same;
}

}  // namespace

Result<Env*> Env::find(uc_engine* uc) {
  const auto refuse = [](std::string_view what) {
    return fail(ErrorCode::Backend,
                "unicorn {}.{}.{}: the CPU state has another layout than that of 2.1.4 ({})",
                UC_VERSION_MAJOR, UC_VERSION_MINOR, UC_VERSION_PATCH, what);
  };
  uc_context* before = nullptr;
  check(uc_context_alloc(uc, &before), "context_alloc");
  check(uc_context_save(uc, before), "context_save");
  write_all(uc, 0);
  std::byte* const found = search(uc);
  std::string_view wrong;
  if (found == nullptr) {
    wrong = "general registers";
  } else {
    // Another set of values: what follows them is the engine's own, and not a copy.
    write_all(uc, 100);
    Env& env = *reinterpret_cast<Env*>(found);
    if (!registers_match(env, 100)) wrong = "registers";
    if (wrong.empty() && !csrs_match(env, 100)) wrong = "CSRs";
    if (wrong.empty() && !privilege_matches(uc, env)) wrong = "privilege";
  }
  write(uc, UC_RISCV_REG_MIP, 0);
  check(uc_context_restore(uc, before), "context_restore");
  uc_context_free(before);
  if (!wrong.empty()) return refuse(wrong);
  return reinterpret_cast<Env*>(found);
}

}  // namespace retrap::unicorn::riscv64
