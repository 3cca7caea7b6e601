// retrap diff: where two traces part.
#include <fmt/format.h>

#include "sim/cli/code.h"
#include "sim/cli/commands.h"
#include "sim/cli/terminal.h"
#include "traces/compare.h"
#include "vmm/config_check.h"

namespace retrap::cli {

Status diff(const DiffOptions& options) {
  const traces::ReadOptions reading{.up_to_damage = options.up_to_damage};
  const auto left = traces::Reader::open(options.left, reading);
  const auto right = traces::Reader::open(options.right, reading);
  for (const auto* reader : {&left, &right}) {
    if (!*reader) complain(reader->error().message);
  }
  if (!left || !right) return Status::Failure;
  for (const auto* reader : {&left, &right}) {
    if (!(*reader)->missing().empty()) complain((*reader)->missing());
  }
  auto comparison = traces::compare(*left, *right, options.ignored);
  if (!comparison) {
    complain(comparison.error().message);
    return Status::Failure;
  }
  for (const std::string& note : comparison->notes) fmt::print("{}\n", printable(note));
  if (comparison->is_empty()) {
    (void)std::fflush(stdout);
    complain(traces::summary(*comparison));
    return Status::Failure;
  }
  fmt::print("{}\n", harmless(traces::summary(*comparison)));
  if (comparison->divergence) {
    add_code(*comparison->divergence, *left);
    fmt::print("{}", harmless(traces::to_text(*comparison->divergence, "left", "right")));
  }
  if (std::fflush(stdout) != 0) {
    complain("standard output: cannot write; give it a place with room");
    return Status::Failure;
  }
  return comparison->divergence ? Status::Diverged : Status::Ok;
}

}  // namespace retrap::cli
