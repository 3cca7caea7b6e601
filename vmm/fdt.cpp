// The only file that sees libfdt.
#include "vmm/fdt.h"

#include <libfdt.h>

#include <algorithm>

#include "vmm/base/bytes.h"
#include "vmm/base/check.h"

namespace retrap {

namespace {

constexpr std::size_t kFirstSize = 4096;

}  // namespace

FdtBuilder::FdtBuilder() : blob_(kFirstSize) {
  const int status = fdt_create(blob_.data(), static_cast<int>(blob_.size()));
  RETRAP_CHECK(status == 0, "fdt_create: {}", fdt_strerror(status));
}

// libfdt writes into a buffer of fixed size; a step that does not fit has changed nothing and is
// taken again in a buffer twice as large.
void FdtBuilder::grow_until(auto&& write) {
  int status = write(blob_.data());
  while (status == -FDT_ERR_NOSPACE) {
    std::vector<std::byte> larger(blob_.size() * 2);
    const int moved = fdt_resize(blob_.data(), larger.data(), static_cast<int>(larger.size()));
    RETRAP_CHECK(moved == 0, "fdt_resize: {}", fdt_strerror(moved));
    blob_ = std::move(larger);
    status = write(blob_.data());
  }
  RETRAP_CHECK(status == 0, "building a device tree: {}", fdt_strerror(status));
}

FdtBuilder& FdtBuilder::begin(std::string_view name) {
  const std::string terminated(name);
  if (name.empty()) grow_until([](void* fdt) { return fdt_finish_reservemap(fdt); });
  grow_until([&](void* fdt) { return fdt_begin_node(fdt, terminated.c_str()); });
  return *this;
}

FdtBuilder& FdtBuilder::end() {
  grow_until([](void* fdt) { return fdt_end_node(fdt); });
  return *this;
}

FdtBuilder& FdtBuilder::bytes(std::string_view name, std::span<const std::byte> value) {
  const std::string terminated(name);
  grow_until([&](void* fdt) {
    return fdt_property(fdt, terminated.c_str(), value.data(), static_cast<int>(value.size()));
  });
  return *this;
}

FdtBuilder& FdtBuilder::empty(std::string_view name) {
  return bytes(name, {});
}

FdtBuilder& FdtBuilder::string(std::string_view name, std::string_view value) {
  return strings(name, {value});
}

FdtBuilder& FdtBuilder::strings(std::string_view name,
                                std::initializer_list<std::string_view> values) {
  std::string joined;
  for (const std::string_view value : values) {
    joined += value;
    joined += '\0';
  }
  return bytes(name, std::as_bytes(std::span(joined)));
}

FdtBuilder& FdtBuilder::cells(std::string_view name, std::initializer_list<std::uint32_t> values) {
  return cells(name, std::span(values.begin(), values.size()));
}

FdtBuilder& FdtBuilder::cells(std::string_view name, std::span<const std::uint32_t> values) {
  std::vector<fdt32_t> swapped(values.size());
  std::ranges::transform(values, swapped.begin(), cpu_to_fdt32);
  return bytes(name, std::as_bytes(std::span(swapped)));
}

FdtBuilder& FdtBuilder::u64(std::string_view name, std::uint64_t value) {
  const fdt64_t swapped = cpu_to_fdt64(value);
  return bytes(name, std::as_bytes(std::span(&swapped, 1)));
}

FdtBuilder& FdtBuilder::reg(std::initializer_list<std::uint64_t> numbers) {
  std::vector<fdt64_t> swapped(numbers.size());
  std::ranges::transform(numbers, swapped.begin(), cpu_to_fdt64);
  return bytes("reg", std::as_bytes(std::span(swapped)));
}

FdtBuilder& FdtBuilder::reserve(std::uint64_t base, std::uint64_t size) {
  grow_until([&](void* fdt) { return fdt_add_reservemap_entry(fdt, base, size); });
  return *this;
}

std::vector<std::byte> FdtBuilder::finish() {
  grow_until([](void* fdt) { return fdt_finish(fdt); });
  blob_.resize(fdt_totalsize(blob_.data()));
  return std::move(blob_);
}

Result<> check_fdt(std::span<const std::byte> blob) {
  // Devicetree Specification 0.4, 5.2: magic and total size are the first two big-endian words.
  constexpr std::size_t kSmallest = 40;
  if (blob.size() < kSmallest) {
    return fail(ErrorCode::InvalidInput, "not a device tree: {} bytes, the header alone has {}",
                blob.size(), kSmallest);
  }
  // libfdt wants 8-byte alignment; a span promises none.
  const std::vector<std::byte> aligned(blob.begin(), blob.end());
  const int status = fdt_check_full(aligned.data(), aligned.size());
  if (status != 0) {
    return fail(ErrorCode::InvalidInput, "not a device tree: libfdt says {}", fdt_strerror(status));
  }
  return {};
}

}  // namespace retrap
