// Inputs, digests and the end as bytes, and back.
#include "traces/records.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/overloaded.h"

namespace retrap::traces {
namespace {

Input take_payload(ByteSource& from, std::uint8_t kind) {
  switch (kind) {
    case 0: return ConsoleInput{from.text()};
    case 1: {
      const VcpuId vcpu{static_cast<std::uint32_t>(from.varint())};
      return InterruptInput{vcpu, from.varint()};
    }
    case 2: {
      MapInput map;
      map.gpa = from.varint();
      map.hpa = from.varint();
      map.size = from.varint();
      map.flags = static_cast<std::uint32_t>(from.varint());
      return map;
    }
    case 3: {
      const std::uint64_t gpa = from.varint();
      return UnmapInput{gpa, from.varint()};
    }
    case 4: {
      const std::uint64_t gpa = from.varint();
      return MemoryInput{gpa, from.text()};
    }
    case 5:  return SuspendInput{};
    case 6:  return ResumeInput{};
    case 7:  return ShutdownInput{};
    case 8:  return ResetInput{};
    case 9:  return DestroyInput{};
    default: {
      GrowInput grow;
      grow.gpa = from.varint();
      grow.size = from.varint();
      grow.flags = static_cast<std::uint32_t>(from.varint());
      return grow;
    }
  }
}

}  // namespace

void append(ByteVector& to, const InputRecord& input) {
  append_byte(to, input.input.index());
  append_byte(to, static_cast<std::uint8_t>(input.when));
  append_varint(to, input.retired);
  append_varint(to, index(input.vm));
  std::visit(Overloaded{
                 [&](const ConsoleInput& console) { append_text(to, console.bytes); },
                 [&](const InterruptInput& interrupt) {
                   append_varint(to, index(interrupt.vcpu));
                   append_varint(to, interrupt.vector);
                 },
                 [&](const MapInput& map) {
                   append_varint(to, map.gpa);
                   append_varint(to, map.hpa);
                   append_varint(to, map.size);
                   append_varint(to, map.flags);
                 },
                 [&](const UnmapInput& unmap) {
                   append_varint(to, unmap.gpa);
                   append_varint(to, unmap.size);
                 },
                 [&](const MemoryInput& memory) {
                   append_varint(to, memory.gpa);
                   append_text(to, memory.bytes);
                 },
                 [&](const GrowInput& grow) {
                   append_varint(to, grow.gpa);
                   append_varint(to, grow.size);
                   append_varint(to, grow.flags);
                 },
                 [](const auto&) {},  // its name says it all
             },
             input.input);
}

std::string unknown_in_input(ByteSource from) {
  const std::uint8_t kind = from.byte();
  const std::uint8_t when = from.byte();
  if (!from.good()) return "";
  if (kind >= kInputKinds) return fmt::format("an input of kind {}", kind);
  if (when > static_cast<std::uint8_t>(InputRecord::When::Ended)) {
    return fmt::format("an input with when {}", when);
  }
  return "";
}

std::optional<InputRecord> take_input(ByteSource& from) {
  InputRecord input;
  const std::uint8_t kind = from.byte();
  const std::uint8_t when = from.byte();
  if (kind >= kInputKinds || when > static_cast<std::uint8_t>(InputRecord::When::Ended))
    return std::nullopt;
  input.when = static_cast<InputRecord::When>(when);
  input.retired = from.varint();
  input.vm = VmId{static_cast<std::uint32_t>(from.varint())};
  input.input = take_payload(from, kind);
  if (!from.good()) return std::nullopt;
  return input;
}

void DigestWriter::append(ByteVector& to, const DigestRecord& digest) {
  append_varint(to, digest.retired);
  append_le(to, digest.root);
  append_varint(to, digest.parts.size());
  for (const PartDigest& part : digest.parts) {
    const auto [at, is_new] = numbers_.try_emplace(part, numbers_.size());
    append_varint(to, at->second << 1 | (part.gone ? 1U : 0U));
    if (is_new) {
      append_varint(to, index(part.vm));
      append_byte(to, static_cast<std::uint8_t>(part.part));
      append_varint(to, index(part.vcpu));
      append_varint(to, part.base);
      append_varint(to, part.size);
      append_text(to, std::string_view(part.name).substr(0, kMaxPartName));
    }
    if (!part.gone) append_le(to, part.digest);
  }
}

bool DigestReader::describe(ByteSource& from) {
  PartDigest part;
  part.vm = VmId{static_cast<std::uint32_t>(from.varint())};
  const std::uint8_t number = from.byte();
  part.vcpu = VcpuId{static_cast<std::uint32_t>(from.varint())};
  part.base = from.varint();
  part.size = from.varint();
  part.name = from.text();
  if (from.good() && number >= kParts) unknown_part_ = number;
  if (!from.good() || number >= kParts || part.name.size() > kMaxPartName) return false;
  part.part = static_cast<Part>(number);
  described_.push_back(std::move(part));
  is_there_.push_back(false);
  return true;
}

bool DigestReader::take_part(ByteSource& from, PartDigest& part) {
  const std::uint64_t number = from.varint();
  if (!from.good() || number >> 1 > described_.size()) return false;
  if (number >> 1 == described_.size() && !describe(from)) return false;
  const auto at = static_cast<std::size_t>(number >> 1);
  part = described_[at];
  part.gone = (number & 1) != 0;
  if (part.gone && !is_there_[at]) return false;
  is_there_[at] = !part.gone;
  if (!part.gone) part.digest = from.le<std::uint64_t>();
  return from.good();
}

std::optional<DigestRecord> DigestReader::take(ByteSource& from) {
  if (version_ == 1) return take_version_1(from);
  DigestRecord digest;
  digest.retired = from.varint();
  digest.root = from.le<std::uint64_t>();
  const std::uint64_t count = from.varint();
  if (!from.good() || count > DigestWriter::kMostParts) return std::nullopt;
  // A part takes a byte or more.
  digest.parts.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(count, from.left())));
  for (std::uint64_t left = count; left > 0; --left) {
    PartDigest part;
    if (!take_part(from, part)) return std::nullopt;
    if (!digest.parts.empty() && !PartOrder{}(digest.parts.back(), part)) return std::nullopt;
    digest.parts.push_back(std::move(part));
  }
  if (!from.good()) return std::nullopt;
  return digest;
}

