// Traces for other programs: lines, JSON lines, CSV, and what Perfetto and chrome://tracing read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "traces/walk.h"

namespace retrap::traces {

/// Collects text. take() gives what there is so far, so that it need not all be in memory.
class TextVisitor : public Visitor {
 public:
  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }
  /// Bytes that wait to be taken.
  [[nodiscard]] std::size_t size() const { return text_.size(); }

 protected:
  std::string text_;
};

/// One line for each event.
class LineDump final : public TextVisitor {
 public:
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;
};

/// One JSON object on a line for each event.
class JsonDump final : public TextVisitor {
 public:
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;
};

/// A table with a header line: exit,retired,time_ns,vm,vcpu,pc,kind,details,answer (RFC 4180 with
/// line feeds). An answer is in the row of its exit where it comes next; all other answers,
/// injections, inputs and digests have rows of their own, by these kinds.
class CsvExport final : public TextVisitor {
 public:
  CsvExport();
  void on_passing(const ExitRecord& exit, std::uint64_t number) override;
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;
  void finish();

 private:
  using Place = std::pair<std::uint32_t, std::uint32_t>;
  std::map<Place, std::uint64_t> last_exits_;  ///< what an answer answers
  Place open_place_{};
  bool open_ = false;  ///< the last line may get an answer
};

/// The Trace Event format (JSON): a track for each vCPU, exits as slices; a halt lasts until the
/// vCPU's next exit. An arrow leads from the exit that caused an injection, or made a line rise, to
/// the target's next exit: "interrupt", or "ivc" where another VM has notified it through a
/// channel. Lines, and injections that no exit caused, are marks. The vCPU of a device's line is 0.
class PerfettoExport final : public TextVisitor {
 public:
  PerfettoExport();
  void on_passing(const ExitRecord& exit, std::uint64_t number) override;
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;
  void finish();

 private:
  using Place = std::pair<std::uint32_t, std::uint32_t>;  ///< (vm, vcpu)
  /// On its way to the next exit of its target.
  struct Arrow {
    Place from;
    std::uint64_t ns = 0;
    bool is_ivc = false;
  };
  struct Track {
    std::uint64_t halted_at = 0;
    bool is_halted = false;
    std::vector<Arrow> arrows;
  };
  /// The last exit of the machine.
  struct Cause {
    Place place{};
    std::uint64_t retired = 0;
    bool can_inject = false;  ///< a halt does not
    bool is_notify = false;   ///< hypercall 7
    bool is_drawn = false;    ///< the filter has taken it
  };
  void separate();
  Track& track(Place place);
  void on_exit(const ExitRecord& exit, std::uint64_t number);
  void on_injection(const InjectionRecord& injection);
  void end_halt(Place place, Track& on, std::uint64_t ns);
  void put_arrow(const Arrow& arrow, Place to, std::uint64_t ns);
  void put_mark(const InjectionRecord& injection, std::string_view what);

  std::map<Place, Track> tracks_;
  Cause cause_;
  std::uint64_t last_ns_ = 0;
  std::uint64_t last_idle_ns_ = 0;
  std::uint64_t arrows_ = 0;
  bool first_ = true;
};

}  // namespace retrap::traces
