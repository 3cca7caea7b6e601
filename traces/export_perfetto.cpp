// The Trace Event format, which Perfetto and chrome://tracing read.
#include "traces/export.h"
#include "traces/put.h"
#include "traces/text.h"
#include "vmm/hypervisor.h"

namespace retrap::traces {

PerfettoExport::PerfettoExport() {
  text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
}

void PerfettoExport::separate() {
  if (!first_) text_ += ",\n";
  first_ = false;
}

PerfettoExport::Track& PerfettoExport::track(Place place) {
  const auto found = tracks_.find(place);
  if (found != tracks_.end()) return found->second;
  separate();
  put(text_, R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"vm {}"}}}},)",
      place.first, place.first);
  put(text_, "\n");
  put(text_, R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":"vcpu {}"}}}})",
      place.first, place.second, place.second);
  return tracks_[place];
}

void PerfettoExport::on_passing(const ExitRecord& exit, std::uint64_t number) {
  (void)number;
  constexpr auto kNotify = static_cast<std::uint64_t>(HypercallNumber::IvcNotify);
  const auto* const call = std::get_if<exits::Hypercall>(&exit.reason);
  cause_ = {.place = {index(exit.vm), index(exit.vcpu)},
            .retired = exit.retired,
            .can_inject = !std::holds_alternative<exits::Halt>(exit.reason),
            .is_notify = call != nullptr && call->nr == kNotify,
            .is_drawn = false};
  last_ns_ = exit.retired + exit.idle_ns;
  last_idle_ns_ = exit.idle_ns;
}

/// One nanosecond before the exit that ends it: an arrow to that exit must not end here.
void PerfettoExport::end_halt(Place place, Track& on, std::uint64_t ns) {
  if (!on.is_halted) return;
  on.is_halted = false;
  if (ns <= on.halted_at + 1) return;
  const std::uint64_t duration = ns - 1 - on.halted_at;
  separate();
  put(text_, R"({{"ph":"X","name":"halted","pid":{},"tid":{},"ts":{}.{:03},"dur":{}.{:03}}})",
      place.first, place.second, on.halted_at / 1000, on.halted_at % 1000, duration / 1000,
      duration % 1000);
}

/// Both ends come behind their slices: readers bind them to the slice that is open there.
void PerfettoExport::put_arrow(const Arrow& arrow, Place to, std::uint64_t ns) {
  const std::string_view name = arrow.is_ivc ? "ivc" : "interrupt";
  const std::string_view category = arrow.is_ivc ? "ivc" : "irq";
  ++arrows_;
  separate();
  put(text_, R"({{"ph":"s","name":"{}","cat":"{}","id":{},"pid":{},"tid":{},"ts":{}.{:03}}})", name,
      category, arrows_, arrow.from.first, arrow.from.second, arrow.ns / 1000, arrow.ns % 1000);
  separate();
  put(text_,
      R"({{"ph":"f","bp":"e","name":"{}","cat":"{}","id":{},"pid":{},"tid":{},"ts":{}.{:03}}})",
      name, category, arrows_, to.first, to.second, ns / 1000, ns % 1000);
}

void PerfettoExport::on_exit(const ExitRecord& exit, std::uint64_t number) {
  const Place place{index(exit.vm), index(exit.vcpu)};
  Track& on = track(place);
  const std::uint64_t ns = exit.retired + exit.idle_ns;
  end_halt(place, on, ns);
  if (std::holds_alternative<exits::Halt>(exit.reason)) {
    on.is_halted = true;
    on.halted_at = ns + 1;
  }
  separate();
  put(text_,
      R"({{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{}.{:03},"dur":0.001,)"
      R"("args":{{"exit":{},"pc":"{:#x}")",
      name(exit.reason), place.first, place.second, ns / 1000, ns % 1000, number, exit.pc);
  const auto rows = fields_of(exit.reason.index());
  const FieldValues values = values_of(exit.reason);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    put(text_, R"(,"{}":"{:#x}")", rows[i].name, values[i]);
  }
  text_ += "}}";
  for (const Arrow& arrow : on.arrows) put_arrow(arrow, place, ns);
  on.arrows.clear();
  cause_.is_drawn = true;
}

void PerfettoExport::put_mark(const InjectionRecord& injection, std::string_view what) {
  const std::uint64_t ns = injection.retired + last_idle_ns_;
  separate();
  put(text_, R"({{"ph":"i","s":"t","name":"{}","pid":{},"tid":{},"ts":{}.{:03}}})", what,
      index(injection.vm), index(injection.vcpu), ns / 1000, ns % 1000);
}

void PerfettoExport::on_injection(const InjectionRecord& injection) {
  const Place place{index(injection.vm), index(injection.vcpu)};
  Track& target = track(place);
  const LineChange change = injection.change;
  const bool is_pulse = change == LineChange::Pulse;
  const bool interrupts =
      is_pulse || change == LineChange::Rise || change == LineChange::DeviceRise;
  const bool is_caused =
      cause_.is_drawn && cause_.can_inject && cause_.retired == injection.retired;
  if (interrupts && is_caused) {
    const bool is_ivc = cause_.is_notify && cause_.place.first != place.first;
    target.arrows.push_back({.from = cause_.place, .ns = last_ns_, .is_ivc = is_ivc});
  } else if (is_pulse) {
    put_mark(injection, fmt::format("interrupt {}", injection.vector));
  }
  const std::string_view what = change == LineChange::Deliver ? "interrupt" : "line";
  if (!is_pulse) put_mark(injection, fmt::format("{} {} {}", what, injection.vector, name(change)));
}

void PerfettoExport::on_event(const Event& event, std::uint64_t exit) {
  if (const auto* record = std::get_if<ExitRecord>(&event)) on_exit(*record, exit);
  if (const auto* injection = std::get_if<InjectionRecord>(&event)) on_injection(*injection);
}

void PerfettoExport::on_input(const InputRecord& input) {
  const std::uint64_t ns = input.retired + last_idle_ns_;
  separate();
  put(text_, R"({{"ph":"i","s":"p","name":"input {}","pid":{},"ts":{}.{:03},"args":{{"what":)",
      kInputNames[input.input.index()], index(input.vm), ns / 1000, ns % 1000);
  append_quoted(text_, details_of(input));
  text_ += "}}";
}

void PerfettoExport::on_digest(const DigestRecord& digest) {
  const std::uint64_t ns = digest.retired + last_idle_ns_;
  separate();
  put(text_, R"({{"ph":"i","s":"g","name":"digest","pid":0,"ts":{}.{:03}}})", ns / 1000, ns % 1000);
}

void PerfettoExport::finish() {
  for (auto& [place, on] : tracks_) end_halt(place, on, last_ns_ + 1);
  text_ += "\n]}\n";
}

}  // namespace retrap::traces
