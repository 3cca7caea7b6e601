// Layers, and the libraries that are known in one place only.
#include "tests/tidy/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace retrap::tidy {
namespace {

/// A part of the tree and what it may include. The first row whose prefix fits is the one.
struct Layer {
  std::string_view prefix;
  std::vector<std::string_view> may_include;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> rows = {
      {"vmm/base/", {"vmm/base/"}},
      {"vmm/", {"vmm/"}},
      {"arch/", {"vmm/", "arch/"}},
      {"traces/", {"vmm/", "traces/"}},
      {"sim/cli/", {"vmm/", "arch/", "traces/", "sim/", "tests/guests/"}},
      {"sim/scripted/", {"vmm/", "sim/scripted/"}},
      {"sim/", {"vmm/", "arch/", "traces/", "sim/"}},
      // The tests of the monitor build without the simulator.
      {"tests/base/", {"vmm/base/", "tests/"}},
      {"tests/vmm/", {"vmm/", "sim/scripted/", "tests/"}},
      {"tests/arch/", {"vmm/", "arch/", "tests/"}},
      {"tests/traces/", {"vmm/", "traces/", "tests/"}},
      {"tests/tidy/", {"vmm/", "tests/"}},
      {"tests/support/sim/", {"vmm/", "arch/", "traces/", "sim/", "tests/"}},
      {"tests/support/", {"vmm/", "arch/", "traces/", "sim/scripted/", "tests/"}},
  };
  return rows;
}

bool is_below(std::string_view path, const std::vector<std::string_view>& prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return path.starts_with(prefix); });
}

/// Only sim/cli may include sim/cli.
bool climbs_to_cli(std::string_view path, std::string_view included) {
  return included.starts_with("sim/cli/") && !path.starts_with("sim/cli/") &&
         !path.starts_with("tests/");
}

/// "x86_64" for "arch/x86_64/cpu.h"; nothing for files of no one instruction set.
std::optional<std::string_view> isa_of(std::string_view path) {
  for (const std::string_view isa : {"x86_64", "aarch64", "riscv64"}) {
    for (const std::string_view layer : {"arch/", "sim/unicorn/"}) {
      if (path.starts_with(layer) && path.substr(layer.size()).starts_with(isa) &&
          path.substr(layer.size() + isa.size()).starts_with("/")) {
        return isa;
      }
    }
  }
  return std::nullopt;
}

bool is_project_include(std::string_view line) {
  return line.starts_with("#include \"");
}

bool is_production(std::string_view path) {
  return is_below(path, {"vmm/", "arch/", "traces/", "sim/"});
}

}  // namespace

Offences layer_offences(const SourceFile& file) {
  Offences offences;
  const auto& rows = layers();
  const auto row = std::ranges::find_if(
      rows, [&](const Layer& layer) { return file.path.starts_with(layer.prefix); });
  const auto own_isa = isa_of(file.path);
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (!is_project_include(file.lines[i])) continue;
    const std::string_view included = included_by(file.lines[i]);
    const auto other_isa = isa_of(included);
    if (row != rows.end() &&
        (!is_below(included, row->may_include) || climbs_to_cli(file.path, included))) {
      offences.push_back(
          fmt::format("{}: {} may not include {}", file.where(i), row->prefix, included));
    }
    if (own_isa && other_isa && *own_isa != *other_isa) {
      offences.push_back(fmt::format("{}: {} may not know {}", file.where(i), *own_isa, included));
    }
  }
  return offences;
}

Offences unicorn_offences(const SourceFile& file) {
  Offences offences;
  const bool may = file.path.starts_with("sim/unicorn/") || file.path.starts_with("benches/") ||
                   file.path.starts_with("tests/sim/unicorn");
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (!may && included_by(file.lines[i]).starts_with("unicorn/")) {
      offences.push_back(fmt::format("{}: only sim/unicorn knows Unicorn", file.where(i)));
    }
  }
  return offences;
}

Offences library_offences(const std::vector<SourceFile>& files) {
  Offences offences;
  constexpr std::array<std::string_view, 7> kLibraries = {"capstone", "toml++/", "libfdt",   "gelf",
                                                          "zstd",     "CLI/",    "elfutils/"};
  for (const std::string_view library : kLibraries) {
    std::vector<std::string_view> users;
    for (const SourceFile& file : files) {
      if (!is_production(file.path) || !file.is_cpp()) continue;
      const bool uses = std::ranges::any_of(file.lines, [&](const std::string& line) {
        return line.starts_with("#include <") && included_by(line).starts_with(library);
      });
      if (!uses) continue;
      if (file.is_header()) {
        offences.push_back(fmt::format("{}: a header may not show {}", file.path, library));
      }
      users.push_back(file.path);
    }
    if (users.size() > 1) {
      offences.push_back(fmt::format("{} is known in {} files, one is enough: {}", library,
                                     users.size(), fmt::join(users, " ")));
    }
  }
  return offences;
}

}  // namespace retrap::tidy
