// Compares traces, event by event.
#include "traces/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "traces/digests.h"
#include "traces/text.h"

namespace retrap::traces {
namespace {

bool has(const Ignored& ignored, std::string_view name) {
  return std::find(ignored.begin(), ignored.end(), name) != ignored.end();
}

/// Collects the first field that differs.
class Finder {
 public:
  explicit Finder(const Ignored& ignored) : ignored_(ignored) {}

  void field(std::string_view name, std::uint64_t left, std::uint64_t right, bool hex = true) {
    if (found_ || left == right || has(ignored_, name)) return;
    found_ =
        hex ? FieldDifference{std::string(name), fmt::format("{:#x}", left),
                              fmt::format("{:#x}", right)}
            : FieldDifference{std::string(name), fmt::format("{}", left), fmt::format("{}", right)};
  }
  void text(std::string_view name, std::string_view left, std::string_view right) {
    if (found_ || left == right || has(ignored_, name)) return;
    found_ = FieldDifference{std::string(name), std::string(left), std::string(right)};
  }
  void place(VmId left_vm, VcpuId left_vcpu, VmId right_vm, VcpuId right_vcpu) {
    field("vm", index(left_vm), index(right_vm), false);
    field("vcpu", index(left_vcpu), index(right_vcpu), false);
  }
  [[nodiscard]] std::optional<FieldDifference> found() && { return std::move(found_); }

