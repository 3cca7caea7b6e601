// Finds the bytes at a program counter that no machine has any more.
#include "sim/cli/code.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "sim/cli/recorded_image.h"
#include "sim/disassemble.h"
#include "sim/machine.h"
#include "vmm/base/bytes.h"
#include "vmm/config_toml.h"

namespace retrap::cli {
namespace {

constexpr std::uint64_t kBefore = 32;  ///< bytes
constexpr std::uint64_t kBehind = 32;
constexpr std::size_t kLines = 5;  ///< on either side

/// Bytes of a guest, and the address of the first.
struct Code {
  std::uint64_t address;
  std::vector<std::byte> bytes;
};

/// The bytes around `pc` of those that begin at `address`.
std::optional<Code> around(std::uint64_t pc, std::uint64_t address,
                           std::span<const std::byte> bytes) {
  if (pc < address || pc - address >= bytes.size()) return std::nullopt;
  const std::uint64_t at = pc - address;
  const std::uint64_t first = at - std::min(at, kBefore);
  const std::uint64_t size = std::min<std::uint64_t>(bytes.size() - first, at - first + kBehind);
  const auto window = bytes.subspan(first, size);
  return Code{address + first, {window.begin(), window.end()}};
}

/// By the virtual addresses of its program headers.
std::optional<Code> in_elf(std::uint64_t pc, std::span<const std::byte> bytes) {
  constexpr std::uint32_t kLoad = 1;
  const auto table = load_le<std::uint64_t>(bytes, 0x20);
  const auto entry_size = load_le<std::uint16_t>(bytes, 0x36);
  const auto count = load_le<std::uint16_t>(bytes, 0x38);
  if (!table || !entry_size || !count || *table > bytes.size()) return std::nullopt;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const std::uint64_t at = *table + i * *entry_size;
    const auto type = load_le<std::uint32_t>(bytes, at);
    const auto offset = load_le<std::uint64_t>(bytes, at + 8);
    const auto address = load_le<std::uint64_t>(bytes, at + 16);
    const auto size = load_le<std::uint64_t>(bytes, at + 32);
    if (!type || !offset || !address || !size) return std::nullopt;
    if (*type != kLoad || *offset > bytes.size() || *size > bytes.size() - *offset) continue;
    if (auto code = around(pc, *address, bytes.subspan(*offset, *size))) return code;
  }
  return std::nullopt;
}

/// Where Linux runs its Image without KASLR: KIMAGE_VADDR and KERNEL_LINK_ADDR of its versions,
/// which are further from one another than a kernel is long.
std::optional<Code> in_linux(std::uint64_t pc, const Image& image) {
  constexpr std::array<std::uint64_t, 6> kArm64 = {0xffff'8000'8000'0000, 0xffff'8000'0800'0000,
                                                   0xffff'8000'1000'0000, 0xffff'ffc0'8000'0000,
                                                   0xffff'ffc0'0800'0000, 0xffff'ffc0'1000'0000};
  constexpr std::array<std::uint64_t, 2> kRiscv = {0xffff'ffff'8000'0000, 0xffff'ffe0'0000'0000};
  const std::span<const std::uint64_t> bases =
      image.kind() == ImageKind::Arm64Image ? std::span<const std::uint64_t>(kArm64) : kRiscv;
  for (const std::uint64_t base : bases) {
    if (auto code = around(pc, base, image.bytes())) return code;
  }
  return std::nullopt;
}

/// In the memory of the VM as it is before its first instruction, where addresses are physical.
std::optional<Code> in_memory(std::uint64_t pc, VmConfig config, const Images& images) {
  config.populate = Populate::Lazy;
  config.cpu_num = 1;
  config.phys_cpu_ids.clear();
  config.phys_cpu_sets.clear();
  config.passthrough_devices.clear();
  config.passthrough_addresses.clear();
  for (MemoryRegionConfig& region : config.memory_regions) region.map_type = MapType::Alloc;
  auto machine = Machine::create({});
  if (!machine) return std::nullopt;
  auto vm = (*machine)->add_vm(std::move(config), images);
  if (!vm) return std::nullopt;
  for (const std::uint64_t before : {kBefore, std::uint64_t{0}}) {
    Code code{pc - before, std::vector<std::byte>(before + kBehind)};
    if (pc < before || !(*vm)->read_from_guest(GuestPhys(code.address), code.bytes)) continue;
    const auto at_pc = std::span(code.bytes).subspan(before);
    const bool is_empty = std::all_of(at_pc.begin(), at_pc.end(),
                                      [](std::byte byte) { return byte == std::byte{0}; });
    if (!is_empty) return code;
  }
  return std::nullopt;
}

/// The images that have code, and the first reason why one is missing.
struct Known {
  Images images;
  std::string missing;
};

Known known_images(const traces::Reader& trace, const VmConfig& config) {
  Known known;
  const auto& records = trace.header().images;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string& role = records[i].role;
    if (index(records[i].vm) != config.id || (role != "kernel" && role != "bios")) continue;
    auto bytes = recorded_image(trace, i);
    if (bytes && role == "bios") {
      known.images.bios = *std::move(bytes);
      continue;
    }
    auto kernel = std::move(bytes).and_then([&](std::vector<std::byte>&& all) {
      return Image::parse(records[i].path, std::move(all), config.arch);
    });
    if (kernel) {
      known.images.kernel = *std::move(kernel);
    } else if (known.missing.empty()) {
      const std::string& message = kernel.error().message;
      known.missing = message.substr(0, message.find(';'));
    }
  }
  return known;
}

