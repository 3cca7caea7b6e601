// Compares traces, event by event.
#include "traces/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "traces/compare_states.h"
#include "traces/text.h"

namespace retrap::traces {
namespace {

/// Collects the first field that differs.
class Finder {
 public:
  explicit Finder(const Ignored& ignored) : ignored_(ignored) {}

  void field(std::string_view name, std::uint64_t left, std::uint64_t right, bool hex = true) {
    if (found_ || left == right || is_ignored(ignored_, name)) return;
    found_ =
        hex ? FieldDifference{std::string(name), fmt::format("{:#x}", left),
                              fmt::format("{:#x}", right)}
            : FieldDifference{std::string(name), fmt::format("{}", left), fmt::format("{}", right)};
  }
  void text(std::string_view name, std::string_view left, std::string_view right) {
    if (found_ || left == right || is_ignored(ignored_, name)) return;
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
    if (!more || ignored.empty() || !is_ignored(ignored, kEventNames[event.index()])) return more;
  }
}

std::uint64_t number_of(const EventCursor& cursor) {
  return cursor.exits() == 0 ? 0 : cursor.exits() - 1;
}

/// The first event that differs, and its blocks.
Result<std::optional<StateDifference>> compare_events(Comparison& result, const Sides& sides,
                                                      const Ignored& ignored) {
  const bool left_has_none = sides.left.header().detail == Detail::Inputs;
  const bool right_has_none = sides.right.header().detail == Detail::Inputs;
  if (left_has_none != right_has_none) {
    result.notes.push_back(fmt::format("{} holds inputs only: no events are compared",
                                       left_has_none ? "left" : "right"));
  }
  if (left_has_none || right_has_none) return std::nullopt;
  EventCursor left_cursor(sides.left);
  EventCursor right_cursor(sides.right);
  Event left_event;
  Event right_event;
  History history;
  for (;;) {
    RETRAP_TRY(const bool left_more, next(left_cursor, left_event, ignored));
    RETRAP_TRY(const bool right_more, next(right_cursor, right_event, ignored));
    if (!left_more && !right_more) return std::nullopt;
    const bool is_cut = left_more ? sides.right_cut.has_value() : sides.left_cut.has_value();
    if (left_more != right_more && is_cut) return std::nullopt;
    std::optional<FieldDifference> found;
    if (left_more != right_more) {
      found = FieldDifference{"event", left_more ? "one more" : "none",
                              right_more ? "one more" : "none"};
    } else if (!(left_event == right_event)) {
      found = difference(left_event, right_event, ignored);
    }
    if (found) {
      return StateDifference{
          .divergence = divergence_between(
              left_more ? &left_event : nullptr, right_more ? &right_event : nullptr,
              *std::move(found), number_of(left_more ? left_cursor : right_cursor), history),
          .left_block = left_cursor.block(),
          .right_block = right_cursor.block()};
    }
    ++result.equal_events;
    history.add(left_event, number_of(left_cursor));
  }
}

/// The first line that is not the same in two configurations.
void note_configs(Comparison& result, const std::vector<std::string>& left,
                  const std::vector<std::string>& right) {
  if (left.size() != right.size()) {
    result.notes.push_back(fmt::format("VMs: {} and {}", left.size(), right.size()));
  }
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    const auto [a, b] =
        std::mismatch(left[i].begin(), left[i].end(), right[i].begin(), right[i].end());
    if (a == left[i].end() && b == right[i].end()) continue;
    const auto line_at = [](const std::string& text, std::string::const_iterator at) {
      const auto offset = static_cast<std::size_t>(at - text.begin());
      const std::size_t before = offset == 0 ? std::string::npos : text.rfind('\n', offset - 1);
      const std::size_t first = before == std::string::npos ? 0 : before + 1;
      return text.substr(first, text.find('\n', first) - first);
    };
    result.notes.push_back(fmt::format("the configurations differ: {} and {}", line_at(left[i], a),
                                       line_at(right[i], b)));
  }
}

void note_header(Comparison& result, const Header& left, const Header& right) {
  const auto note = [&](std::string_view name, const auto& a, const auto& b) {
    if (a != b) result.notes.push_back(fmt::format("{}: {} and {}", name, a, b));
  };
  note("program", left.program, right.program);
  note("seed", left.seed, right.seed);
  note("recorded", to_string(left.detail), to_string(right.detail));
  note("instructions between digests", left.digest_interval, right.digest_interval);
  for (const BoardRecord& a : left.boards) {
    for (const BoardRecord& b : right.boards) {
      if (a.arch == b.arch) note("revision of the " + a.arch + " board", a.revision, b.revision);
    }
  }
  note_configs(result, left.configs, right.configs);
  for (std::size_t i = 0; i < std::min(left.images.size(), right.images.size()); ++i) {
    if (left.images[i].digest == right.images[i].digest) continue;
    result.notes.push_back(fmt::format("{}: {} and {} are not the same", left.images[i].role,
                                       left.images[i].path, right.images[i].path));
  }
}

}  // namespace

