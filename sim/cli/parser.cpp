// Reads the command line; the only file that sees CLI11.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "sim/cli/options.h"
#include "sim/cli/terminal.h"
#include "sim/cli/values.h"
#include "vmm/config_check.h"
#include "vmm/ids.h"
#include "vmm/nearest.h"

namespace retrap::cli {

namespace {

using Text = std::optional<std::string>;

constexpr std::string_view kRunExample = R"(Examples:
  retrap run --arch aarch64 --kernel Image --initrd initrd.gz
  retrap run guest.toml --seed 7 --json report.json

The guest's console is standard output, all else is standard error.
Exit status: 0 the guest powered off, 1 a file or the host is at fault, 2 the command line is,
4 the guest failed (crash, hang, reset), 5 --max-instructions is spent.)";
constexpr std::string_view kDemoExample = R"(Example:
  retrap demo --seed 7

Exit status: 0 all is well, 1 a digest differs between two runs or a guest failed.)";
constexpr std::string_view kRootExample = R"(Examples:
  retrap demo
  retrap run --arch riscv64 --kernel Image --initrd initrd.gz
  retrap run --help)";

/// Options as they were written; converted by our own code, so that every complaint reads alike.
struct Written {
  Text config, arch, kernel, initrd, append, memory, vcpus, seed, max_instructions, json, slice,
      populate;
};

void add_run(CLI::App& run, Written& written) {
  const auto add = [&run](const char* name, Text& into, const char* what, const char* type) {
    run.add_option(name, into, what)->type_name(type);
  };
  add("config", written.config, "Configuration of the VM, in axvm's schema", "CONFIG.toml");
  add("--arch", written.arch, "x86_64, aarch64 or riscv64; without it, what the kernel is for",
      "ARCH");
  add("--kernel", written.kernel, "ELF, Image, bzImage or raw binary", "FILE");
  add("--initrd", written.initrd, "Initial RAM disk", "FILE");
  add("--append", written.append, "Kernel command line instead of the default one", "TEXT");
  add("--memory", written.memory, "RAM of the guest; 512M without it", "SIZE");
  add("--vcpus", written.vcpus, "Number of vCPUs, 1 to 64; 1 without it", "N");
  add("--seed", written.seed, "Decides everything that is left to chance; 1 without it", "N");
  add("--max-instructions", written.max_instructions, "Stop after so many instructions", "N");
  add("--json", written.json, "Write a report when the run is over; - is standard output", "FILE");
  add("--slice", written.slice, "Stop and resume every N instructions; changes nothing", "N");
  add("--populate", written.populate, "eager: all RAM at the start; lazy: at first access", "WHEN");
  run.footer(std::string(kRunExample));
}

/// Converts the options that were given, collecting what is wrong with them.
class Converter {
 public:
  template <class T, class Parse>
  void convert(const Text& text, std::string_view option, T& into, Parse&& parse) {
    if (!text) return;
    const auto value = parse(*text);
    if (value) {
      into = static_cast<T>(*value);
    } else {
      say(option, *text, value.error().message);
    }
  }

  void file(const Text& text, std::string_view option, Text& into) {
    if (text && text->empty()) {
      say(option, "''", "is no file; name one");
    } else {
      into = text;
    }
  }

  void say(std::string_view option, std::string_view value, std::string_view problem) {
    problems_ += fmt::format("{}{} {}: {}", problems_.empty() ? "" : "\n", option, printable(value),
                             problem);
  }

  [[nodiscard]] const std::string& problems() const { return problems_; }

 private:
  std::string problems_;
};

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

auto number(std::uint64_t least, std::uint64_t most) {
  return [=](std::string_view text) { return parse_number(text, least, most); };
}

Command wrong(const std::string& problems) {
  complain(problems);
  return Finished{Status::Usage};
}