 private:
  const Ignored& ignored_;
  std::optional<FieldDifference> found_;
};

void compare_exits(Finder& finder, const ExitRecord& left, const ExitRecord& right) {
  finder.place(left.vm, left.vcpu, right.vm, right.vcpu);
  finder.text("kind", name(left.reason), name(right.reason));
  finder.field("retired", left.retired, right.retired, false);
  finder.field("pc", left.pc, right.pc);
  finder.field("idle", left.idle_ns, right.idle_ns, false);
  if (left.reason.index() != right.reason.index()) return;
  const auto rows = fields_of(left.reason.index());
  const FieldValues left_values = values_of(left.reason);
  const FieldValues right_values = values_of(right.reason);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    finder.field(rows[i].name, left_values[i], right_values[i]);
  }
}

constexpr std::array<std::string_view, 3> kEventNames = {"exit", "answer", "injection"};

struct Where {
  std::uint64_t retired = 0;
  VmId vm{};
  VcpuId vcpu{};
  std::uint64_t pc = 0;
};

Where where(const Event& event) {
  if (const auto* exit = std::get_if<ExitRecord>(&event)) {
    return {exit->retired, exit->vm, exit->vcpu, exit->pc};
  }
  if (const auto* injection = std::get_if<InjectionRecord>(&event)) {
    return {injection->retired, injection->vm, injection->vcpu, 0};
  }
  const auto& answer = std::get<AnswerRecord>(event);
  return {0, answer.vm, answer.vcpu, 0};
}

/// Goes on to the next event that is not ignored.
Result<bool> next(EventCursor& cursor, Event& event, const Ignored& ignored) {
  for (;;) {
    RETRAP_TRY(const bool more, cursor.next(event));
    if (!more || ignored.empty() || !has(ignored, kEventNames[event.index()])) return more;
  }
}

std::uint64_t number_of(const EventCursor& cursor) {
  return cursor.exits() == 0 ? 0 : cursor.exits() - 1;
}

Result<> compare_events(Comparison& result, const Reader& left, const Reader& right,
                        const Ignored& ignored) {
  EventCursor left_cursor(left);
  EventCursor right_cursor(right);
  Event left_event;
  Event right_event;
  History history;
  for (;;) {
    RETRAP_TRY(const bool left_more, next(left_cursor, left_event, ignored));
    RETRAP_TRY(const bool right_more, next(right_cursor, right_event, ignored));
    if (!left_more && !right_more) return {};
    std::optional<FieldDifference> found;
    if (left_more != right_more) {
      found = FieldDifference{"event", left_more ? "one more" : "none",
                              right_more ? "one more" : "none"};
    } else if (!(left_event == right_event)) {
      found = difference(left_event, right_event, ignored);
    }
    if (found) {
      result.divergence = divergence_between(
          left_more ? &left_event : nullptr, right_more ? &right_event : nullptr, *std::move(found),
          number_of(left_more ? left_cursor : right_cursor), history);
      return {};
    }
    ++result.equal_events;
    history.add(left_event, number_of(left_cursor));
  }
}

void note_header(Comparison& result, const Header& left, const Header& right) {
  const auto note = [&](std::string_view name, const auto& a, const auto& b) {
    if (a != b) result.notes.push_back(fmt::format("{}: {} and {}", name, a, b));
  };
  note("program", left.program, right.program);
  note("seed", left.seed, right.seed);
  note("recorded", to_string(left.detail), to_string(right.detail));
  if (left.configs != right.configs) result.notes.emplace_back("the configurations differ");
  for (std::size_t i = 0; i < std::min(left.images.size(), right.images.size()); ++i) {
    if (left.images[i].digest == right.images[i].digest) continue;
    result.notes.push_back(fmt::format("{}: {} and {} are not the same", left.images[i].role,
                                       left.images[i].path, right.images[i].path));
  }
}

/// So many parts that differ are named.
constexpr std::size_t kMostParts = 9;

/// What stands outside the layer Exits.
void compare_rest(Comparison& result, const Reader& left, const Reader& right,
                  const Ignored& ignored) {
  const auto differ = [&](std::uint64_t retired, std::string field, std::string a, std::string b) {
    Divergence divergence{.retired = retired,
                          .what = {std::move(field), std::move(a), std::move(b)}};
    result.divergence = std::move(divergence);
  };
  const auto& inputs = left.inputs();
  for (std::size_t i = 0; i < std::max(inputs.size(), right.inputs().size()); ++i) {
    const std::string a = i < inputs.size() ? to_text(inputs[i]) : "none";
    const std::string b = i < right.inputs().size() ? to_text(right.inputs()[i]) : "none";
    if (a == b || has(ignored, "input")) continue;
    const std::uint64_t retired = i < inputs.size() ? inputs[i].retired : right.inputs()[i].retired;
    return differ(retired, fmt::format("input {}", i), a, b);
  }
  // Versions and intervals have other parts, and parts at other times.
  const bool alike = left.version() == right.version() &&
                     left.header().digest_interval == right.header().digest_interval;
  const std::size_t digests = std::min(left.digests().size(), right.digests().size());
  for (std::size_t i = 0; alike && i < digests && !has(ignored, "digest"); ++i) {
    const DigestRecord& a = left.digests()[i];
    const DigestRecord& b = right.digests()[i];
    const auto parts = differences(a.parts, b.parts, kMostParts);
    if (parts.empty()) continue;
    differ(a.retired, "digest of the " + name_of(parts[0].part),
           digest_text(parts[0].left, "as before"), digest_text(parts[0].right, "as before"));
    result.divergence->vm = parts[0].part.vm;
    result.divergence->vcpu = parts[0].part.vcpu;
    result.divergence->also = names_of(parts);
    return;
  }
  if (!left.end() || !right.end() || has(ignored, "end")) return;
  const EndRecord& a = *left.end();
  const EndRecord& b = *right.end();
  if (a.retired != b.retired && !has(ignored, "retired")) {
    return differ(a.retired, "instructions at the end", fmt::format("{}", a.retired),
                  fmt::format("{}", b.retired));
  }
  if (a.digest != b.digest && !has(ignored, "digest")) {
    return differ(a.retired, "digest at the end", fmt::format("{:016x}", a.digest),
                  fmt::format("{:016x}", b.digest));
  }
}

}  // namespace

