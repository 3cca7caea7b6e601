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

using ByVcpu = std::map<VmId, std::vector<std::uint64_t>>;

/// "1 0 4"; of several VMs "vm 1: 1 0 vm 2: 4".
std::string text_of(const ByVcpu& by_vcpu) {
  std::vector<std::string> parts;
  for (const auto& [vm, counts] : by_vcpu) {
    const std::string name = by_vcpu.size() > 1 ? fmt::format("vm {}: ", index(vm)) : "";
    parts.push_back(fmt::format("{}{}", name, fmt::join(counts, " ")));
  }
  return fmt::format("{}", fmt::join(parts, "  "));
}

std::string line(std::string_view name, const ExitStatistics::Row& row, std::uint64_t exits) {
  const std::uint64_t each = row.count == 0 ? 0 : row.instructions / row.count;
  return fmt::format("{:<20}{:>12}{:>8.2f}%{:>16}{:>12}{:>14.3f}  {}\n", name, row.count,
                     share(row.count, exits), row.instructions, each,
                     static_cast<double>(row.idle_ns) / 1e6, text_of(row.by_vcpu));
}

void add(ByVcpu& sum, const ByVcpu& more) {
  for (const auto& [vm, counts] : more) {
    auto& total = sum[vm];
    total.resize(std::max(total.size(), counts.size()));
    for (std::size_t i = 0; i < counts.size(); ++i) total[i] += counts[i];
  }
}

}  // namespace

void ExitStatistics::on_exit(const ExitEvent& event) {
  if (last_ != kExitKinds) rows_[last_].idle_ns += event.cost.idle_ns;
  last_ = event.reason.index();
  Row& row = rows_[last_];
  ++row.count;
  row.instructions += event.cost.instructions;
  auto& by_vcpu = row.by_vcpu[event.vm];
  const std::size_t vcpu = index(event.vcpu);
  if (by_vcpu.size() <= vcpu) by_vcpu.resize(vcpu + 1);
  ++by_vcpu[vcpu];
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
    for (const auto& [vm, counts] : sum.by_vcpu) row.by_vcpu[vm].resize(counts.size());
    text += line(kExitNames[kind], row, sum.count);
  }
  return text + line("all", sum, sum.count);
}

}  // namespace retrap
