// Options from what was written.
#include "sim/cli/convert.h"

#include <algorithm>
#include <utility>

#include "sim/cli/terminal.h"
#include "vmm/ids.h"

namespace retrap::cli {
namespace {

/// A trace that must be there.
std::string trace_of(Converter& converter, const Text& written, std::string_view command) {
  if (!written || written->empty()) {
    converter.say(command, "TRACE", "is missing; name a file that retrap record has written");
  }
  return written.value_or("");
}

}  // namespace

Command wrong(const std::string& problems) {
  complain(problems);
  return Finished{Status::Usage};
}

Command converted_run(const Written& written, bool needs_output) {
  RunOptions run;
  Converter converter;
  converter.file(written.config, "CONFIG.toml", run.config);
  converter.file(written.kernel, "--kernel", run.kernel);
  converter.file(written.initrd, "--initrd", run.initrd);
  converter.file(written.json, "--json", run.json);
  converter.file(written.output, "--output", run.output);
  converter.convert(written.record, "--record", run.detail, parse_detail);
  converter.convert(written.digest_every, "--digest-every", run.digest_interval, number(1, kAny));
  run.with_images = written.with_images;
  run.console_input = written.console.has_value();
  run.append = written.append;
  run.stat = written.stat;
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
  if (written.console && *written.console != "-") {
    add(fmt::format("--console {}: is no console; write --console -", printable(*written.console)));
  }
  if (!run.output && (written.record || written.digest_every || written.with_images)) {
    add("--record, --digest-every and --with-images need a trace; add -o TRACE");
  }
  if (needs_output && !run.output) add("record: no trace to write; add -o TRACE");
  if (!written.config && !written.kernel) {
    add("run: no guest; give CONFIG.toml or --kernel FILE");
  }
  if (written.config && written.memory) {
    add("--memory does not go with CONFIG.toml; change kernel.memory_regions in that file");
  }
  if (written.config && written.vcpus) {
    add("--vcpus does not go with CONFIG.toml; change base.cpu_num in that file");
  }
  if (run.output && written.digest_every && run.detail != traces::Detail::Full) {
    add("--digest-every: digests are for --record full only; add that, or leave it out");
  }
  if (!problems.empty()) return wrong(problems);
  return run;
}

/// What would be passed over in silence.
void check_together(const WrittenLook& replay, Converter& converter) {
  if (replay.unplug && !replay.then) {
    converter.say("--unplug", *replay.unplug, "goes with --then run");
  }
  if (replay.max_instructions && !replay.then) {
    converter.say("--max-instructions", *replay.max_instructions, "goes with --then run");
  }
  if (replay.guest_only && (replay.exits_only || replay.then)) {
    converter.say("--guest-only", "does not go with --exits-only or --then; leave one out");
  }
  if (!replay.exits_only) return;
  const std::pair<const Text*, std::string_view> of_a_guest[] = {
      {&replay.until, "--until"},   {&replay.then, "--then"}, {&replay.kernel, "--kernel"},
      {&replay.initrd, "--initrd"}, {&replay.seed, "--seed"}, {&replay.unplug, "--unplug"},
      {&replay.slice, "--slice"},
  };
  for (const auto& [text, option] : of_a_guest) {
    if (!*text) continue;
    converter.say(option, "does not go with --exits-only, where no guest runs; leave one out");
  }
}

Command converted_replay(const WrittenLook& written) {
  ReplayOptions replay;
  Converter converter;
  replay.trace = trace_of(converter, written.trace, "replay");
  replay.up_to_damage = written.up_to_damage;
  converter.convert(written.until, "--until", replay.until, parse_until);
  replay.until_text = written.until.value_or("");
  converter.file(written.kernel, "--kernel", replay.kernel);
  converter.file(written.initrd, "--initrd", replay.initrd);
  std::uint64_t seed = 0;
  converter.convert(written.seed, "--seed", seed, number(0, kAny));
  if (written.seed) replay.seed = seed;
  converter.convert(written.max_instructions, "--max-instructions", replay.max_instructions,
                    number(1, kAny));
  converter.convert(written.slice, "--slice", replay.slice, number(1, kAny));
  if (written.then && *written.then != "run") {
    converter.say("--then", *written.then, "is not offered; write --then run");
  }
  replay.goes_on = written.then.has_value();
  replay.unplug = written.unplug;
  replay.exits_only = written.exits_only;
  replay.guest_only = written.guest_only;
  check_together(written, converter);
  if (!converter.problems().empty()) return wrong(converter.problems());
  return replay;
}

Command converted_diff(const WrittenLook& written) {
  DiffOptions diff{.left = {}, .right = {}, .ignored = {}, .up_to_damage = written.up_to_damage};
  Converter converter;
  diff.left = trace_of(converter, written.trace, "diff");
  if (written.trace) diff.right = trace_of(converter, written.other, "diff: the second");
  converter.convert(written.ignore, "--ignore", diff.ignored, parse_ignored);
  if (!converter.problems().empty()) return wrong(converter.problems());
  return diff;
}

Command converted_look(const WrittenLook& written, LookOptions::What what,
                       std::string_view command) {
  LookOptions look;
  Converter converter;
  look.what = what;
  look.trace = trace_of(converter, written.trace, command);
  look.json = written.json;
  look.up_to_damage = written.up_to_damage;
  converter.file(written.output, "--output", look.output);
  converter.convert(written.top, "--top", look.top, number(1, kAny));
  if (!written.filter.empty()) {
    const std::string filter = fmt::format("{}", fmt::join(written.filter, ","));
    converter.convert(filter, "--filter", look.filter, traces::Filter::parse);
  }
  std::uint64_t from = 0;
  std::uint64_t to = kAny;
  converter.convert(written.from, "--from", from, number(0, kAny));
  converter.convert(written.to, "--to", to, number(0, kAny));
  if (from > to) {
    converter.say("--from", *written.from, fmt::format("is behind --to {}; swap them", to));
  }
  look.filter.set_range(from, to);
  look.other = written.other;
  if (what == LookOptions::What::ExportPerfetto) {
    const std::string format = written.format.value_or("");
    if (format == "csv") look.what = LookOptions::What::ExportCsv;
    if (format == "lcov") look.what = LookOptions::What::ExportLcov;
    if (!written.format) {
      converter.say("export", "--format", "is missing; use perfetto, csv or lcov");
    } else if (format != "csv" && format != "lcov" && format != "perfetto") {
      converter.say("--format", format, "is no format; use perfetto, csv or lcov");
    }
    Text elf;
    converter.file(written.elf, "--elf", elf);
    look.elf = elf.value_or("");
    if (format == "lcov" && !written.elf) {
      converter.say("export", "--elf", "is missing; lcov needs the guest, compiled with -g");
    }
    if (format != "lcov" && written.elf) {
      converter.say("--elf", look.elf, "is for --format lcov only; leave it out");
    }
  }
  if (what == LookOptions::What::Report && !look.output) {
    converter.say("report", "-o", "is missing; add -o FILE.html");
  }
  if (!converter.problems().empty()) return wrong(converter.problems());
  return look;
}

}  // namespace retrap::cli
