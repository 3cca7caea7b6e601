// Files and options are checked first, all of them; then there is a machine.
#include "sim/cli/guest.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/config_toml.h"

namespace retrap::cli {
namespace {

constexpr std::uint64_t kDefaultMemory = std::uint64_t{512} << 20;
constexpr std::uint64_t kLargestKernel = std::uint64_t{1} << 30;

std::string_view default_cmdline(ArchId arch) {
  return arch == ArchId::Aarch64 ? "console=ttyAMA0 panic=-1" : "console=ttyS0 panic=-1";
}

/// Puts what the command line says over `config`.
void overlay(VmConfig& config, const RunOptions& options) {
  if (options.kernel) {
    config.kernel_path = *options.kernel;
    // They belong to the kernel that the file names.
    config.kernel_load_addr.reset();
    config.entry_point.reset();
  }
  if (options.initrd) config.ramdisk_path = *options.initrd;
  if (options.append) config.cmdline = *options.append;
  if (options.populate) config.populate = *options.populate;
}

Result<std::unique_ptr<Machine>> make_machine(const RunOptions& options) {
  MachineOptions machine;
  machine.seed = options.seed;
  machine.slice = options.slice;
  return Machine::create(machine);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    lines.push_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
  }
  return lines;
}

std::string with_remedy(std::string text, std::string_view remedy) {
  if (text.find(';') == std::string::npos) text += fmt::format("; {}", remedy);
  return text;
}

// With a configuration file.

void add(ConfigFile& file, std::vector<ConfigProblem> problems) {
  for (ConfigProblem& problem : problems) {
    problem.text = with_remedy(std::move(problem.text), "correct it there");
  }
  file.add(problems);
}

/// Images that the command line names have no place in the file.
std::vector<ConfigProblem> image_problems(const RunOptions& options, const VmConfig& config,
                                          Images& images, std::vector<std::string>& others) {
  std::vector<ConfigProblem> problems;
  if (config.kernel_path.empty()) {
    problems.push_back({.key = "kernel.kernel_path",
                        .text = "[kernel] names no kernel_path; add it, or --kernel"});
  }
  images = load_images(config, problems);
  std::erase_if(problems, [&](const ConfigProblem& problem) {
    const bool given = (options.kernel && problem.key == "kernel.kernel_path") ||
                       (options.initrd && problem.key == "kernel.ramdisk_path");
    if (given) others.push_back(problem.text);
    return given;
  });
  return problems;
}

/// One Error for the problems of the file and `others`.
Result<> verdict(const ConfigFile& file, const std::vector<std::string>& others) {
  std::vector<std::string> lines;
  if (const auto sound = file.verdict(); !sound) lines.push_back(sound.error().message);
  lines.insert(lines.end(), others.begin(), others.end());
  if (lines.empty()) return {};
  return tl::unexpected(Error{ErrorCode::InvalidInput, fmt::format("{}", fmt::join(lines, "\n"))});
}

/// Axvisor compiles the files of its paths in; here they are read, which gives the same guest.
void take_from_files(VmConfig& config, std::vector<ConfigProblem>& notes) {
  if (config.image_location != ImageLocation::Memory) return;
  config.image_location = ImageLocation::Fs;
  notes.push_back({.key = "kernel.image_location",
                   .text = "image_location \"memory\": nothing is compiled in, the images are read "
                           "from their paths"});
}

/// Everything that can be known without the memory of the guest.
Result<Images> examined(ConfigFile& file, const RunOptions& options,
                        std::vector<ConfigProblem>& notes) {
  Images images;
  std::vector<std::string> others;
  if (file.is_read("base.arch")) {
    add(file, image_problems(options, file.config, images, others));
    // Not the machine of the guest: nothing of this is left over.
    RETRAP_TRY(const auto machine, make_machine(options));
    ConfigFindings findings = machine->examine(file.config);
    add(file, std::move(findings.problems));
    notes.insert(notes.end(), findings.notes.begin(), findings.notes.end());
  } else {
    add(file, check_config(file.config));
  }
  RETRAP_TRY(verdict(file, others));
  return images;
}

Result<Guest> guest_of_file(const std::string& path, const RunOptions& options,
                            ConsoleSink* console) {
  RETRAP_TRY(ConfigFile file, load_config_file(path, options.arch));
  overlay(file.config, options);
  std::vector<ConfigProblem> notes;
  take_from_files(file.config, notes);
  Guest guest;
  RETRAP_TRY(guest.images, examined(file, options, notes));
  RETRAP_TRY(guest.machine, make_machine(options));
  if (const auto vm = guest.machine->add_vm(file.config, guest.images, console); !vm) {
    std::vector<ConfigProblem> problems;
    for (const std::string_view line : lines_of(vm.error().message)) {
      problems.push_back(problem_of(line));
    }
    add(file, std::move(problems));
    return tl::unexpected(file.verdict().error());
  }
  for (ConfigProblem& note : notes) {
    note.text = "note: " + note.text;
    guest.notes.push_back(file.line_of(note));
  }
  return guest;
}

// Without one.

/// The parser has seen to it that there is a kernel.
Result<ArchId> arch_of(const RunOptions& options) {
  if (options.arch) return *options.arch;
  const std::string kernel = options.kernel.value_or("");
  RETRAP_TRY(const auto bytes, read_file(kernel, kLargestKernel));
  const auto arch = arch_of_image(bytes);
  if (arch) return *arch;
  return fail(ErrorCode::InvalidInput, "{}: does not say which architecture it is for; give --arch",
              kernel);
}

/// The standard board with the memory and vCPUs of the options.
Result<VmConfig> standard_config(Machine& machine, const RunOptions& options, VmConfig known) {
  const Architecture* const architecture = machine.architecture(known.arch);
  if (architecture == nullptr) {
    return fail(ErrorCode::Unsupported, "this build has no {}; build it with Unicorn",
                to_string(known.arch));
  }
  VmConfig config = architecture->default_config(options.memory_bytes.value_or(kDefaultMemory));
  config.name = "guest";
  config.arch = known.arch;
  config.cpu_num = options.vcpus.value_or(1);
  config.kernel_path = std::move(known.kernel_path);
  config.ramdisk_path = std::move(known.ramdisk_path);
  config.cmdline = std::move(known.cmdline);
  config.populate = known.populate;
  return config;
}

/// Gives every line of a message of the monitor its file and a remedy, where it has none.
Error about(const RunOptions& options, Error error) {
  const std::string file = options.kernel.value_or("");
  std::vector<std::string> lines;
  for (const std::string_view line : lines_of(error.message)) {
    std::string text =
        line.starts_with(file) ? std::string(line) : fmt::format("{}: {}", file, line);
    lines.push_back(with_remedy(std::move(text), "change --memory, --vcpus or the kernel"));
  }
  error.message = fmt::format("{}", fmt::join(lines, "\n"));
  return error;
}

Result<Guest> standard_guest(const RunOptions& options, ConsoleSink* console) {
  VmConfig config;
  RETRAP_TRY(config.arch, arch_of(options));
  config.cmdline = default_cmdline(config.arch);
  overlay(config, options);
  Guest guest;
  RETRAP_TRY(guest.images, load_images(config));
  RETRAP_TRY(guest.machine, make_machine(options));
  RETRAP_TRY(config, standard_config(*guest.machine, options, std::move(config)));
  const auto vm = guest.machine->add_vm(std::move(config), guest.images, console);
  if (!vm) return tl::unexpected(about(options, vm.error()));
  return guest;
}

}  // namespace

Result<Guest> make_guest(const RunOptions& options, ConsoleSink* console) {
  return options.config ? guest_of_file(*options.config, options, console)
                        : standard_guest(options, console);
}

}  // namespace retrap::cli
