// Counting exits, and the table of it.
#include "sim/exit_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace retrap {
namespace {

constexpr double kPercent = 100.0;

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : kPercent * static_cast<double>(part) / static_cast<double>(whole);
}

std::string line(std::string_view name, const ExitStatistics::Row& row, std::uint64_t exits) {
  const std::uint64_t each = row.count == 0 ? 0 : row.instructions / row.count;
  return fmt::format("{:<20}{:>12}{:>8.2f}%{:>16}{:>12}{:>14.3f}  {}\n", name, row.count,
                     share(row.count, exits), row.instructions, each,
                     static_cast<double>(row.idle_ns) / 1e6, fmt::join(row.by_vcpu, " "));
}

void add(std::vector<std::uint64_t>& sum, const std::vector<std::uint64_t>& more) {
  sum.resize(std::max(sum.size(), more.size()));
  for (std::size_t i = 0; i < more.size(); ++i) sum[i] += more[i];
}

}  // namespace

void ExitStatistics::on_exit(const ExitEvent& event) {
  if (last_ != kExitKinds) rows_[last_].idle_ns += clock_.idle_ns() - idle_ns_;
  idle_ns_ = clock_.idle_ns();
  last_ = event.reason.index();
  Row& row = rows_[last_];
  ++row.count;
  row.instructions += event.retired - retired_;
  retired_ = event.retired;
  const std::size_t vcpu = index(event.vcpu);
  if (row.by_vcpu.size() <= vcpu) row.by_vcpu.resize(vcpu + 1);
  ++row.by_vcpu[vcpu];
}

std::string ExitStatistics::table() const {
  std::array<std::size_t, kExitKinds> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  // The most frequent first, equals as in ExitReason.
  std::ranges::sort(order, [this](std::size_t a, std::size_t b) {
    return std::pair(rows_[b].count, a) < std::pair(rows_[a].count, b);
  });
  Row sum;
  for (const Row& row : rows_) {
    sum.count += row.count;
    sum.instructions += row.instructions;
    sum.idle_ns += row.idle_ns;
    add(sum.by_vcpu, row.by_vcpu);
  }
  std::string text = fmt::format("{:<20}{:>12}{:>9}{:>16}{:>12}{:>14}  {}\n", "exit", "count",
                                 "share", "instructions", "each", "idle ms", "by vcpu");
  for (const std::size_t kind : order) {
    if (rows_[kind].count == 0) continue;
    Row row = rows_[kind];
    row.by_vcpu.resize(sum.by_vcpu.size());
    text += line(kExitNames[kind], row, sum.count);
  }
  return text + line("all", sum, sum.count);
}

}  // namespace retrap
