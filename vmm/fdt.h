// Device trees, written with libfdt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace retrap {

/// Writes a flattened device tree from top to bottom (Devicetree Specification 0.4). Nodes nest by
/// begin/end. Cells are 32 bits; `reg` values are given as whole 64-bit numbers, two cells each.
class FdtBuilder {
 public:
  FdtBuilder();
  FdtBuilder& begin(std::string_view name);  ///< "" for the root
  FdtBuilder& end();
  FdtBuilder& empty(std::string_view name);
  FdtBuilder& string(std::string_view name, std::string_view value);
  FdtBuilder& strings(std::string_view name, std::initializer_list<std::string_view> values);
  FdtBuilder& cells(std::string_view name, std::initializer_list<std::uint32_t> values);
  FdtBuilder& cells(std::string_view name, std::span<const std::uint32_t> values);
  FdtBuilder& u64(std::string_view name, std::uint64_t value);
  /// (address, size) pairs, flattened, each number two cells.
  FdtBuilder& reg(std::initializer_list<std::uint64_t> numbers);
  FdtBuilder& bytes(std::string_view name, std::span<const std::byte> value);
  FdtBuilder& reserve(std::uint64_t base, std::uint64_t size);  ///< before the first begin("")

  /// The finished blob. Requires every begin to have its end.
  [[nodiscard]] std::vector<std::byte> finish();

 private:
  std::vector<std::byte> blob_;
  void grow_until(auto&& write);
};

/// Whether `blob` is a well-formed tree of at most its own size.
[[nodiscard]] Result<> check_fdt(std::span<const std::byte> blob);

}  // namespace retrap
