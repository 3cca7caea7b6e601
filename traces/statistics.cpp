// Counting and its tables.
#include "traces/statistics.h"

#include <fmt/format.h>

#include <functional>
#include <iterator>
#include <map>
#include <vector>

#include "traces/text.h"

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

/// Whatever the VM.
std::vector<Row> address_rows(const Statistics::ByAddress& counts, std::uint64_t top) {
  Statistics::ByKey sums;
  for (const auto& [key, count] : counts) {
    Statistics::Count& sum = sums[{std::get<0>(key), std::get<1>(key)}];
    sum = sum + count;
  }
  return rows_of(sums, top);
}

std::vector<Row> device_rows(const Statistics::ByAddress& counts, const DeviceNames& devices) {
  if (!devices) return {};
  std::map<std::string, Statistics::Count> sums;
  for (const auto& [key, count] : counts) {
    const auto& [kind, address, vm] = key;
    const std::string name = devices(VmId{vm}, kind, address);
    if (name.empty()) continue;
    Statistics::Count& sum = sums[name];
    sum = sum + count;
  }
  std::vector<Row> rows;
  rows.reserve(sums.size());
  for (const auto& [name, count] : sums) rows.push_back({name, count});
  return sorted(rows, rows.size());
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

/// How long the machine was idle after exits, by kind.
void put_idle(std::string& to, const std::vector<Row>& rows) {
  bool any = false;
  for (const Row& row : rows) {
    if (row.count.idle_ns == 0) continue;
    if (!any) {
      fmt::format_to(std::back_inserter(to), "\n{:>12} {:>16} {:>16}  {}\n", "exits", "idle ns",
                     "mean idle ns", "kind");
    }
    any = true;
    fmt::format_to(std::back_inserter(to), "{:>12} {:>16} {:>16}  {}\n", row.count.exits,
                   row.count.idle_ns, row.count.idle_ns / row.count.exits, row.name);
  }
}

void put_json(std::string& to, std::string_view name, const std::vector<Row>& rows,
              bool with_idle = false) {
  fmt::format_to(std::back_inserter(to), R"(,"{}":[)", name);
  for (const Row& row : rows) {
    to += &row == rows.data() ? R"({"name":)" : R"(,{"name":)";
    append_quoted(to, row.name);
    fmt::format_to(std::back_inserter(to), R"(,"exits":{},"instructions":{})", row.count.exits,
                   row.count.instructions);
    if (with_idle) {
      fmt::format_to(std::back_inserter(to), R"(,"idle_ns":{})", row.count.idle_ns);
    }
    to.push_back('}');
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

void Statistics::on_passing(const ExitRecord& exit, std::uint64_t number) {
  (void)number;
  delta_ = exit.retired - last_retired_;
  if (idle_kind_ != kExitKinds) kinds_[idle_kind_].idle_ns += exit.idle_ns - last_idle_ns_;
  idle_kind_ = kExitKinds;
  last_retired_ = exit.retired;
  last_idle_ns_ = exit.idle_ns;
}

void Statistics::on_event(const Event& event, std::uint64_t exit) {
  (void)exit;
  const auto* record = std::get_if<ExitRecord>(&event);
  if (record == nullptr) {
    ++(std::holds_alternative<AnswerRecord>(event) ? answers_ : injections_);
    return;
  }
  const auto count = [&](Count& into) {
    ++into.exits;
    into.instructions += delta_;
  };
  const std::size_t kind = record->reason.index();
  ++exits_;
  instructions_ += delta_;
  count(kinds_[kind]);
  idle_kind_ = kind;
  count(pcs_[{kind, record->pc}]);
  count(vcpus_[{index(record->vm), index(record->vcpu)}]);
  if (has_address(kind)) {
    count(addresses_[{kind, values_of(record->reason)[0], index(record->vm)}]);
  }
}

void Statistics::on_input(const InputRecord& input) {
  (void)input;
  ++inputs_;
}

void Statistics::on_digest(const DigestRecord& digest) {
  (void)digest;
  ++digests_;
}

std::string Statistics::to_text(std::uint64_t top, const DeviceNames& devices) const {
  std::string text =
      fmt::format("{} exits, {} answers, {} injections, {} inputs, {} digests, {} instructions\n",
                  exits_, answers_, injections_, inputs_, digests_, instructions_);
  const std::vector<Row> kinds = kind_rows(*this);
  put_table(text, "kind", kinds, exits_);
  put_idle(text, kinds);
  if (vcpus_.size() > 1) put_table(text, "vCPU", vcpu_rows(vcpus_), exits_);
  put_table(text, "device", device_rows(addresses_, devices), exits_);
  put_table(text, "address", address_rows(addresses_, top), exits_);
  put_table(text, "pc", rows_of(pcs_, top), exits_);
  return text;
}

std::string Statistics::to_json(std::uint64_t top, const DeviceNames& devices) const {
  std::string text = fmt::format(
      R"({{"exits":{},"answers":{},"injections":{},"inputs":{},"digests":{},"instructions":{})",
      exits_, answers_, injections_, inputs_, digests_, instructions_);
  put_json(text, "by_kind", kind_rows(*this), /*with_idle=*/true);
  put_json(text, "by_vcpu", vcpu_rows(vcpus_));
  put_json(text, "by_device", device_rows(addresses_, devices));
  put_json(text, "by_address", address_rows(addresses_, top));
  put_json(text, "by_pc", rows_of(pcs_, top));
  return text + "}\n";
}

}  // namespace retrap::traces
