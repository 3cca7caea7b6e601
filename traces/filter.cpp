// Filter expressions.
#include "traces/filter.h"

#include <algorithm>
#include <charconv>

#include "vmm/nearest.h"

namespace retrap::traces {
namespace {

/// Kinds behind those of exits.
enum OtherKind : std::uint8_t {
  kAnswer = kExitKinds,
  kInjection,
  kInput,
  kDigest,
  kAllKinds,
};
static_assert(kAllKinds <= 32, "a bit for each kind");

std::vector<std::string_view> kind_names() {
  std::vector<std::string_view> names(kExitNames.begin(), kExitNames.end());
  names.insert(names.end(), {"answer", "injection", "input", "digest"});
  return names;
}

/// In the order of Filter::Name.
constexpr std::array<std::string_view, 7> kNames = {"kind",    "vm",   "vcpu", "exit",
                                                    "retired", "time", "pc"};

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names(kNames.begin(), kNames.end());
  names.emplace_back("insn");
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    for (const FieldRow& row : fields_of(kind)) names.push_back(row.name);
  }
  return names;
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

}  // namespace

struct Filter::Facts {
  std::size_t kind;
  std::uint64_t exit;
  std::uint64_t retired;
  std::uint64_t ns;
  std::optional<std::uint64_t> vm{};
  std::optional<std::uint64_t> vcpu{};
  const ExitRecord* record = nullptr;  ///< null: no exit
};

Result<Filter::Term> Filter::begin(std::string_view name, std::string_view written) {
  Term term;
  term.positions.fill(kMaxFields);
  const auto* const known = std::find(kNames.begin(), kNames.end(), name);
  if (known != kNames.end()) {
    term.name = static_cast<Name>(known - kNames.begin());
    return term;
  }
  if (name == "insn") {
    term.name = Name::Retired;
    return term;
  }
  term.name = Name::Field;
  bool found = false;
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    const auto rows = fields_of(kind);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].name != name) continue;
      term.positions[kind] = static_cast<std::uint8_t>(i);
      found = true;
    }
  }
  if (found) return term;
  if (name == written) {
    return fail(ErrorCode::InvalidInput, "'{}' is no term; write NAME=VALUE, as kind=halt", name);
  }
  const std::string_view meant = nearest(name, all_names());
  if (!meant.empty()) {
    return fail(ErrorCode::InvalidInput, "'{}' is nothing to filter by; did you mean {}?", name,
                meant);
  }
  return fail(ErrorCode::InvalidInput,
              "'{}' is nothing to filter by; use kind, vm, vcpu, exit, retired, time, pc, or a "
              "field such as addr",
              name);
}

Result<> Filter::add_value(Term& term, std::string_view name, std::string_view value) {
  if (term.name == Name::Kind) {
    const auto names = kind_names();
    const auto found = std::find(names.begin(), names.end(), value);
    if (found != names.end()) {
      term.kinds |= std::uint32_t{1} << (found - names.begin());
      return {};
    }
    const std::string_view meant = nearest(value, names);
    if (!meant.empty()) {
      return fail(ErrorCode::InvalidInput, "'{}' is no kind; did you mean {}?", value, meant);
    }
    return fail(ErrorCode::InvalidInput, "'{}' is no kind; use one of {}", value,
                fmt::join(names, ", "));
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const std::size_t dots = value.find("..");
  const std::string_view first_text = value.substr(0, dots);
  const bool is_range = dots != std::string_view::npos;
  const std::string_view last_text = is_range ? value.substr(dots + 2) : first_text;
  const auto first =
      is_range && first_text.empty() ? std::optional<std::uint64_t>(0) : number(first_text);
  const auto last = is_range && last_text.empty() ? std::optional(kMost) : number(last_text);
  if (!first || !last || (first_text.empty() && last_text.empty())) {
    return fail(ErrorCode::InvalidInput, "'{}={}' has no number; write {}=42 or {}=0x10..0x1f",
                name, value, name, name);
  }
  if (*first > *last) {
    return fail(ErrorCode::InvalidInput, "'{}={}' ends before it begins; write {}={}..{}", name,
                value, name, last_text, first_text);
  }
  term.ranges.push_back({*first, *last});
  return {};
}

Result<Filter> Filter::parse(std::string_view text) {
  Filter filter;
  std::string_view name;
  while (!text.empty()) {
    const std::string_view written = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), written.size() + 1));
    const std::size_t equals = written.find('=');
    // Without a name it is one more value of the term before.
    const bool is_term = equals != std::string_view::npos || filter.terms_.empty();
    if (is_term) {
      name = written.substr(0, equals);
      RETRAP_TRY(auto term, begin(name, written));
      filter.terms_.push_back(std::move(term));
    }
    const std::string_view value = !is_term                           ? written
                                   : equals == std::string_view::npos ? std::string_view()
                                                                      : written.substr(equals + 1);
    RETRAP_TRY(add_value(filter.terms_.back(), name, value));
  }
  return filter;
}

