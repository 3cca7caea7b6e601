// ELF executables; the only file that sees libelf.
#include <gelf.h>

#include <algorithm>
#include <memory>

#include "vmm/base/address.h"
#include "vmm/base/bytes.h"
#include "vmm/image_formats.h"

namespace retrap {

namespace {

struct Ender {
  void operator()(Elf* elf) const { (void)elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, Ender>;

/// A loadable program header that has been checked.
struct Loadable {
  GuestRange range;
  std::uint64_t virtual_base;
  bool executable;
  ImageSegment segment;
};

GElf_Half machine_of(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return EM_X86_64;
    case ArchId::Aarch64: return EM_AARCH64;
    case ArchId::Riscv64: return EM_RISCV;
  }
  return EM_NONE;
}

std::string machine_name(GElf_Half machine) {
  for (const ArchId arch : kAllArchs) {
    if (machine_of(arch) == machine) return std::string(to_string(arch));
  }
  return fmt::format("machine {}", machine);
}

Result<> check_header(const GElf_Ehdr& header, ArchId arch) {
  if (header.e_ident[EI_CLASS] != ELFCLASS64) {
    return fail(ErrorCode::InvalidInput, "ELF e_ident: is not a 64-bit file; build it for {}",
                to_string(arch));
  }
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return fail(ErrorCode::InvalidInput, "ELF e_ident: is big-endian; build it for {}",
                to_string(arch));
  }
  if (header.e_machine != machine_of(arch)) {
    return fail(ErrorCode::InvalidInput,
                "ELF e_machine: is for {}, the guest is {}; use a file for {}",
                machine_name(header.e_machine), to_string(arch), to_string(arch));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return fail(ErrorCode::InvalidInput, "ELF e_type: {} is no executable; link it first",
                header.e_type);
  }
  return {};
}

Result<Loadable> check_segment(std::span<const std::byte> bytes, std::size_t index,
                               const GElf_Phdr& header) {
  if (header.p_offset > bytes.size() || bytes.size() - header.p_offset < header.p_filesz) {
    return fail(ErrorCode::InvalidInput,
                "ELF program header {}: p_offset {:#x} + p_filesz {:#x} is past the end of the "
                "file ({:#x} bytes); the file is cut short",
                index, header.p_offset, header.p_filesz, bytes.size());
  }
  if (header.p_memsz < header.p_filesz) {
    return fail(ErrorCode::InvalidInput,
                "ELF program header {}: p_memsz {:#x} is less than p_filesz {:#x}; link it again",
                index, header.p_memsz, header.p_filesz);
  }
  const GuestPhys base(header.p_paddr);
  const auto range = GuestRange::make(base, header.p_memsz);
  if (!range) {
    return fail(ErrorCode::InvalidInput,
                "ELF program header {}: p_paddr {:#x} + p_memsz {:#x} wraps; link it again", index,
                header.p_paddr, header.p_memsz);
  }
  return Loadable{.range = *range,
                  .virtual_base = header.p_vaddr,
                  .executable = (header.p_flags & PF_X) != 0,
                  .segment = {.address = base,
                              .bytes = bytes.subspan(static_cast<std::size_t>(header.p_offset),
                                                     static_cast<std::size_t>(header.p_filesz)),
                              .size = header.p_memsz}};
}

Result<std::vector<Loadable>> loadables_of(Elf* elf, std::span<const std::byte> bytes) {
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) {
    return fail(ErrorCode::InvalidInput, "ELF e_phnum: {}; the file is damaged", elf_errmsg(-1));
  }
  std::vector<Loadable> loadables;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) {
      return fail(ErrorCode::InvalidInput,
                  "ELF program header {}: is past the end of the file; the file is cut short", i);
    }
    if (header.p_type == PT_INTERP) {
      return fail(ErrorCode::InvalidInput,
                  "ELF program header {}: asks for a dynamic linker; link it with -static", i);
    }
    if (header.p_type != PT_LOAD || header.p_memsz == 0) continue;
    RETRAP_TRY(auto loadable, check_segment(bytes, i, header));
    loadables.push_back(loadable);
  }
  if (loadables.empty()) {
    return fail(ErrorCode::InvalidInput,
                "ELF program headers: nothing to load; link it as an executable");
  }
  std::ranges::sort(loadables, {}, [](const Loadable& part) { return part.range.base(); });
  for (std::size_t i = 1; i < loadables.size(); ++i) {
    if (loadables[i - 1].range.overlaps(loadables[i].range)) {
      return fail(ErrorCode::InvalidInput,
                  "ELF program headers: the segments {} and {} overlap; link it again",
                  loadables[i - 1].range, loadables[i].range);
    }
  }
  return loadables;
}

/// The physical address of `entry`, which linkers give as a virtual one (and Linux's x86_64
/// vmlinux as a physical one).
Result<GuestPhys> physical_entry(std::span<const Loadable> loadables, std::uint64_t entry) {
  for (const Loadable& part : loadables) {
    if (!part.executable || entry < part.virtual_base) continue;
    const std::uint64_t offset = entry - part.virtual_base;
    if (offset < part.range.size()) return part.range.base().wrapping_add(offset);
  }
  for (const Loadable& part : loadables) {
    if (part.executable && part.range.contains(GuestPhys(entry))) return GuestPhys(entry);
  }
  return fail(ErrorCode::InvalidInput,
              "ELF e_entry: {:#x} is in no executable segment; set the entry point when linking",
              entry);
}

}  // namespace

std::optional<ArchId> arch_of_elf(std::span<const std::byte> bytes) {
  constexpr std::uint64_t kMachine = 18;  // gABI, "ELF Header"
  for (const ArchId arch : kAllArchs) {
    if (load_le<std::uint16_t>(bytes, kMachine) == machine_of(arch)) return arch;
  }
  return std::nullopt;
}

Result<ImageFacts> parse_elf(std::span<const std::byte> bytes, ArchId arch) {
  (void)elf_version(EV_CURRENT);
  // libelf takes a mutable buffer and only reads a file of the host's byte order.
  auto* const start = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
  const ElfHandle elf(elf_memory(start, bytes.size()));
  GElf_Ehdr header;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr) {
    return fail(ErrorCode::InvalidInput, "ELF header: libelf says {}; the file is damaged",
                elf_errmsg(-1));
  }
  RETRAP_TRY(check_header(header, arch));
  RETRAP_TRY(const auto loadables, loadables_of(elf.get(), bytes));
  RETRAP_TRY(const auto entry, physical_entry(loadables, header.e_entry));

  ImageFacts facts;
  facts.kind = ImageKind::Elf;
  facts.entry = entry;
  for (const Loadable& part : loadables) facts.segments.push_back(part.segment);
  facts.memory_size = loadables.back().range.last().offset_from(loadables.front().range.base()) + 1;
  return facts;
}

}  // namespace retrap
