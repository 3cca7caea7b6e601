// One line for each event, for people and as JSON.
#include "traces/text.h"

#include "traces/digests.h"
#include "traces/put.h"
#include "vmm/base/overloaded.h"

namespace retrap::traces {
namespace {

/// Counts are decimal; all else is hexadecimal.
bool is_decimal(std::string_view field) {
  return field == "width" || field == "reg_width" || field == "reg" || field == "signed_ext" ||
         field.starts_with("send_to");
}

void put_fields(std::string& to, const ExitReason& exit) {
  const FieldValues values = values_of(exit);
  const auto rows = fields_of(exit.index());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (is_decimal(rows[i].name)) {
      put(to, " {}={}", rows[i].name, values[i]);
    } else {
      put(to, " {}={:#x}", rows[i].name, values[i]);
    }
  }
}

void put_input(std::string& to, const Input& input) {
  std::visit(
      Overloaded{
          [&](const ConsoleInput& it) { append_quoted(to, it.bytes); },
          [&](const InterruptInput& it) {
            put(to, "vcpu {} vector {:#x}", index(it.vcpu), it.vector);
          },
          [&](const MapInput& it) {
            put(to, "gpa {:#x} hpa {:#x} size {:#x} flags {:#x}", it.gpa, it.hpa, it.size,
                it.flags);
          },
          [&](const UnmapInput& it) { put(to, "gpa {:#x} size {:#x}", it.gpa, it.size); },
          [&](const MemoryInput& it) { put(to, "gpa {:#x} {} bytes", it.gpa, it.bytes.size()); },
          [&](const GrowInput& it) {
            put(to, "gpa {:#x} size {:#x} flags {:#x}", it.gpa, it.size, it.flags);
          },
          [](const auto&) {},
      },
      input);
}

}  // namespace

void append_quoted(std::string& to, std::string_view text) {
  to.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      to.push_back('\\');
      to.push_back(c);
    } else if (byte >= 0x20 && byte < 0x7f) {
      to.push_back(c);
    } else {
      put(to, "\\u{:04x}", byte);
    }
  }
  to.push_back('"');
}

std::string name_of(const PartDigest& part) {
  const std::string_view name = kPartNames[static_cast<std::size_t>(part.part)];
  const std::string vm = fmt::format("vm {}", index(part.vm));
  switch (part.part) {
    case Part::Clock:     return std::string(name);
    case Part::Registers: return fmt::format("{} of {} vcpu {}", name, vm, index(part.vcpu));
    case Part::Ram:
      return fmt::format("{} {:#x}..{:#x} of {}", name, part.base, part.base + part.size, vm);
    case Part::MmioDevice:
    case Part::PortDevice:
    case Part::SystemRegisterDevice:
      return fmt::format("{} {} at {:#x} of {}", name, part.name, part.base, vm);
    default: return fmt::format("{} of {}", name, vm);
  }
}

std::string to_text(const ExitReason& exit) {
  std::string text(name(exit));
  put_fields(text, exit);
  return text;
}

std::string to_text(const Event& event, std::uint64_t exit) {
  std::string text;
  std::visit(Overloaded{
                 [&](const ExitRecord& it) {
                   put(text, "{:>9} {:>14} {}.{} pc={:#018x} {}", exit, it.retired, index(it.vm),
                       index(it.vcpu), it.pc, name(it.reason));
                   put_fields(text, it.reason);
                 },
                 [&](const AnswerRecord& it) {
                   put(text, "{:>9} {:>14} {}.{}   answer {:#x}", exit, "", index(it.vm),
                       index(it.vcpu), it.value);
                 },
                 [&](const InjectionRecord& it) {
                   put(text, "{:>9} {:>14} {}.{}   injection vector={:#x}", exit, it.retired,
                       index(it.vm), index(it.vcpu), it.vector);
                   if (it.change != LineChange::Pulse) put(text, " {}", name(it.change));
                 },
             },
             event);
  return text;
}

std::string to_text(const InputRecord& input) {
  return fmt::format("{:>9} {:>14} {}     input {}", "", input.retired, index(input.vm),
                     details_of(input));
}

std::string details_of(const InputRecord& input) {
  std::string text(kInputNames[input.input.index()]);
  text.push_back(' ');
  put_input(text, input.input);
  if (text.back() == ' ') text.pop_back();
  if (input.when == InputRecord::When::Ended) text += " (while nothing ran)";
  if (input.when == InputRecord::When::Resting) text += " (while everything waited)";
  return text;
}

std::string to_text(const DigestRecord& digest) {
  std::string text =
      fmt::format("{:>9} {:>14}       digest {:016x}", "", digest.retired, digest.root);
  for (const PartDigest& part : digest.parts) {
    put(text, " [{}: {}]", name_of(part), digest_text(digest_of(part), "gone"));
  }
  return text;
}

void append_json(std::string& to, const Event& event, std::uint64_t exit) {
  std::visit(Overloaded{
                 [&](const ExitRecord& it) {
                   put(to,
                       R"({{"type":"exit","exit":{},"retired":{},"time_ns":{},"vm":{},"vcpu":{},)"
                       R"("pc":"{:#x}","kind":"{}")",
                       exit, it.retired, it.retired + it.idle_ns, index(it.vm), index(it.vcpu),
                       it.pc, name(it.reason));
                   const FieldValues values = values_of(it.reason);
                   const auto rows = fields_of(it.reason.index());
                   for (std::size_t i = 0; i < rows.size(); ++i) {
                     put(to, R"(,"{}":"{:#x}")", rows[i].name, values[i]);
                   }
                   to.push_back('}');
                 },
                 [&](const AnswerRecord& it) {
                   put(to, R"({{"type":"answer","exit":{},"vm":{},"vcpu":{},"value":"{:#x}"}})",
                       exit, index(it.vm), index(it.vcpu), it.value);
                 },
                 [&](const InjectionRecord& it) {
                   put(to,
                       R"({{"type":"injection","exit":{},"retired":{},"vm":{},"vcpu":{},)"
                       R"("vector":"{:#x}","change":"{}"}})",
                       exit, it.retired, index(it.vm), index(it.vcpu), it.vector, name(it.change));
                 },
             },
             event);
}

void append_json(std::string& to, const InputRecord& input) {
  put(to, R"({{"type":"input","retired":{},"vm":{},"kind":"{}","idle":{},"what":)", input.retired,
      index(input.vm), kInputNames[input.input.index()], input.when == InputRecord::When::Resting);
  std::string what;
  if (const auto* console = std::get_if<ConsoleInput>(&input.input)) {
    what = console->bytes;
  } else {
    put_input(what, input.input);
  }
  append_quoted(to, what);
  to.push_back('}');
}

void append_json(std::string& to, const DigestRecord& digest) {
  put(to, R"({{"type":"digest","retired":{},"root":"{:016x}","parts":{{)", digest.retired,
      digest.root);
  for (const PartDigest& part : digest.parts) {
    if (&part != digest.parts.data()) to.push_back(',');
    append_quoted(to, name_of(part));
    put(to, R"(:"{}")", digest_text(digest_of(part), "gone"));
  }
  to += "}}";
}

}  // namespace retrap::traces