bool Filter::meets(const Term& term, const Facts& facts) {
  std::optional<std::uint64_t> value;
  switch (term.name) {
    case Name::Kind:    return (term.kinds >> facts.kind & 1) != 0;
    case Name::Vm:      value = facts.vm; break;
    case Name::Vcpu:    value = facts.vcpu; break;
    case Name::Exit:    value = facts.exit; break;
    case Name::Retired: value = facts.retired; break;
    case Name::Time:    value = facts.ns; break;
    case Name::Pc:
      if (facts.record != nullptr) value = facts.record->pc;
      break;
    case Name::Field:
      if (facts.record != nullptr && term.positions[facts.kind] != kMaxFields) {
        value = values_of(facts.record->reason)[term.positions[facts.kind]];
      }
      break;
  }
  if (!value) return false;
  return std::any_of(term.ranges.begin(), term.ranges.end(), [&](const Range& range) {
    return *value >= range.first && *value <= range.last;
  });
}

bool Filter::takes(const Facts& facts) const {
  if (facts.exit < first_exit_ || facts.exit > last_exit_) return false;
  return std::all_of(terms_.begin(), terms_.end(),
                     [&](const Term& term) { return meets(term, facts); });
}

bool Filter::takes(const Event& event, const Place& place) const {
  if (terms_.empty()) return place.exit >= first_exit_ && place.exit <= last_exit_;
  Facts facts{.kind = kAnswer,
              .exit = place.exit,
              .retired = place.retired,
              .ns = place.retired + place.idle_ns};
  if (const auto* const exit = std::get_if<ExitRecord>(&event)) {
    facts.kind = exit->reason.index();
    facts.record = exit;
    facts.vm = index(exit->vm);
    facts.vcpu = index(exit->vcpu);
  } else if (const auto* const injection = std::get_if<InjectionRecord>(&event)) {
    facts.kind = kInjection;
    facts.retired = injection->retired;
    facts.ns = injection->retired + place.idle_ns;
    facts.vm = index(injection->vm);
    facts.vcpu = index(injection->vcpu);
  } else {
    const auto& answer = std::get<AnswerRecord>(event);
    facts.vm = index(answer.vm);
    facts.vcpu = index(answer.vcpu);
  }
  return takes(facts);
}

bool Filter::takes(const InputRecord& input, const Place& place) const {
  Facts facts{.kind = kInput,
              .exit = place.exit,
              .retired = input.retired,
              .ns = input.retired + place.idle_ns};
  facts.vm = index(input.vm);
  if (const auto* const interrupt = std::get_if<InterruptInput>(&input.input)) {
    facts.vcpu = index(interrupt->vcpu);
  }
  return takes(facts);
}

bool Filter::takes(const DigestRecord& digest, const Place& place) const {
  return takes({.kind = kDigest,
                .exit = place.exit,
                .retired = digest.retired,
                .ns = digest.retired + place.idle_ns});
}

}  // namespace retrap::traces
