// retrap stat, dump, export, report: a trace for people and for other programs.
#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>

#include "sim/cli/code.h"
#include "sim/cli/commands.h"
#include "sim/cli/device_names.h"
#include "sim/cli/lcov.h"
#include "sim/cli/report.h"
#include "sim/cli/same_file.h"
#include "sim/cli/terminal.h"
#include "traces/export.h"
#include "traces/page.h"
#include "traces/statistics.h"

namespace retrap::cli {
namespace {

/// To standard output in blocks, or to a file as a whole.
class Output {
 public:
  explicit Output(const std::optional<std::string>& path) : path_(path) {}

  void put(const std::string& text) {
    if (path_) {
      text_ += text;
    } else {
      const std::string& shown = is_terminal_ ? harmless(text) : text;
      failed_ = failed_ || std::fwrite(shown.data(), 1, shown.size(), stdout) != shown.size();
    }
  }

  [[nodiscard]] Result<> finish() {
    if (path_) return write_file(*path_, text_);
    if (failed_ || std::fflush(stdout) != 0) {
      return fail(ErrorCode::Backend, "standard output: cannot write; give it a place with room");
    }
    return {};
  }

 private:
  std::optional<std::string> path_;
  std::string text_;
  bool failed_ = false;
  bool is_terminal_ = isatty(STDOUT_FILENO) == 1;
};

/// Hands on what an exporter has as soon as there is enough of it.
class Through final : public traces::Visitor {
 public:
  Through(traces::TextVisitor& visitor, Output& output) : visitor_(visitor), output_(output) {}
  void on_passing(const traces::ExitRecord& exit, std::uint64_t number) override {
    visitor_.on_passing(exit, number);
  }
  void on_event(const traces::Event& event, std::uint64_t exit) override {
    visitor_.on_event(event, exit);
    constexpr std::uint64_t kEvents = 1024;
    if (++count_ % kEvents == 0) output_.put(visitor_.take());
  }
  void on_input(const traces::InputRecord& input) override {
    visitor_.on_input(input);
    hand_on_much();
  }
  void on_digest(const traces::DigestRecord& digest) override {
    visitor_.on_digest(digest);
    hand_on_much();
  }

 private:
  /// An input or a digest is long at times, and there may be many without an event.
  void hand_on_much() {
    constexpr std::size_t kMuch = std::size_t{1} << 16;
    if (visitor_.size() >= kMuch) output_.put(visitor_.take());
  }

  traces::TextVisitor& visitor_;
  Output& output_;
  std::uint64_t count_ = 0;
};

template <class Exporter>
Result<> exported(const traces::Reader& trace, const LookOptions& options, Output& output) {
  Exporter exporter;
  Through through(exporter, output);
  RETRAP_TRY(traces::walk(trace, options.filter, through));
  if constexpr (requires { exporter.finish(); }) exporter.finish();
  output.put(exporter.take());
  return {};
}

Result<> statistics(const traces::Reader& trace, const LookOptions& options, Output& output) {
  traces::Statistics statistics;
  RETRAP_TRY(traces::walk(trace, options.filter, statistics));
  const traces::DeviceNames devices = device_names(trace.header());
  output.put(options.json ? statistics.to_json(options.top, devices)
                          : statistics.to_text(options.top, devices));
  return {};
}

Result<> page(const traces::Reader& trace, const LookOptions& options, Output& output) {
  std::optional<traces::Divergence> divergence;
  if (options.other) {
    RETRAP_TRY(const auto other,
               traces::Reader::open(*options.other, {.up_to_damage = options.up_to_damage}));
    RETRAP_TRY(auto comparison, traces::compare(trace, other));
    divergence = std::move(comparison.divergence);
    if (divergence) add_code(*divergence, trace);
  }
  RETRAP_TRY(const std::string html, traces::make_page(trace, divergence));
  output.put(html);
  return {};
}

Result<> lcov(const traces::Reader& trace, const LookOptions& options, Output& output) {
  RETRAP_TRY(const auto lines, SourceLines::read(options.elf));
  traces::Statistics statistics;
  RETRAP_TRY(traces::walk(trace, options.filter, statistics));
  const Lcov lcov = lcov_of(statistics, lines);
  if (lcov.strangers != 0) {
    complain(fmt::format("{}: knows no line for {} of {} exits", options.elf, lcov.strangers,
                         statistics.exits()));
  }
  output.put(lcov.text);
  return {};
}

Result<> shown(const traces::Reader& trace, const LookOptions& options, Output& output) {
  switch (options.what) {
    case LookOptions::What::Stat: return statistics(trace, options, output);
    case LookOptions::What::Dump:
      return options.json ? exported<traces::JsonDump>(trace, options, output)
                          : exported<traces::LineDump>(trace, options, output);
    case LookOptions::What::ExportPerfetto:
      return exported<traces::PerfettoExport>(trace, options, output);
    case LookOptions::What::ExportCsv:  return exported<traces::CsvExport>(trace, options, output);
    case LookOptions::What::ExportLcov: return lcov(trace, options, output);
    case LookOptions::What::Report:     return page(trace, options, output);
  }
  return {};
}

Result<> look_at(const LookOptions& options) {
  if (options.output) RETRAP_TRY(check_writable(*options.output));
  RETRAP_TRY(check_distinct({{"-o", options.output}}, {{"the trace", options.trace},
                                                       {"the other trace", options.other},
                                                       {"the guest of --elf", options.elf}}));
  RETRAP_TRY(const auto trace,
             traces::Reader::open(options.trace, {.up_to_damage = options.up_to_damage}));
  if (!trace.missing().empty()) complain(trace.missing());
  if (trace.header().detail == traces::Detail::Inputs) {
    complain(fmt::format("{}: holds inputs only; record with --record exits to see exits",
                         trace.name()));
  }
  Output output(options.output);
  RETRAP_TRY(shown(trace, options, output));
  return output.finish();
}

}  // namespace

Status look(const LookOptions& options) {
  const auto looked = look_at(options);
  if (looked) return Status::Ok;
  complain(looked.error().message);
  return Status::Failure;
}

}  // namespace retrap::cli
