// Counting and its tables.
#include "traces/statistics.h"

#include <fmt/format.h>

#include <functional>
#include <iterator>
#include <map>
#include <vector>

namespace retrap::traces {
namespace {

/// The field that tells one device from another.
bool has_address(std::size_t kind) {
  const auto rows = fields_of(kind);
  return !rows.empty() &&
         (rows[0].name == "addr" || rows[0].name == "port" || rows[0].name == "nr");
}

struct Row {
  std::string name;
  Statistics::Count count;
};

/// The most frequent first, equals in the order in which they came.
std::vector<Row> sorted(const std::vector<Row>& rows, std::uint64_t top) {
  // Not stable_sort: libstdc++ 12 does it with a function that clang rejects as deprecated.
  std::multimap<std::uint64_t, const Row*, std::greater<>> order;
  for (const Row& row : rows) order.emplace(row.count.exits, &row);
  std::vector<Row> out;
  for (const auto& [exits, row] : order) {
    if (out.size() < top) out.push_back(*row);
  }
  return out;
}

std::vector<Row> rows_of(const Statistics::ByKey& counts, std::uint64_t top) {
  std::vector<Row> rows;
  for (const auto& [key, count] : counts) {
    rows.push_back({fmt::format("{:#x} {}", key.second, kExitNames[key.first]), count});
  }
  return sorted(rows, top);
}

void put_table(std::string& to, std::string_view title, const std::vector<Row>& rows,
               std::uint64_t exits) {
  if (rows.empty()) return;
  fmt::format_to(std::back_inserter(to), "\n{:>12} {:>7} {:>16}  {}\n", "exits", "%",
                 "instructions", title);
  for (const Row& row : rows) {
    const double share =
        exits == 0 ? 0 : 100 * static_cast<double>(row.count.exits) / static_cast<double>(exits);
    fmt::format_to(std::back_inserter(to), "{:>12} {:>6.2f}% {:>16}  {}\n", row.count.exits, share,
                   row.count.instructions, row.name);
  }
}

void put_json(std::string& to, std::string_view name, const std::vector<Row>& rows) {
  fmt::format_to(std::back_inserter(to), R"(,"{}":[)", name);
  for (const Row& row : rows) {
    fmt::format_to(std::back_inserter(to), R"({}{{"name":"{}","exits":{},"instructions":{}}})",
                   &row == rows.data() ? "" : ",", row.name, row.count.exits,
                   row.count.instructions);
  }
  to.push_back(']');
}

std::vector<Row> kind_rows(const Statistics& statistics) {
  std::vector<Row> rows;
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    const auto& count = statistics.by_kind()[kind];
    if (count.exits != 0) rows.push_back({std::string(kExitNames[kind]), count});
  }
  return sorted(rows, kExitKinds);
}

template <class Map>
std::vector<Row> vcpu_rows(const Map& vcpus) {
  std::vector<Row> rows;
  rows.reserve(vcpus.size());
  for (const auto& [place, count] : vcpus) {
    rows.push_back({fmt::format("vm {} vcpu {}", place.first, place.second), count});
  }
  return rows;
}

}  // namespace

void Statistics::on_event(const Event& event, std::uint64_t exit) {
  (void)exit;
  const auto* record = std::get_if<ExitRecord>(&event);
  if (record == nullptr) {
    ++(std::holds_alternative<AnswerRecord>(event) ? answers_ : injections_);
    return;
  }
  const std::uint64_t instructions = record->retired - last_retired_;
  last_retired_ = record->retired;
  const auto count = [&](Count& into) {
    ++into.exits;
    into.instructions += instructions;
  };
  const std::size_t kind = record->reason.index();
  ++exits_;
  count(kinds_[kind]);
  count(pcs_[{kind, record->pc}]);
  count(vcpus_[{index(record->vm), index(record->vcpu)}]);
  if (has_address(kind)) count(addresses_[{kind, values_of(record->reason)[0]}]);
}

void Statistics::on_input(const InputRecord& input) {
  (void)input;
  ++inputs_;
}

void Statistics::on_digest(const DigestRecord& digest) {
  (void)digest;
  ++digests_;
}

std::string Statistics::to_text(std::uint64_t top) const {
  std::string text =
      fmt::format("{} exits, {} answers, {} injections, {} inputs, {} digests, {} instructions\n",
                  exits_, answers_, injections_, inputs_, digests_, last_retired_);
  put_table(text, "kind", kind_rows(*this), exits_);
  if (vcpus_.size() > 1) put_table(text, "vCPU", vcpu_rows(vcpus_), exits_);
  put_table(text, "address", rows_of(addresses_, top), exits_);
  put_table(text, "pc", rows_of(pcs_, top), exits_);
  return text;
}

std::string Statistics::to_json(std::uint64_t top) const {
  std::string text = fmt::format(
      R"({{"exits":{},"answers":{},"injections":{},"inputs":{},"digests":{},"instructions":{})",
      exits_, answers_, injections_, inputs_, digests_, last_retired_);
  put_json(text, "by_kind", kind_rows(*this));
  put_json(text, "by_vcpu", vcpu_rows(vcpus_));
  put_json(text, "by_address", rows_of(addresses_, top));
  put_json(text, "by_pc", rows_of(pcs_, top));
  return text + "}\n";
}

}  // namespace retrap::traces
