// Recordings that are killed at a random moment, and what is left of them.
#pragma once

#include <filesystem>
#include <string>

#include "traces/reader.h"
#include "vmm/arch_id.h"

namespace retrap::test {

/// What one killed recording left. `problem` is empty where nothing is wrong.
struct Killed {
  bool was_cut_off = false;
  bool within_a_block = false;  ///< there is a part of a block that is not whole
  std::string problem;
};

/// One recording of a guest, made in full, and many that are killed: each of those is the beginning
/// of the first.
class Killing {
 public:
  /// `folder` is there.
  Killing(ArchId arch, const std::filesystem::path& folder);

  /// Records in a process of its own, kills it with SIGKILL when the file has a size from the seed,
  /// or a little later, and reads and replays what is there.
  [[nodiscard]] Killed run(std::uint64_t seed);

 private:
  [[nodiscard]] std::string check(const traces::ByteVector& left, Killed& killed) const;

  ArchId arch_;
  std::string path_;
  traces::ByteVector whole_;
};

}  // namespace retrap::test
