// Lines, JSON lines and CSV.
#include "traces/export.h"

#include "traces/put.h"
#include "traces/text.h"

namespace retrap::traces {
namespace {

/// Between quotes where it needs them.
std::string csv_field(std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) return std::string(text);
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field.push_back('"');
    field.push_back(c);
  }
  field.push_back('"');
  return field;
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

void CsvExport::on_passing(const ExitRecord& exit, std::uint64_t number) {
  last_exits_[{index(exit.vm), index(exit.vcpu)}] = number;
}

void CsvExport::on_event(const Event& event, std::uint64_t exit) {
  if (const auto* answer = std::get_if<AnswerRecord>(&event)) {
    const Place place{index(answer->vm), index(answer->vcpu)};
    if (open_ && place == open_place_) {
      put(text_, "{:#x}\n", answer->value);
      open_ = false;
      return;
    }
    finish();
    const auto answered = last_exits_.find(place);
    put(text_, "{},,,{},{},,answer,,{:#x}\n",
        answered == last_exits_.end() ? exit : answered->second, place.first, place.second,
        answer->value);
    return;
  }
  finish();
  if (const auto* injection = std::get_if<InjectionRecord>(&event)) {
    put(text_, "{},{},,{},{},,injection,vector={:#x} change={},\n", exit, injection->retired,
        index(injection->vm), index(injection->vcpu), injection->vector, name(injection->change));
    return;
  }
  const auto& record = std::get<ExitRecord>(event);
  open_place_ = {index(record.vm), index(record.vcpu)};
  put(text_, "{},{},{},{},{},{:#x},{},", exit, record.retired, record.retired + record.idle_ns,
      open_place_.first, open_place_.second, record.pc, name(record.reason));
  const auto rows = fields_of(record.reason.index());
  const FieldValues values = values_of(record.reason);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    put(text_, "{}{}={:#x}", i == 0 ? "" : " ", rows[i].name, values[i]);
  }
  text_.push_back(',');
  open_ = true;
}

void CsvExport::on_input(const InputRecord& input) {
  finish();
  put(text_, ",{},,{},,,input,{},\n", input.retired, index(input.vm), csv_field(details_of(input)));
}

void CsvExport::on_digest(const DigestRecord& digest) {
  finish();
  std::string parts;
  for (const PartDigest& part : digest.parts) {
    put(parts, "{}{}={:016x}", parts.empty() ? "" : "; ", name_of(part), part.digest);
  }
  put(text_, ",{},,,,,digest,{},\n", digest.retired, csv_field(parts));
}

void CsvExport::finish() {
  if (open_) text_.push_back('\n');
  open_ = false;
}

}  // namespace retrap::traces
