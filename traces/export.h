// Traces for other programs: lines, JSON lines, CSV, and what Perfetto and chrome://tracing read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "traces/walk.h"

namespace retrap::traces {

/// Collects text. take() gives what there is so far, so that it need not all be in memory.
class TextVisitor : public Visitor {
 public:
  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }

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

/// A table with a header line: exit,retired,time_ns,vm,vcpu,pc,kind,details,answer.
class CsvExport final : public TextVisitor {
 public:
  CsvExport();
  void on_event(const Event& event, std::uint64_t exit) override;
  void finish();

 private:
  bool open_ = false;  ///< the last line may get an answer
};

/// The Trace Event format (JSON): a track for each vCPU, exits as slices; a halt lasts until the
/// vCPU's next exit. An arrow leads from what caused an injection to the target's next exit.
class PerfettoExport final : public TextVisitor {
 public:
  PerfettoExport();
  void on_event(const Event& event, std::uint64_t exit) override;
  void on_input(const InputRecord& input) override;
  void on_digest(const DigestRecord& digest) override;
  void finish();

 private:
  struct Track {
    std::uint64_t halted_at = 0;
    bool is_halted = false;
    std::uint64_t arrow = 0;  ///< number of the arrow that ends at the next exit; 0: none
  };
  using Place = std::pair<std::uint32_t, std::uint32_t>;
  void separate();
  Track& track(Place place);
  void on_exit(const ExitRecord& exit, std::uint64_t number);
  void on_injection(const InjectionRecord& injection);

  std::map<Place, Track> tracks_;
  Place last_place_{};
  std::uint64_t last_ns_ = 0;
  std::uint64_t last_idle_ns_ = 0;
  std::uint64_t arrows_ = 0;
  bool first_ = true;
};

}  // namespace retrap::traces