std::optional<FieldDifference> difference(const Event& left, const Event& right,
                                          const Ignored& ignored) {
  Finder finder(ignored);
  finder.text("event", kEventNames[left.index()], kEventNames[right.index()]);
  if (left.index() != right.index()) return std::move(finder).found();
  if (const auto* exit = std::get_if<ExitRecord>(&left)) {
    compare_exits(finder, *exit, std::get<ExitRecord>(right));
  } else if (const auto* answer = std::get_if<AnswerRecord>(&left)) {
    const auto& other = std::get<AnswerRecord>(right);
    finder.place(answer->vm, answer->vcpu, other.vm, other.vcpu);
    finder.field("answer", answer->value, other.value);
  } else {
    const auto& injection = std::get<InjectionRecord>(left);
    const auto& other = std::get<InjectionRecord>(right);
    finder.place(injection.vm, injection.vcpu, other.vm, other.vcpu);
    finder.field("retired", injection.retired, other.retired, false);
    finder.field("vector", injection.vector, other.vector);
    finder.text("change", name(injection.change), name(other.change));
  }
  return std::move(finder).found();
}

std::vector<std::string> History::lines() const {
  std::vector<std::string> lines;
  for (std::uint64_t i = count_ > kKept ? count_ - kKept : 0; i < count_; ++i) {
    const auto& [event, exit] = last_[i % kKept];
    lines.push_back(to_text(event, exit));
  }
  return lines;
}

const ExitRecord* History::last_exit() const {
  for (std::uint64_t i = count_; i > 0 && i + kKept > count_; --i) {
    const auto* const exit = std::get_if<ExitRecord>(&last_[(i - 1) % kKept].first);
    if (exit != nullptr) return exit;
  }
  return nullptr;
}

Divergence divergence_between(const Event* left, const Event* right, FieldDifference what,
                              std::uint64_t exit, const History& history) {
  Divergence divergence{.exit = exit, .what = std::move(what), .before = history.lines()};
  const Event* const known = left != nullptr ? left : right;
  if (known != nullptr) {
    const Where at = where(*known);
    divergence.retired = at.retired;
    divergence.vm = at.vm;
    divergence.vcpu = at.vcpu;
    divergence.pc = at.pc;
    // An answer is given where its exit was.
    const ExitRecord* const last = history.last_exit();
    if (std::holds_alternative<AnswerRecord>(*known) && last != nullptr) {
      divergence.retired = last->retired;
      divergence.pc = last->pc;
    }
  }
  if (left != nullptr) divergence.left_event = to_text(*left, exit);
  if (right != nullptr) divergence.right_event = to_text(*right, exit);
  return divergence;
}

Result<Comparison> compare(const Reader& left, const Reader& right, const Ignored& ignored) {
  Comparison result;
  note_header(result, left.header(), right.header());
  RETRAP_TRY(compare_events(result, left, right, ignored));
  Comparison rest;
  compare_rest(rest, left, right, ignored);
  if (!rest.divergence) return result;
  const bool comes_first =
      !result.divergence || rest.divergence->retired < result.divergence->retired;
  // State that differs is not yet behaviour; an input that differs is its cause.
  const bool is_cause = !result.divergence || rest.divergence->what.field.starts_with("input");
  if (comes_first && is_cause) {
    result.divergence = std::move(rest.divergence);
  } else if (comes_first) {
    result.notes.push_back(fmt::format("the {} differs from instruction {} on at the latest",
                                       rest.divergence->what.field, rest.divergence->retired));
  }
  return result;
}

std::string to_text(const Divergence& divergence, std::string_view left, std::string_view right) {
  std::string text = fmt::format(
      "first difference at exit {}, instruction {}, vm {} vcpu {}: {}\n  {:10} {}\n  {:10} {}\n",
      divergence.exit, divergence.retired, index(divergence.vm), index(divergence.vcpu),
      divergence.what.field, left, divergence.what.left, right, divergence.what.right);
  for (const std::string& part : divergence.also) text += fmt::format("and the {}\n", part);
  if (!divergence.before.empty()) text += "before it\n";
  for (const std::string& line : divergence.before) text += fmt::format("  {}\n", line);
  if (!divergence.left_event.empty())
    text += fmt::format("{}\n  {}\n", left, divergence.left_event);
  if (!divergence.right_event.empty()) {
    text += fmt::format("{}\n  {}\n", right, divergence.right_event);
  }
  return text;
}

}  // namespace retrap::traces
