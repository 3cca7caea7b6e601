// Exporters.
#include "traces/export.h"

#include <fmt/format.h>

#include <iterator>

#include "traces/text.h"

namespace retrap::traces {
namespace {

template <class... Args>
void put(std::string& to, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(to), text, std::forward<Args>(args)...);
}

}  // namespace

void LineDump::on_event(const Event& event, std::uint64_t exit) {
  text_ += to_text(event, exit);
  text_.push_back('\n');
}

void LineDump::on_input(const InputRecord& input) {
  text_ += to_text(input);
  text_.push_back('\n');
}

void LineDump::on_digest(const DigestRecord& digest) {
  text_ += to_text(digest);
  text_.push_back('\n');
}

void JsonDump::on_event(const Event& event, std::uint64_t exit) {
  append_json(text_, event, exit);
  text_.push_back('\n');
}

void JsonDump::on_input(const InputRecord& input) {
  append_json(text_, input);
  text_.push_back('\n');
}

void JsonDump::on_digest(const DigestRecord& digest) {
  append_json(text_, digest);
  text_.push_back('\n');
}

CsvExport::CsvExport() {
  text_ = "exit,retired,time_ns,vm,vcpu,pc,kind,details,answer\n";
}

void CsvExport::on_event(const Event& event, std::uint64_t exit) {
  if (const auto* answer = std::get_if<AnswerRecord>(&event)) {
    if (open_) put(text_, "{:#x}\n", answer->value);
    open_ = false;
    return;
  }
  finish();
  if (const auto* injection = std::get_if<InjectionRecord>(&event)) {
    put(text_, "{},{},,{},{},,injection,vector={:#x} change={},\n", exit, injection->retired,
        index(injection->vm), index(injection->vcpu), injection->vector, name(injection->change));
    return;
  }
  const auto& record = std::get<ExitRecord>(event);
  put(text_, "{},{},{},{},{},{:#x},{},", exit, record.retired, record.retired + record.idle_ns,
      index(record.vm), index(record.vcpu), record.pc, name(record.reason));
  const auto rows = fields_of(record.reason.index());
  const FieldValues values = values_of(record.reason);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    put(text_, "{}{}={:#x}", i == 0 ? "" : " ", rows[i].name, values[i]);
  }
  text_.push_back(',');
  open_ = true;
}

void CsvExport::finish() {
  if (open_) text_.push_back('\n');
  open_ = false;
}

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

void PerfettoExport::on_exit(const ExitRecord& exit, std::uint64_t number) {
  const Place place{index(exit.vm), index(exit.vcpu)};
  Track& on = track(place);
  const std::uint64_t ns = exit.retired + exit.idle_ns;
  if (on.is_halted) {
    separate();
    put(text_, R"({{"ph":"X","name":"halted","pid":{},"tid":{},"ts":{}.{:03},"dur":{}.{:03}}})",
        place.first, place.second, on.halted_at / 1000, on.halted_at % 1000,
        (ns - on.halted_at) / 1000, (ns - on.halted_at) % 1000);
    on.is_halted = false;
  }
  if (on.arrow != 0) {
    separate();
    put(text_,
        R"({{"ph":"f","bp":"e","name":"interrupt","cat":"irq","id":{},"pid":{},"tid":{},)"
        R"("ts":{}.{:03}}})",
        on.arrow, place.first, place.second, ns / 1000, ns % 1000);
    on.arrow = 0;
  }
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
  last_place_ = place;
  last_ns_ = ns;
  last_idle_ns_ = exit.idle_ns;
}

void PerfettoExport::on_injection(const InjectionRecord& injection) {
  const Place place{index(injection.vm), index(injection.vcpu)};
  Track& target = track(place);
  if (injection.change != LineChange::Pulse) {
    const std::uint64_t ns = injection.retired + last_idle_ns_;
    separate();
    put(text_, R"({{"ph":"i","s":"t","name":"{} {} {}","pid":{},"tid":{},"ts":{}.{:03}}})",
        injection.change == LineChange::Deliver ? "interrupt" : "line", injection.vector,
        name(injection.change), place.first, place.second, ns / 1000, ns % 1000);
    return;
  }
  target.arrow = ++arrows_;
  separate();
  put(text_,
      R"({{"ph":"s","name":"interrupt","cat":"irq","id":{},"pid":{},"tid":{},"ts":{}.{:03}}})",
      arrows_, last_place_.first, last_place_.second, last_ns_ / 1000, last_ns_ % 1000);
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
  append_quoted(text_, to_text(input));
  text_ += "}}";
}

void PerfettoExport::on_digest(const DigestRecord& digest) {
  const std::uint64_t ns = digest.retired + last_idle_ns_;
  separate();
  put(text_, R"({{"ph":"i","s":"g","name":"digest","pid":0,"ts":{}.{:03}}})", ns / 1000, ns % 1000);
}

void PerfettoExport::finish() {
  text_ += "\n]}\n";
}

}  // namespace retrap::traces