std::optional<DigestRecord> DigestReader::take_version_1(ByteSource& from) {
  const std::uint64_t retired = from.varint();
  std::vector<PartDigest> parts;
  for (std::uint64_t left = from.varint(); left > 0; --left) {
    PartDigest part;
    part.vm = VmId{static_cast<std::uint32_t>(from.varint())};
    const std::uint8_t number = from.byte();
    part.vcpu = VcpuId{static_cast<std::uint32_t>(from.varint())};
    part.digest = from.le<std::uint64_t>();
    if (!from.good() || number > static_cast<std::uint8_t>(Part::Console)) return std::nullopt;
    part.part = static_cast<Part>(number);
    parts.push_back(part);
  }
  if (!from.good()) return std::nullopt;
  return last_.change_to(retired, std::move(parts));
}

void append(ByteVector& to, const EndRecord& end) {
  append_varint(to, end.retired);
  append_varint(to, end.idle_ns);
  append_byte(to, end.reason);
  append_text(to, end.detail);
  append_le(to, end.digest);
  append_varint(to, end.exits);
  append_varint(to, end.inputs);
}

std::optional<EndRecord> take_end(ByteSource& from) {
  EndRecord end;
  end.retired = from.varint();
  end.idle_ns = from.varint();
  end.reason = from.byte();
  end.detail = from.text();
  end.digest = from.le<std::uint64_t>();
  end.exits = from.varint();
  end.inputs = from.varint();
  if (!from.good()) return std::nullopt;
  return end;
}

}  // namespace retrap::traces
