// Filter expressions.
#include "traces/filter.h"

#include <algorithm>
#include <charconv>

namespace retrap::traces {
namespace {

constexpr std::array<std::string_view, 5> kPlaces = {"vm", "vcpu", "exit", "insn", "pc"};

bool is_field(std::string_view name) {
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    for (const FieldRow& row : fields_of(kind)) {
      if (row.name == name) return true;
    }
  }
  return false;
}

bool is_kind(std::string_view word) {
  return word == "answer" || word == "injection" ||
         std::find(kExitNames.begin(), kExitNames.end(), word) != kExitNames.end();
}

std::optional<std::uint64_t> number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): `end` says where it ends
  const auto [stop, error] = std::from_chars(text.data(), end, value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> place_of(const std::string& name, const Event& event,
                                      std::uint64_t exit) {
  const auto of = [&](const auto& record) -> std::optional<std::uint64_t> {
    if (name == "vm") return index(record.vm);
    if (name == "vcpu") return index(record.vcpu);
    if (name == "exit") return exit;
    return std::nullopt;
  };
  const auto place = std::visit(of, event);
  if (place) return place;
  const auto* record = std::get_if<ExitRecord>(&event);
  if (record == nullptr) return std::nullopt;
  if (name == "insn") return record->retired;
  if (name == "pc") return record->pc;
  const auto rows = fields_of(record->reason.index());
  const FieldValues values = values_of(record->reason);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return values[i];
  }
  return std::nullopt;
}

}  // namespace

Result<Filter> Filter::parse(std::string_view text) {
  Filter filter;
  while (!text.empty()) {
    const std::string_view written = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), written.size() + 1));
    const std::size_t equals = written.find('=');
    Term term{.name = std::string(written.substr(0, equals)), .word = {}};
    const std::string_view value =
        equals == std::string_view::npos ? "" : written.substr(equals + 1);
    if (term.name == "kind") {
      if (!is_kind(value)) {
        return fail(ErrorCode::InvalidInput, "'{}' is no kind; use one of {}, answer, injection",
                    value, fmt::join(kExitNames, ", "));
      }
      term.word = value;
    } else {
      if (std::find(kPlaces.begin(), kPlaces.end(), term.name) == kPlaces.end() &&
          !is_field(term.name)) {
        return fail(ErrorCode::InvalidInput,
                    "'{}' is nothing to filter by; use kind, vm, vcpu, exit, insn, pc, or a field "
                    "such as addr",
                    term.name);
      }
      const std::size_t dots = value.find("..");
      const auto first = number(value.substr(0, dots));
      const auto last = dots == std::string_view::npos ? first : number(value.substr(dots + 2));
      if (!first || !last) {
        return fail(ErrorCode::InvalidInput, "'{}' has no number; write {}=42 or {}=0x10..0x1f",
                    written, term.name, term.name);
      }
      term.first = *first;
      term.last = *last;
    }
    filter.terms_.push_back(std::move(term));
  }
  return filter;
}

bool Filter::meets(const Term& term, const Event& event, std::uint64_t exit) {
  if (!term.word.empty()) {
    if (const auto* record = std::get_if<ExitRecord>(&event)) {
      return name(record->reason) == term.word;
    }
    return term.word == (std::holds_alternative<AnswerRecord>(event) ? "answer" : "injection");
  }
  const auto value = place_of(term.name, event, exit);
  return value && *value >= term.first && *value <= term.last;
}

bool Filter::takes(const Event& event, std::uint64_t exit) const {
  if (exit < first_exit_ || exit > last_exit_) return false;
  return std::all_of(terms_.begin(), terms_.end(),
                     [&](const Term& term) { return meets(term, event, exit); });
}

}  // namespace retrap::traces
