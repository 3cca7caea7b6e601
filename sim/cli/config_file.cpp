// retrap config: check a configuration file, and an example of one.
#include <fmt/format.h>

#include <cstdio>

#include "sim/cli/commands.h"
#include "sim/cli/guest.h"
#include "sim/cli/terminal.h"

namespace retrap::cli {

namespace {

/// What differs between the boards.
struct Board {
  ArchId arch;
  std::string_view kernel;
  std::string_view initrd;
  std::string_view cmdline;
  std::string_view ram;
  std::string_view devices;
};

constexpr Board kX86 = {
    .arch = ArchId::X86_64,
    .kernel = "bzImage",
    .initrd = "initrd.gz",
    .cmdline = "console=ttyS0 panic=-1",
    .ram = "  [0x0, 0x2000_0000, 0x7, 0], # 512 MiB from 0; RAM above 3 GiB starts at 4 GiB",
    .devices = R"(  ["com1", 0x3f8, 8, 4, 0x2, []],             # console: ports 0x3f8-0x3ff, GSI 4
  ["ioapic", 0xfec0_0000, 0x1000, 0, 0x23, []],
  ["pit", 0x40, 4, 0, 0x24, []],              # ports 0x40-0x43
  ["ivc", 0xb000_0000, 0x10_0000, 5, 0xa, []], # inter-VM channels; a notification is GSI 5)"};

constexpr Board kAarch64 = {
    .arch = ArchId::Aarch64,
    .kernel = "Image",
    .initrd = "initrd.gz",
    .cmdline = "console=ttyAMA0 panic=-1",
    .ram = "  [0x4000_0000, 0x2000_0000, 0x7, 0], # 512 MiB",
    .devices = R"(  ["uart", 0x0900_0000, 0x1000, 33, 0x2, []],   # console: PL011, INTID 33
  ["gicd", 0x0800_0000, 0x1_0000, 0, 0x21, []], # GICv3 distributor
  ["gicr", 0x080a_0000, 0x4_0000, 0, 0x20, [2, 0x2_0000, 0]], # and a redistributor for each vCPU
  ["ivc", 0xb000_0000, 0x10_0000, 40, 0xa, []], # inter-VM channels; a notification is INTID 40)"};

constexpr Board kRiscv64 = {
    .arch = ArchId::Riscv64,
    .kernel = "Image",
    .initrd = "initrd.gz",
    .cmdline = "console=ttyS0 panic=-1",
    .ram = "  [0x8000_0000, 0x2000_0000, 0x7, 0], # 512 MiB",
    .devices = R"(  ["uart", 0x1000_0000, 0x100, 10, 0x2, []],    # console: 16550, source 10
  ["plic", 0x0c00_0000, 0x60_0000, 0, 0x30, [2]],
  ["ivc", 0xb000_0000, 0x10_0000, 11, 0xa, []], # inter-VM channels; a notification is source 11)"};

const Board& board_of(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return kX86;
    case ArchId::Aarch64: return kAarch64;
    case ArchId::Riscv64: return kRiscv64;
  }
  return kX86;
}

/// {0} architecture, {1} kernel, {2} initrd, {3} command line, {4} RAM, {5} devices.
constexpr std::string_view kTemplate =
    R"(# A virtual machine for retrap, in axvm's schema.
# `retrap config check FILE` explains what is wrong.
# Keys with a '#' before them are optional and stand with an example of a value.

[base]
id = 1                  # of the VM; each VM of a machine has its own
name = "example"
arch = "{0}"
vm_type = 2             # 0 host VM, 1 RTOS, 2 Linux: kept, changes nothing
cpu_num = 2             # 1 to 64; vCPU 0 boots
phys_cpu_ids = [0, 1]   # MPIDR affinity, hart id, APIC id; without it 0, 1, 2, ...
phys_cpu_sets = [0b11, 0b11] # a mask of physical CPUs for each vCPU; without it any

[kernel]
kernel_path = "{1}"     # ELF, Image, bzImage or raw; relative to this file
# kernel_load_addr = 0x8020_0000 # inside memory_regions; without it where the board wants it
# entry_point = 0x8020_0000      # without it what the image says
# ramdisk_path = "{2}"
# ramdisk_load_addr = 0x8800_0000
# dtb_path = "board.dtb"         # without it one is generated (x86_64 has ACPI instead)
# dtb_load_addr = 0x8700_0000
# bios_path = "firmware.bin"     # needs bios_load_addr
# bios_load_addr = 0x10_0000
image_location = "fs"   # "memory": the same
cmdline = "{3}"
populate = "lazy"       # "eager": every frame at the start; "lazy": at its first access
# gpa, size, flags (READ 1, WRITE 2, EXECUTE 4, USER 8),
# map_type (0 allocated, 1 identical: GPA = HPA, 2 a reserved host range)
memory_regions = [
{4}
]

[devices]
# emulated: emulated devices interrupt; passthrough: those passed through do, too;
# no_irq: none does
interrupt_mode = "emulated"
# name, base (x86_64: some are ports), length, interrupt, type, arguments.
# Boards have their interrupt controller, console, clock and entropy device without being told.
emu_devices = [
{5}
]
# name, base_gpa, base_hpa, length, interrupt: memory or a device of the host, whole pages.
# Emulated devices inside stay where they are; ["/"] is all of the board's, which a guest has.
passthrough_devices = [
# ["timer", 0xd000_0000, 0x0a00_0000, 0x1000, 0],
]
# base_gpa, length: the same with base_hpa = base_gpa.
passthrough_addresses = []
excluded_devices = []   # kept; there is no host device tree to exclude from
)";

Status say(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return Status::Ok;
  complain("standard output: cannot write; give it a place with room");
  return Status::Failure;
}

}  // namespace

Status check_config_file(const ConfigCheckOptions& options) {
  RunOptions run;
  run.config = options.file;
  run.arch = options.arch;
  run.kernel = options.kernel;
  run.initrd = options.initrd;
  const auto guest = make_guest(run, nullptr);
  if (!guest) {
    complain(guest.error().message);
    return Status::Failure;
  }
  std::string text;
  for (const std::string& note : guest->notes) text += note + "\n";
  const VmConfig& config = guest->machine->vm(0).config();
  return say(fmt::format("{}{}: a sound configuration of vm {} for {}\n", text, options.file,
                         config.id, to_string(config.arch)));
}

Status show_example_config(const ConfigExampleOptions& options) {
  const Board& board = board_of(options.arch);
  return say(fmt::format(kTemplate, to_string(board.arch), board.kernel, board.initrd,
                         board.cmdline, board.ram, board.devices));
}

}  // namespace retrap::cli
