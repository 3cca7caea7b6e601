// Reads the command line; the only file that sees CLI11.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sim/cli/convert.h"
#include "sim/cli/help_texts.h"
#include "sim/cli/terminal.h"
#include "sim/cli/values.h"
#include "vmm/config_check.h"
#include "vmm/nearest.h"

namespace retrap::cli {
namespace {

constexpr std::string_view kLookExamples = R"(Examples:
  retrap stat boot.rtr --top 20
  retrap dump boot.rtr --from 100 --to 200 --filter kind=mmio-write,addr=0x9000000..0x9000fff
  retrap dump boot.rtr --filter kind=input,injection --filter time=1000000..2000000,vm=1
  retrap dump boot.rtr --json
  retrap export boot.rtr --format perfetto -o boot.json
  retrap export boot.rtr --format csv -o boot.csv
  retrap export boot.rtr --format lcov --elf guest.elf -o boot.info
  retrap report boot.rtr -o boot.html)";

/// The words of retrap config.
struct WrittenConfig {
  CLI::App* check = nullptr;
  CLI::App* example = nullptr;
  Text file, check_arch, kernel, initrd, example_arch;
};

void add_config(CLI::App& config, WrittenConfig& written) {
  config.footer(std::string(kConfigExample));
  config.require_subcommand(0, 1);
  written.check = config.add_subcommand("check", "Say everything that is wrong with a file");
  written.check->add_option("file", written.file, "Configuration of a VM")->type_name("FILE");
  written.check->add_option("--arch", written.check_arch, "For files that name none")
      ->type_name("ARCH");
  written.check->add_option("--kernel", written.kernel, "As in retrap run")->type_name("FILE");
  written.check->add_option("--initrd", written.initrd, "As in retrap run")->type_name("FILE");
  written.check->footer(std::string(kConfigExample));
  written.example = config.add_subcommand("example", "Print a file with all that can be said");
  written.example->add_option("--arch", written.example_arch, "x86_64, aarch64 or riscv64")
      ->type_name("ARCH");
  written.example->footer(std::string(kConfigExample));
}

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
  add("-o,--output", written.output, "Write a trace of the run", "TRACE");
  add("--record", written.record, "What the trace holds: inputs, exits or full", "WHAT");
  add("--digest-every", written.digest_every,
      "With --record full: digests every N instructions; 100000000 without it", "N");
  run.add_flag("--with-images", written.with_images, "The trace holds the bytes of all images");
  add("--console", written.console, "- types standard input at the guest's console", "-");
  run.add_flag("--stat", written.stat, "Print a table of exits on standard error at the end");
}

/// What the commands that read a trace share.
void add_look(CLI::App& app, WrittenLook& written, std::string_view example) {
  app.add_option("trace", written.trace, "What retrap record has written")->type_name("TRACE");
  app.add_flag("--up-to-damage", written.up_to_damage,
               "Use what comes before the damage of a damaged trace");
  app.footer(std::string(example));
}

void add_text(CLI::App& app, const char* name, Text& into, const char* what, const char* type) {
  app.add_option(name, into, what)->type_name(type);
}

void add_replay(CLI::App& app, WrittenLook& written) {
  add_look(app, written, kReplayExample);
  add_text(app, "--until", written.until, "Stop there", "WHERE");
  add_text(app, "--then", written.then, "run: go on from there, live", "run");
  add_text(app, "--kernel", written.kernel, "The recorded kernel, where it is now", "FILE");
  add_text(app, "--initrd", written.initrd, "The recorded initial RAM disk", "FILE");
  add_text(app, "--seed", written.seed,
           "Another seed than the recorded one; with --then run from there on", "N");
  add_text(app, "--unplug", written.unplug, "With --then run: go on without this device", "NAME");
  add_text(app, "--max-instructions", written.max_instructions,
           "With --then run: stop after so many more", "N");
  add_text(app, "--slice", written.slice, "Stop and resume every N instructions", "N");
  app.add_flag("--exits-only", written.exits_only,
               "No guest: give the recorded exits to the monitor, and compare its answers");
  app.add_flag("--guest-only", written.guest_only,
               "No devices: give the recorded answers to the guest, and compare what it does");
}

void add_events(CLI::App& app, WrittenLook& written) {
  add_text(app, "--from", written.from, "The first exit, by number", "EXIT");
  add_text(app, "--to", written.to, "The last exit", "EXIT");
  app.add_option("--filter", written.filter,
                 "kind=, vm=, vcpu=, exit=, retired=, time= (ns), pc= or a field (addr=): VALUE or "
                 "FIRST..LAST, more values behind commas; all terms and all --filter must be met")
      ->type_name("TERMS")
      ->allow_extra_args(false);
}

Command converted_demo(const Text& seed) {
  DemoOptions demo;
  Converter converter;
  converter.convert(seed, "--seed", demo.seed, number(0, kAny));
  if (!converter.problems().empty()) return wrong(converter.problems());
  return demo;
}

