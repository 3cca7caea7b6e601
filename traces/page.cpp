// The page's data: one character string for each column, so that a million exits open quickly.
#include "traces/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "traces/page_text.h"
#include "traces/statistics.h"
#include "traces/text.h"
#include "traces/walk.h"

namespace retrap::traces {
namespace {

/// Base 64 of little-endian numbers (RFC 4648).
class Base64 {
 public:
  void add(std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) {
      held_ = held_ << 8 | ((value >> (8 * i)) & 0xff);
      bits_ += 8;
      while (bits_ >= 6) put();
    }
  }
  [[nodiscard]] std::string take() && {
    if (bits_ != 0) {
      held_ <<= 6 - bits_;
      bits_ = 6;
      put();
    }
    while (text_.size() % 4 != 0) text_.push_back('=');
    return std::move(text_);
  }

 private:
  void put() {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits_ -= 6;
    text_.push_back(kDigits[(held_ >> bits_) & 0x3f]);
  }
  std::string text_;
  std::uint64_t held_ = 0;
  unsigned bits_ = 0;
};

/// What is no exit, at its time: inputs and digests.
class Marks {
 public:
  void add(std::string_view kind, std::uint64_t ns, std::string_view what) {
    // More than anybody can look at.
    constexpr std::size_t kMost = 20'000;
    constexpr std::size_t kLongest = 200;
    if (++count_ > kMost) return;
    fmt::format_to(std::back_inserter(text_), R"({{"kind":"{}","t":{},"what":)", kind, ns);
    append_quoted(text_, what.substr(0, kLongest));
    text_ += "},";
  }
  [[nodiscard]] std::string take() && { return "const MARKS=[" + std::move(text_) + "];\n"; }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

/// What the page knows of each exit: time, kind, vCPU, program counter, first field.
class Columns final : public Visitor {
 public:
  void on_event(const Event& event, std::uint64_t exit) override {
    (void)exit;
    const auto* record = std::get_if<ExitRecord>(&event);
    if (record == nullptr) return;
    const std::uint64_t ns = record->retired + record->idle_ns;
    idle_ns_ = record->idle_ns;
    // Hours fit: 2^48 ns are three days.
    times_.add(ns, 6);
    kinds_.add(record->reason.index(), 1);
    const std::pair place{index(record->vm), index(record->vcpu)};
    places_.add(number_of(place_numbers_, place_names_, place) & 0xff, 1);
    pcs_.add(number_of(pc_numbers_, pc_names_, record->pc), 4);
    details_.add(values_of(record->reason)[0], 8);
  }

  void on_input(const InputRecord& input) override {
    marks_.add("input", input.retired + idle_ns_,
               fmt::format("vm {} {}", index(input.vm), details_of(input)));
  }
  void on_digest(const DigestRecord& digest) override {
    marks_.add("digest", digest.retired + idle_ns_,
               fmt::format("root {:016x}, {} parts", digest.root, digest.parts.size()));
  }

  void put(std::string& to) && {
    to += std::move(marks_).take();
    fmt::format_to(std::back_inserter(to), R"(const TIMES="{}",KINDS="{}",PLACES="{}",)",
                   std::move(times_).take(), std::move(kinds_).take(), std::move(places_).take());
    fmt::format_to(std::back_inserter(to), R"(PCS="{}",DETAILS="{}",)", std::move(pcs_).take(),
                   std::move(details_).take());
    to += "PC_NAMES=[";
    for (const std::uint64_t pc : pc_names_) {
      fmt::format_to(std::back_inserter(to), "\"{:#x}\",", pc);
    }
    to += "],PLACE_NAMES=[";
    for (const auto& [vm, vcpu] : place_names_) {
      fmt::format_to(std::back_inserter(to), "\"vm {} vcpu {}\",", vm, vcpu);
    }
    to += "];\n";
  }

 private:
  template <class Key>
  static std::uint64_t number_of(std::map<Key, std::uint64_t>& numbers, std::vector<Key>& names,
                                 const Key& key) {
    const auto [found, is_new] = numbers.try_emplace(key, names.size());
    if (is_new) names.push_back(key);
    return found->second;
  }

  Marks marks_;
  std::uint64_t idle_ns_ = 0;  ///< of the last exit
  Base64 times_, kinds_, places_, pcs_, details_;
  std::map<std::uint64_t, std::uint64_t> pc_numbers_;
  std::vector<std::uint64_t> pc_names_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> place_numbers_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> place_names_;
};

/// For the text of a page.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      default:  out.push_back(c);
    }
  }
  return out;
}

std::string summary(const Reader& reader) {
  const Header& header = reader.header();
  std::string text = fmt::format("{}: recorded by {} with seed {}, {}", reader.name(),
                                 header.program, header.seed, to_string(header.detail));
  if (const auto& end = reader.end()) {
    text += fmt::format("; {} instructions, {} exits, digest {:016x}", end->retired, end->exits,
                        end->digest);
  }
  for (const ImageRecord& image : header.images) {
    text += fmt::format("\n{}: {}, {} bytes, digest {:016x}", image.role, image.path, image.size,
                        image.digest);
  }
  if (!reader.missing().empty()) text += "\n" + reader.missing();
  return text;
}

void put_kinds(std::string& to) {
  to += "const KIND_NAMES=[";
  for (const std::string_view kind : kExitNames)
    fmt::format_to(std::back_inserter(to), "\"{}\",", kind);
  to += "],FIELD_NAMES=[";
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    const auto rows = fields_of(kind);
    fmt::format_to(std::back_inserter(to), "\"{}\",", rows.empty() ? "" : rows[0].name);
  }
  to += "];\n";
}

/// `</script>` inside a script would end it.
std::string safe(std::string text) {
  for (std::size_t at = text.find("</"); at != std::string::npos; at = text.find("</", at + 3)) {
    text.replace(at, 2, "<\\/");
  }
  return text;
}

}  // namespace

Result<std::string> make_page(const Reader& reader, const std::optional<Divergence>& divergence) {
  Columns columns;
  RETRAP_TRY(walk(reader, {}, columns));
  std::string data;
  put_kinds(data);
  std::move(columns).put(data);
  if (divergence) {
    fmt::format_to(std::back_inserter(data), "const DIVERGENCE={},DIVERGED_AT={};\n",
                   divergence->has_exit ? std::to_string(divergence->exit) : "-1",
                   divergence->retired);
  } else {
    data += "const DIVERGENCE=-1,DIVERGED_AT=-1;\n";
  }
  std::string page(kPageHead);
  page += fmt::format("<pre id=\"summary\">{}</pre>\n", escaped(summary(reader)));
  if (divergence) {
    page += fmt::format("<pre id=\"divergence\">{}</pre>\n",
                        escaped(to_text(*divergence, "this", "other")));
  }
  page += kPageBody;
  page += "<script>\n" + safe(std::move(data)) + std::string(kPageScript) + "</script>\n</html>\n";
  return page;
}

}  // namespace retrap::traces
