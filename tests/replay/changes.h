// Runs that differ from a recorded one by one bit, and where they differ first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/machine.h"
#include "sim/replay.h"
#include "traces/reader.h"

namespace retrap::test {

/// What is changed. The order is that of kChangeNames.
enum class ChangeKind : std::uint8_t { Register, Ram, DeviceRegister, InputCount, InputByte };
inline constexpr std::array<std::string_view, 5> kChangeNames = {
    "register", "RAM byte", "device register", "input count", "input byte"};

/// One bit, chosen by a seed.
struct Change {
  ChangeKind kind = ChangeKind::Register;
  std::uint64_t seed = 0;  ///< decides which one
  std::uint64_t at = 0;    ///< instruction count; inputs: does not matter
};

/// A recorded run of a built-in guest that prints, is typed at and interrupted.
struct BaseRun {
  ArchId arch = ArchId::X86_64;
  std::string guest;
  std::uint32_t vcpus = 1;
  traces::Reader trace;
};

/// Detail::Exits: without digests on the way, so that it is an event that differs first.
[[nodiscard]] BaseRun base_run(ArchId arch, const std::string& guest, std::uint32_t vcpus,
                               traces::Detail detail = traces::Detail::Full);

/// Where a run parts from the recorded one. Empty: nowhere.
struct Parting {
  std::string field;
  std::uint64_t exit = 0;  ///< number of the exit, or of the one before
  friend bool operator==(const Parting&, const Parting&) = default;
};

/// What one change came to. Empty where the replay found what is there.
struct Verdict {
  bool changes_behaviour = false;
  std::string problem;
  std::string where;  ///< the field that was named
};

/// Replays with the change, and works out by a run that is only watched what has to be found.
[[nodiscard]] Verdict judge(const BaseRun& base, const Change& change);

/// The change that belongs to a seed.
[[nodiscard]] Change change_of(const BaseRun& base, std::uint64_t seed);

}  // namespace retrap::test