Command converted_config(const WrittenConfig& written) {
  Converter converter;
  if (written.check->parsed()) {
    ConfigCheckOptions check;
    Text file;
    converter.file(written.file, "FILE", file);
    converter.convert(written.check_arch, "--arch", check.arch, parse_arch);
    converter.file(written.kernel, "--kernel", check.kernel);
    converter.file(written.initrd, "--initrd", check.initrd);
    if (!converter.problems().empty()) return wrong(converter.problems());
    if (!file) return wrong("config check: no file; give FILE");
    check.file = *file;
    return check;
  }
  if (!written.example->parsed()) {
    return wrong("config: check or example? see retrap config --help");
  }
  ConfigExampleOptions example;
  converter.convert(written.example_arch, "--arch", example.arch, parse_arch);
  if (!converter.problems().empty()) return wrong(converter.problems());
  if (!written.example_arch) return wrong("config example: of what? give --arch ARCH");
  return example;
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
  std::string path;
  for (const CLI::App* at = &app; at->get_parent() != nullptr; at = at->get_parent()) {
    path.insert(0, at->get_name() + " ");
  }
  const std::string help = "retrap " + path + "--help";
  if (word == "-o") return fmt::format("-o: no such option here; see {}", help);
  std::vector<std::string> names = option_names(app);
  std::string what = "option";
  if ((is_root || !app.get_subcommands({}).empty()) && !word.starts_with('-')) {
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

/// The subcommands that read traces.
struct LookApps {
  CLI::App* replay;
  CLI::App* diff;
  CLI::App* stat;
  CLI::App* dump;
  CLI::App* converts;
  CLI::App* report;
};

LookApps add_look_apps(CLI::App& root, WrittenLook& written) {
  const auto add = [&](const char* name, const char* what) {
    return root.add_subcommand(name, what);
  };
  const LookApps apps{add("replay", "Run a recorded guest again, and compare"),
                      add("diff", "Find where two traces part"),
                      add("stat", "Count the exits of a trace"),
                      add("dump", "Print a trace, a line for each event"),
                      add("export", "Write a trace for Perfetto or lcov, or as CSV"),
                      add("report", "Write a trace as one HTML page")};
  add_replay(*apps.replay, written);
  add_look(*apps.diff, written, kDiffExample);
  apps.diff->add_option("other", written.other, "The trace to compare with")->type_name("TRACE");
  add_text(*apps.diff, "--ignore", written.ignore, "What may differ", "NAMES");
  for (CLI::App* app : {apps.stat, apps.dump, apps.converts, apps.report}) {
    add_look(*app, written, kLookExamples);
    add_text(*app, "-o,--output", written.output, "Write to a file", "FILE");
  }
  for (CLI::App* app : {apps.stat, apps.dump, apps.converts}) add_events(*app, written);
  for (CLI::App* app : {apps.stat, apps.dump}) {
    app->add_flag("--json", written.json, "As JSON");
  }
  add_text(*apps.stat, "--top", written.top, "Lines for each table; 10 without it", "N");
  add_text(*apps.converts, "--format", written.format, "perfetto, csv or lcov", "FORMAT");
  add_text(*apps.converts, "--elf", written.elf, "With lcov: the guest, with line numbers", "FILE");
  add_text(*apps.report, "--diff", written.other, "Show where this trace parts from it", "TRACE");
  return apps;
}

std::optional<Command> converted(const LookApps& apps, const WrittenLook& written) {
  using What = LookOptions::What;
  if (apps.replay->parsed()) return converted_replay(written);
  if (apps.diff->parsed()) return converted_diff(written);
  if (apps.stat->parsed()) return converted_look(written, What::Stat, "stat");
  if (apps.dump->parsed()) return converted_look(written, What::Dump, "dump");
  if (apps.converts->parsed()) return converted_look(written, What::ExportPerfetto, "export");
  if (apps.report->parsed()) return converted_look(written, What::Report, "report");
  return std::nullopt;
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
  run.footer(std::string(kRunExample));
  CLI::App& record = *root.add_subcommand("record", "Run a guest and write a trace of it");
  add_run(record, written);
  record.footer(std::string(kRecordExample));
  WrittenLook written_look;
  const LookApps apps = add_look_apps(root, written_look);
  CLI::App& demo =
      *root.add_subcommand("demo", "Run the built-in guests on all architectures, twice");
  demo.add_option("--seed", demo_seed, "Decides all that is left to chance; 1 without it")
      ->type_name("N");
  demo.footer(std::string(kDemoExample));
  WrittenConfig written_config;
  CLI::App& config = *root.add_subcommand("config", "Check a configuration, or show one");
  add_config(config, written_config);
  std::vector<CLI::App*> all = {&run, &record, &demo, written_config.check, written_config.example};
  all.insert(all.end(), {apps.replay, apps.diff, apps.stat, apps.dump, apps.converts, apps.report});
  all.insert(all.end(), {&config, &root});
  for (CLI::App* app : all) app->allow_extras();

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
  for (const CLI::App* app : all) {
    const auto extras = app->remaining();
    if (!extras.empty()) return wrong(not_understood(*app, extras));
  }
  if (const auto given = root.get_subcommands(); !given.empty() && (version || json)) {
    const std::string name = given.front()->get_name();
    if (version) return wrong(fmt::format("--version: goes alone; leave out {}", name));
    return wrong(fmt::format("--json: goes behind {}, or with --version", name));
  }
  if (version) return VersionOptions{json};
  if (run.parsed()) return converted_run(written, /*needs_output=*/false);
  if (record.parsed()) return converted_run(written, /*needs_output=*/true);
  if (auto look = converted(apps, written_look)) return *std::move(look);
  if (demo.parsed()) return converted_demo(demo_seed);
  if (config.parsed()) return converted_config(written_config);
  return wrong(json ? "--json: goes with --version or after a subcommand; see retrap --help"
                    : "no subcommand; try retrap demo or retrap --help");
}

}  // namespace retrap::cli
