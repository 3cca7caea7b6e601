// Numbers and words on the command line.
#include "sim/cli/values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>

#include "vmm/config_check.h"
#include "vmm/nearest.h"

namespace retrap::cli {

namespace {

/// Digits, all of them; nothing where there is anything else or too many.
std::optional<std::uint64_t> digits(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): `end` says where it ends
  const auto [stop, error] = std::from_chars(text.data(), end, value, hex ? 16 : 10);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto value = digits(text);
  if (!value || *value < least || *value > most) {
    return fail(ErrorCode::InvalidInput, "is not a number from {} to {}; write it like 42 or 0x2a",
                least, most);
  }
  return *value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kRemedy = "write a number with K, M or G, such as 512M";
  constexpr std::uint64_t kPage = 4096;
  std::string_view number = text;
  int shift = 0;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
      case 'K': shift = 10; break;
      case 'm':
      case 'M': shift = 20; break;
      case 'g':
      case 'G': shift = 30; break;
      default:  break;
    }
  }
  if (shift != 0) number.remove_suffix(1);
  const auto value = digits(number);
  if (!value) return fail(ErrorCode::InvalidInput, "is not a size; {}", kRemedy);
  if (*value > (~std::uint64_t{0} >> shift)) {
    return fail(ErrorCode::InvalidInput, "does not fit 64 bits; {}", kRemedy);
  }
  const std::uint64_t bytes = *value << shift;
  if (bytes == 0 || bytes % kPage != 0) {
    return fail(ErrorCode::InvalidInput, "is not a multiple of 4K, one at least; {}", kRemedy);
  }
  return bytes;
}

Result<ArchId> parse_arch(std::string_view text) {
  if (const auto arch = arch_from_name(text)) return *arch;
  // What other tools call them.
  constexpr std::array<std::pair<std::string_view, ArchId>, 5> kOtherNames = {
      {{"amd64", ArchId::X86_64},
       {"x86-64", ArchId::X86_64},
       {"arm64", ArchId::Aarch64},
       {"riscv", ArchId::Riscv64},
       {"rv64", ArchId::Riscv64}}};
  std::string_view meant = nearest(text, kArchNames);
  for (const auto& [name, arch] : kOtherNames) {
    if (name == text) meant = to_string(arch);
  }
  if (!meant.empty()) {
    return fail(ErrorCode::InvalidInput, "is no architecture; did you mean {}?", meant);
  }
  return fail(ErrorCode::InvalidInput, "is no architecture; use x86_64, aarch64 or riscv64");
}

Result<traces::Detail> parse_detail(std::string_view text) {
  using traces::Detail;
  for (const Detail detail : {Detail::Inputs, Detail::Exits, Detail::Full}) {
    if (text == to_string(detail)) return detail;
  }
  return fail(ErrorCode::InvalidInput, "is none of inputs, exits and full");
}

Result<Until> parse_until(std::string_view text) {
  if (text.starts_with("first(") && text.ends_with(')')) {
    const std::string_view kind = text.substr(6, text.size() - 7);
    for (std::size_t i = 0; i < kExitNames.size(); ++i) {
      if (kExitNames[i] == kind) return UntilKind{i};
    }
    const std::string_view meant = nearest(kind, kExitNames);
    return fail(ErrorCode::InvalidInput, "is no kind of exit; {}{}",
                meant.empty() ? "see retrap stat" : "did you mean ", meant);
  }
  const std::size_t equals = text.find('=');
  const std::string_view name = equals == std::string_view::npos ? "" : text.substr(0, equals);
  const auto value = digits(equals == std::string_view::npos ? text : text.substr(equals + 1));
  if (value && name.empty()) return UntilExit{*value};
  if (value && name == "insn") return UntilInstruction{*value};
  if (name == "pc" && !text.substr(equals + 1).starts_with("0x")) {
    return fail(ErrorCode::InvalidInput, "is no address; write pc=0xA");
  }
  if (value && name == "pc") return UntilPc{*value};
  if (value && name == "time") return UntilTime{*value};
  return fail(ErrorCode::InvalidInput,
              "is no place; write the number of an exit, insn=N, pc=0xA, time=NS or first(KIND)");
}

Result<traces::Ignored> parse_ignored(std::string_view text) {
  traces::Ignored ignored;
  const std::vector<std::string_view> known = traces::ignorable();
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string_view meant = nearest(name, known);
      return fail(ErrorCode::InvalidInput, "'{}' is nothing that traces have; {}", printable(name),
                  meant.empty() ? fmt::format("use {}", fmt::join(known, ", "))
                                : fmt::format("did you mean {}?", meant));
    }
    ignored.emplace_back(name);
  }
  return ignored;
}

Result<Populate> parse_populate(std::string_view text) {
  if (text == "eager") return Populate::Eager;
  if (text == "lazy") return Populate::Lazy;
  return fail(ErrorCode::InvalidInput, "is neither; use eager or lazy");
}

}  // namespace retrap::cli
