// A device of your own: the guest reads its first register and writes twice that to the second.
#include <elf.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "sim/machine.h"

using namespace retrap;

class Doubler final : public Device {
 public:
  std::string_view name() const override { return "doubler"; }
  std::uint64_t size() const override { return 8; }
  IoResult<std::uint64_t> read(const Access& access) override {
    if (access.offset == 0) return 21;
    return tl::unexpected(IoError::WriteOnly);
  }
  IoResult<> write(const Access& access, std::uint64_t value) override {
    if (access.offset != 4) return tl::unexpected(IoError::ReadOnly);
    answer = value;
    return {};
  }
  void reset() override { answer = 0; }
  void digest(Digest& into) const override { into.add(answer); }
  std::uint64_t answer = 0;
};

constexpr GuestPhys kDoubler{0x2000'0000};

// The same guest for three machines: load, double, store, power off.
std::string guest_code(ArchId arch) {
  constexpr char kX86[] =
      "\x8b\x04\x25\x00\x00\x00\x20"  // mov 0x20000000, %eax
      "\x01\xc0"                      // add %eax, %eax
      "\x89\x04\x25\x04\x00\x00\x20"  // mov %eax, 0x20000004
      "\x66\xba\x04\x06"              // mov $0x604, %dx: ACPI's power-off
      "\x66\xb8\x00\x20"              // mov $0x2000, %ax
      "\x66\xef";                     // out %ax, %dx
  constexpr char kAarch64[] =
      "\x01\x00\xa4\xd2"   // mov x1, #0x20000000
      "\x20\x00\x40\xb9"   // ldr w0, [x1]
      "\x00\x00\x00\x0b"   // add w0, w0, w0
      "\x20\x04\x00\xb9"   // str w0, [x1, #4]
      "\x00\x80\xb0\xd2"   // mov x0, #0x84000000
      "\x00\x01\x80\xf2"   // movk x0, #8: PSCI SYSTEM_OFF
      "\x02\x00\x00\xd4";  // hvc #0
  constexpr char kRiscv64[] =
      "\xb7\x02\x00\x20"   // lui t0, 0x20000
      "\x03\xa5\x02\x00"   // lw a0, 0(t0)
      "\x33\x05\xa5\x00"   // add a0, a0, a0
      "\x23\xa2\xa2\x00"   // sw a0, 4(t0)
      "\x13\x05\x00\x00"   // li a0, 0
      "\x93\x05\x00\x00"   // li a1, 0
      "\x13\x08\x00\x00"   // li a6, 0
      "\xb7\x58\x52\x53"   // lui a7, 0x53525
      "\x93\x88\x48\x35"   // addi a7, a7, 0x354: SBI SRST
      "\x73\x00\x00\x00";  // ecall
  switch (arch) {
    case ArchId::X86_64:  return {kX86, sizeof kX86 - 1};
    case ArchId::Aarch64: return {kAarch64, sizeof kAarch64 - 1};
    case ArchId::Riscv64: return {kRiscv64, sizeof kRiscv64 - 1};
  }
  return {};
}

/// An ELF file of one segment: `code`, to be loaded and entered at `start`.
std::vector<std::byte> elf_of(ArchId arch, const std::string& code, std::uint64_t start) {
  constexpr std::array<Elf64_Half, 3> kMachines = {EM_X86_64, EM_AARCH64, EM_RISCV};
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = kMachines[static_cast<std::size_t>(arch)];
  header.e_version = EV_CURRENT;
  header.e_entry = start;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_X;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_vaddr = segment.p_paddr = start;
  segment.p_filesz = segment.p_memsz = code.size();
  std::vector<std::byte> file(segment.p_offset + code.size());
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + sizeof header, &segment, sizeof segment);
  std::memcpy(file.data() + segment.p_offset, code.data(), code.size());
  return file;
}

Result<std::uint64_t> run(ArchId arch) {
  RETRAP_TRY(auto machine, Machine::create({}));
  Architecture* const hardware = machine->architecture(arch);
  if (hardware == nullptr) return fail(ErrorCode::Unsupported, "no {}", to_string(arch));
  VmConfig config = hardware->default_config(16 << 20);
  const std::uint64_t start = config.memory_regions.front().gpa + 0x20'0000;
  Images images;
  RETRAP_TRY(images.kernel, Image::parse("guest", elf_of(arch, guest_code(arch), start), arch));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  auto doubler = std::make_unique<Doubler>();
  const Doubler& device = *doubler;
  RETRAP_TRY(vm->add_mmio_device(kDoubler, std::move(doubler)));

  const RunReport report = machine->run(1000);
  if (report.reason != StopReason::PoweredOff) {
    return fail(ErrorCode::BadState, "{} {}", to_string(report.reason), report.detail);
  }
  return device.answer;
}

int main(int count, char** arguments) {
  const auto arch = arch_from_name(count > 1 ? arguments[1] : "aarch64");
  if (!arch) {
    std::fprintf(stderr, "usage: custom_device [x86_64|aarch64|riscv64]\n");
    return 2;
  }
  const auto answer = run(*arch);
  if (!answer) {
    std::fprintf(stderr, "%s\n", answer.error().message.c_str());
    return 1;
  }
  std::printf("the guest says %llu\n", static_cast<unsigned long long>(*answer));
  return *answer == 42 ? 0 : 1;
}