std::vector<std::string_view> ignorable() {
  std::set<std::string_view> names = {"answer", "change",  "detail",    "digest", "end",  "event",
                                      "exit",   "idle",    "injection", "input",  "kind", "pc",
                                      "reason", "retired", "vcpu",      "vector", "vm"};
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    for (const FieldRow& row : fields_of(kind)) names.insert(row.name);
  }
  return {names.begin(), names.end()};
}

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
    if (!std::holds_alternative<ExitRecord>(*known) && last != nullptr) divergence.pc = last->pc;
    if (std::holds_alternative<AnswerRecord>(*known) && last != nullptr) {
      divergence.retired = last->retired;
    }
  }
  if (left != nullptr) divergence.left_event = to_text(*left, exit);
  if (right != nullptr) divergence.right_event = to_text(*right, exit);
  return divergence;
}

Result<Comparison> compare(const Reader& left, const Reader& right, const Ignored& ignored) {
  Comparison result;
  note_header(result, left.header(), right.header());
  Sides sides{.left = left, .right = right};
  RETRAP_TRY(sides.left_cut, cut_off_after(left));
  RETRAP_TRY(sides.right_cut, cut_off_after(right));
  RETRAP_TRY(auto event, compare_events(result, sides, ignored));
  auto input = compare_inputs(result, sides, ignored);
  auto digest = compare_digests(result, sides, ignored);
  auto end = compare_ends(result, sides, ignored);
  // An input that one of the traces has before the event is its cause.
  const bool input_is_first = input && (!event || input->left_block < event->left_block ||
                                        input->right_block < event->right_block);
  auto& behaviour = input_is_first ? input : event;
  if (behaviour && digest && digest->divergence.retired < behaviour->divergence.retired) {
    // State that differs is not yet behaviour.
    result.notes.push_back(fmt::format("the {} differs from instruction {} on at the latest",
                                       digest->divergence.what.field, digest->divergence.retired));
  }
  if (behaviour && !input_is_first) {
    result.divergence = std::move(event->divergence);
    return result;
  }
  for (auto* const state : {&input, &digest, &end}) {
    if (!*state) continue;
    RETRAP_TRY(result.divergence, with_events_before(left, **std::move(state)));
    return result;
  }
  return result;
}

std::string summary(const Comparison& comparison) {
  if (comparison.is_empty()) {
    return "nothing of the two can be compared; record both with --record exits, to their end";
  }
  std::string text = fmt::format("{} events", comparison.equal_events);
  const auto add = [&](std::uint64_t count, std::string_view name) {
    if (count != 0) text += fmt::format(", {} {}{}", count, name, count == 1 ? "" : "s");
  };
  add(comparison.equal_inputs, "input");
  add(comparison.equal_digests, "digest");
  return text + (comparison.equal_ends ? " and the end are equal" : " are equal");
}

std::string to_text(const Divergence& divergence, std::string_view left, std::string_view right) {
  std::string text = "first difference at ";
  if (divergence.has_exit) text += fmt::format("exit {}, ", divergence.exit);
  text += fmt::format("instruction {}", divergence.retired);
  if (divergence.of_vm) {
    text += fmt::format(", vm {} vcpu {}", index(divergence.vm), index(divergence.vcpu));
  }
  text += fmt::format(": {}\n  {:10} {}\n  {:10} {}\n", divergence.what.field, left,
                      divergence.what.left, right, divergence.what.right);
  const auto part = [&](std::string_view title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("{}\n", title);
    for (const std::string& line : lines) text += fmt::format("  {}\n", line);
  };
  for (const std::string& name : divergence.also) text += fmt::format("and the {}\n", name);
  part("before it", divergence.before);
  if (!divergence.left_event.empty()) part(left, {divergence.left_event});
  if (!divergence.right_event.empty()) part(right, {divergence.right_event});
  part(fmt::format("vm {} vcpu {} at pc {:#x}", index(divergence.vm), index(divergence.vcpu),
                   divergence.pc),
       divergence.code);
  return text;
}

}  // namespace retrap::traces