Command converted_run(const Written& written) {
  RunOptions run;
  Converter converter;
  converter.file(written.config, "CONFIG.toml", run.config);
  converter.file(written.kernel, "--kernel", run.kernel);
  converter.file(written.initrd, "--initrd", run.initrd);
  converter.file(written.json, "--json", run.json);
  run.append = written.append;
  converter.convert(written.arch, "--arch", run.arch, parse_arch);
  converter.convert(written.memory, "--memory", run.memory_bytes, parse_size);
  converter.convert(written.populate, "--populate", run.populate, parse_populate);
  std::uint64_t vcpus = 1;
  converter.convert(written.vcpus, "--vcpus", vcpus, number(1, kMaxVcpus));
  if (written.vcpus) run.vcpus = static_cast<std::uint32_t>(vcpus);
  converter.convert(written.seed, "--seed", run.seed, number(0, kAny));
  converter.convert(written.max_instructions, "--max-instructions", run.max_instructions,
                    number(1, kAny));
  converter.convert(written.slice, "--slice", run.slice, number(1, kAny));

  std::string problems = converter.problems();
  const auto add = [&problems](std::string_view problem) {
    problems += fmt::format("{}{}", problems.empty() ? "" : "\n", problem);
  };
  if (!written.config && !written.kernel) {
    add("run: no guest; give CONFIG.toml or --kernel FILE");
  }
  if (written.config && written.memory) {
    add("--memory does not go with CONFIG.toml; change kernel.memory_regions in that file");
  }
  if (written.config && written.vcpus) {
    add("--vcpus does not go with CONFIG.toml; change base.cpu_num in that file");
  }
  if (!problems.empty()) return wrong(problems);
  return run;
}

Command converted_demo(const Text& seed) {
  DemoOptions demo;
  Converter converter;
  converter.convert(seed, "--seed", demo.seed, number(0, kAny));
  if (!converter.problems().empty()) return wrong(converter.problems());
  return demo;
}

/// All long options of `app`.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Why the words of `extras` are not understood by `app`: the first option, else the first word.
std::string not_understood(const CLI::App& app, const std::vector<std::string>& extras) {
  std::string word = extras.front();
  for (const std::string& extra : extras) {
    if (!extra.starts_with('-')) continue;
    word = extra.substr(0, extra.find('='));
    break;
  }
  const bool is_root = app.get_parent() == nullptr;
  const std::string help = is_root ? "retrap --help" : "retrap " + app.get_name() + " --help";
  std::vector<std::string> names = option_names(app);
  std::string what = "option";
  if (is_root && !word.starts_with('-')) {
    what = "subcommand";
    names.clear();
    for (const CLI::App* sub : app.get_subcommands({})) names.push_back(sub->get_name());
  } else if (!word.starts_with('-')) {
    return fmt::format("{}: one argument too many; see {}", printable(word), help);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view meant = nearest(word, known);
  if (meant.empty()) return fmt::format("{}: no such {}; see {}", printable(word), what, help);
  return fmt::format("{}: no such {}; did you mean {}?", printable(word), what, meant);
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  CLI::App root("A hypervisor core on simulated virtualization hardware.", "retrap");
  bool version = false;
  bool json = false;
  Written written;
  Text demo_seed;
  root.add_flag("--version", version, "Print the version and those of the libraries");
  root.add_flag("--json", json, "With --version: as JSON");
  root.footer(std::string(kRootExample));
  CLI::App& run = *root.add_subcommand("run", "Run a guest until it powers off");
  add_run(run, written);
  CLI::App& demo =
      *root.add_subcommand("demo", "Run the built-in guests on all architectures, twice");
  demo.add_option("--seed", demo_seed, "Decides all that is left to chance; 1 without it")
      ->type_name("N");
  demo.footer(std::string(kDemoExample));
  for (CLI::App* app : {&root, &run, &demo}) app->allow_extras();

  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    (void)root.exit(help);
    return Finished{Status::Ok};
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string_view text = error.what();
    const bool twice = text.find("received") != std::string_view::npos;
    return wrong(fmt::format("{}: {}", text.substr(0, text.find(':')),
                             twice ? "given twice; give it once" : "needs a value after it"));
  } catch (const CLI::ParseError& error) {
    return wrong(fmt::format("{}; see retrap --help", printable(error.what())));
  }
  for (const CLI::App* app : {&run, &demo, &root}) {
    const auto extras = app->remaining();
    if (!extras.empty()) return wrong(not_understood(*app, extras));
  }
  if (version) return VersionOptions{json};
  if (run.parsed()) return converted_run(written);
  if (demo.parsed()) return converted_demo(demo_seed);
  return wrong(json ? "--json: goes with --version or after a subcommand; see retrap --help"
                    : "no subcommand; try retrap demo or retrap --help");
}

}  // namespace retrap::cli
