// The header block: tagged fields.
#include "traces/header.h"

#include <algorithm>

namespace retrap::traces {
namespace {

enum Tag : std::uint8_t {
  kProgram = 1,
  kDetail = 2,
  kSeed = 3,
  kMemoryBytes = 4,
  kDigestInterval = 5,
  kConfig = 6,
  kImage = 7,
  kNote = 8,
  kBoard = 9,
};

void field(ByteVector& to, Tag tag, ConstBytes bytes) {
  append_varint(to, tag);
  append_varint(to, bytes.size());
  append_bytes(to, bytes);
}

void field(ByteVector& to, Tag tag, std::string_view text) {
  field(to, tag, std::as_bytes(std::span(text)));
}

void field(ByteVector& to, Tag tag, std::uint64_t value) {
  ByteVector bytes;
  append_varint(bytes, value);
  field(to, tag, bytes);
}

ByteVector encode(const ImageRecord& image) {
  ByteVector bytes;
  append_varint(bytes, index(image.vm));
  append_text(bytes, image.role);
  append_text(bytes, image.path);
  append_varint(bytes, image.size);
  append_le(bytes, image.digest);
  append_byte(bytes, image.embedded ? 1 : 0);
  return bytes;
}

ImageRecord decode_image(ByteSource& source) {
  ImageRecord image;
  image.vm = VmId{static_cast<std::uint32_t>(source.varint())};
  image.role = source.text();
  image.path = source.text();
  image.size = source.varint();
  image.digest = source.le<std::uint64_t>();
  image.embedded = source.byte() != 0;
  return image;
}

std::string text_of(ConstBytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text.push_back(static_cast<char>(byte));
  return text;
}

bool has_image(const Header& header, const ImageRecord& image) {
  return std::any_of(header.images.begin(), header.images.end(), [&](const ImageRecord& other) {
    return other.vm == image.vm && other.role == image.role;
  });
}

/// False where the field is not what it should be.
bool take(Header& header, std::uint64_t tag, ConstBytes bytes) {
  ByteSource source(bytes);
  switch (tag) {
    case kProgram: header.program = text_of(bytes); return true;
    case kConfig:
      header.configs.push_back(text_of(bytes));
      return header.configs.size() <= kMostConfigs;
    case kSeed:   header.seed = source.varint(); break;
    case kDetail: {
      const std::uint64_t detail = source.varint();
      if (detail > static_cast<std::uint64_t>(Detail::Full)) return false;
      header.detail = static_cast<Detail>(detail);
      break;
    }
    case kMemoryBytes:    header.memory_bytes = source.varint(); break;
    case kDigestInterval: header.digest_interval = source.varint(); break;
    case kImage:          {
      ImageRecord image = decode_image(source);
      if (header.images.size() == kMostImages || has_image(header, image)) return false;
      header.images.push_back(std::move(image));
      break;
    }
    case kNote: {
      std::string name = source.text();
      header.notes.emplace_back(std::move(name), source.text());
      break;
    }
    case kBoard: {
      std::string arch = source.text();
      header.boards.push_back({std::move(arch), source.varint()});
      break;
    }
    default: return true;
  }
  return source.good() && source.at_end();
}

}  // namespace

ByteVector encode(const Header& header) {
  ByteVector to;
  field(to, kProgram, header.program);
  field(to, kDetail, static_cast<std::uint64_t>(header.detail));
  field(to, kSeed, header.seed);
  field(to, kMemoryBytes, header.memory_bytes);
  field(to, kDigestInterval, header.digest_interval);
  for (const std::string& config : header.configs) field(to, kConfig, config);
  for (const ImageRecord& image : header.images) field(to, kImage, ConstBytes(encode(image)));
  for (const auto& [name, text] : header.notes) {
    ByteVector note;
    append_text(note, name);
    append_text(note, text);
    field(to, kNote, ConstBytes(note));
  }
  for (const BoardRecord& board : header.boards) {
    ByteVector bytes;
    append_text(bytes, board.arch);
    append_varint(bytes, board.revision);
    field(to, kBoard, ConstBytes(bytes));
  }
  return to;
}

std::optional<Header> decode_header(ConstBytes payload) {
  Header header;
  ByteSource source(payload);
  while (source.good() && !source.at_end()) {
    const std::uint64_t tag = source.varint();
    const ConstBytes bytes = source.bytes(source.varint());
    if (!source.good() || !take(header, tag, bytes)) return std::nullopt;
  }
  if (!source.good()) return std::nullopt;
  return header;
}

}  // namespace retrap::traces