std::optional<Code> code_at(std::uint64_t pc, const VmConfig& config, const Images& images) {
  std::optional<Code> code;
  if (images.kernel && images.kernel->kind() == ImageKind::Elf) {
    code = in_elf(pc, images.kernel->bytes());
  } else if (images.kernel && (images.kernel->kind() == ImageKind::Arm64Image ||
                               images.kernel->kind() == ImageKind::RiscvImage)) {
    code = in_linux(pc, *images.kernel);
  }
  return code ? code : in_memory(pc, config, images);
}

/// With instructions that end where that at the pc begins.
std::vector<std::string> lines_around(const Code& code, std::uint64_t pc, ArchId arch) {
  constexpr unsigned kBits = 64;
  const std::string at_pc = fmt::format("{:#x}  ", pc);
  const std::span<const std::byte> bytes(code.bytes);
  const std::uint64_t step = arch == ArchId::Aarch64 ? 4 : arch == ArchId::Riscv64 ? 2 : 1;
  std::vector<std::string> lines;
  std::uint64_t first = code.address + (pc - code.address) % step;
  for (; first <= pc; first += step) {
    lines = disassemble(arch, kBits, first, bytes.subspan(first - code.address));
    if (first == pc) break;
    const bool meets = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.starts_with(at_pc);
    });
    if (meets) break;
  }
  const auto found = std::find_if(lines.begin(), lines.end(),
                                  [&](const std::string& line) { return line.starts_with(at_pc); });
  const auto at = static_cast<std::size_t>(found - lines.begin());
  std::vector<std::string> shown;
  for (std::size_t i = at - std::min(at, kLines); i < std::min(lines.size(), at + kLines); ++i) {
    shown.push_back((i == at ? "> " : "  ") + lines[i]);
  }
  return shown;
}

}  // namespace

void add_code(traces::Divergence& divergence, const traces::Reader& trace) {
  if (!divergence.has_exit) return;
  std::optional<VmConfig> config;
  for (const std::string& text : trace.header().configs) {
    auto one = parse_config(text, "config");
    if (one && one->id == index(divergence.vm)) config = *std::move(one);
  }
  if (!config) {
    divergence.code = {"no code: the trace has no configuration of this VM"};
    return;
  }
  const Known known = known_images(trace, *config);
  if (const auto code = code_at(divergence.pc, *config, known.images)) {
    divergence.code = lines_around(*code, divergence.pc, config->arch);
  } else if (!known.missing.empty()) {
    divergence.code = {fmt::format("no code: {}", known.missing)};
  } else {
    divergence.code = {"no code: the pc lies outside of the images; retrap replay shows it"};
  }
}

}  // namespace retrap::cli
