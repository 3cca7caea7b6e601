// Runs a built-in guest in many ways and checks that none of them makes a difference.
#include "tests/scenarios/scenario.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <ostream>
#include <sstream>

#include "sim/testing.h"
#include "tests/guests/embedded.h"
#include "tests/support/paths.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{32} << 20;
constexpr std::uint64_t kReadOnlyWord = 0x726f'726f'726f'726f;
constexpr GuestPhys kIncrement{0xc000'0100};

/// A function that returns its argument + 1, for the read-only region.
std::vector<std::uint8_t> increment_function(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return {0x48, 0x8d, 0x47, 0x01, 0xc3};  // lea 1(%rdi), %rax; ret
    case ArchId::Aarch64: return {0x00, 0x04, 0x00, 0x91, 0xc0, 0x03, 0x5f, 0xd6};  // add; ret
    case ArchId::Riscv64: return {0x05, 0x05, 0x82, 0x80};  // c.addi a0, 1; c.jr ra
  }
  return {};
}

/// The two system registers that belong to devices of ours.
std::array<std::uint64_t, 2> scratch_sysregs(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64: return {0x4b56'0000, 0x4b56'0001};
    case ArchId::Aarch64:
      return {0x30'fc18, 0x32'fc18};  // S3_3_C15_C12_0 and _1, as the ISS has it
    case ArchId::Riscv64: return {0x5c0, 0x5c1};
  }
  return {};
}

/// Slices that find different places to stop; the shorter the run, the smaller.
std::vector<Variant> variants_for(std::uint64_t instructions) {
  std::vector<Variant> variants = {{"again"}, {"populated on demand", 0, Populate::Lazy}};
  const std::uint64_t smallest = instructions < 20'000 ? 1 : instructions < 100'000 ? 3 : 97;
  if (instructions < 2'000'000) variants.push_back({"the smallest slices", smallest});
  variants.push_back({"slices of 1000", 1000});
  variants.push_back({"slices of 1000003", 1'000'003});
  variants.push_back({"slices of 1009, populated on demand", 1009, Populate::Lazy});
  return variants;
}

void expect_equal(const Scenario& scenario, const Variant& variant, const Outcome& want,
                  const Outcome& got) {
  EXPECT_EQ(got.report.instructions, want.report.instructions);
  EXPECT_EQ(got.report.virtual_time_ns, want.report.virtual_time_ns);
  EXPECT_EQ(to_string(got.report.reason), to_string(want.report.reason)) << got.report.detail;
  EXPECT_EQ(got.log, want.log);
  if (got.console == want.console && got.digest == want.digest) return;
  ADD_FAILURE() << fmt::format(
      "{}: digest {:016x}, and the plain run had {:016x}\nleft: plain; right: {}\n{}by hand: {}\n",
      variant.name, got.digest, want.digest, variant.name, side_by_side(want.console, got.console),
      command_of(scenario, variant));
}

/// RAM of that type. The monitor keeps the first 64 KiB of the host.
std::vector<MemoryRegionConfig> ram_of(std::vector<MemoryRegionConfig> regions, MapType type) {
  constexpr std::uint64_t kFirstHostAddress = 0x1'0000;
  if (type == MapType::Alloc) return regions;
  for (MemoryRegionConfig& region : regions) region.map_type = type;
  if (regions.front().gpa < kFirstHostAddress) {
    const MemoryRegionConfig low{.gpa = regions.front().gpa,
                                 .size = kFirstHostAddress - regions.front().gpa};
    regions.front().gpa += low.size;
    regions.front().size -= low.size;
    regions.insert(regions.begin(), low);
  }
  return regions;
}

}  // namespace

void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << to_string(scenario.arch) << ' ' << scenario.guest;
}

Result<> Bench::add_regions(ArchId arch) {
  RETRAP_TRY(vm_->write_to_guest_of(kReadOnlyBase, kReadOnlyWord));
  const auto code = increment_function(arch);
  RETRAP_TRY(vm_->memory().write(kIncrement, std::as_bytes(std::span(code))));
  // Zeroes, so that the page has a frame even where memory is populated on demand.
  RETRAP_TRY(vm_->write_to_guest_of(kNoExecuteBase, std::uint64_t{0}));
  const auto frame = vm_->memory().translate(kNoExecuteBase);
  if (!frame) return fail(ErrorCode::NotFound, "the no-execute region has no frame");
  return vm_->map_region(kOtherNameBase, *frame, kPageSize,
                         MappingFlags::Read | MappingFlags::Execute);
}

Result<> Bench::add_devices(ArchId arch) {
  auto scratch = std::make_unique<ScratchDevice>("scratch", ScratchDevice::Shape{.size = 0x2000});
  scratch_ = scratch.get();
  RETRAP_TRY(vm_->add_mmio_device(kScratchBase, std::move(scratch)));
  if (arch == ArchId::X86_64) {
    RETRAP_TRY(vm_->add_port_device(
        kScratchPort,
        std::make_unique<ScratchDevice>("scratch ports", ScratchDevice::Shape{.size = 16})));
  }
  for (const std::uint64_t base : scratch_sysregs(arch)) {
    RETRAP_TRY(vm_->add_sysreg_device(
        base, std::make_unique<ScratchDevice>("scratch register",
                                              ScratchDevice::Shape{.size = 1, .unit = 8})));
  }
  return {};
}

Result<> Bench::load(const Scenario& scenario, const Variant& variant) {
  const guests::Guest* const guest = guests::find(scenario.arch, scenario.guest);
  if (guest == nullptr) return fail(ErrorCode::NotFound, "no guest '{}'", scenario.guest);
  Architecture* const architecture = machine_->architecture(scenario.arch);
  if (architecture == nullptr) {
    return fail(ErrorCode::Unsupported, "no {} hardware", to_string(scenario.arch));
  }
  VmConfig config = architecture->default_config(kMemory);
  config.populate = variant.populate;
  config.memory_regions = ram_of(std::move(config.memory_regions), variant.map_type);
  config.cpu_num = scenario.vcpus;
  config.memory_regions.push_back(
      {.gpa = kReadOnlyBase.raw(), .size = kRegionSize, .flags = 5, .map_type = MapType::Alloc});
  config.memory_regions.push_back(
      {.gpa = kNoExecuteBase.raw(), .size = kRegionSize, .flags = 3, .map_type = MapType::Alloc});
  Images images;
  RETRAP_TRY(images.kernel, Image::parse(scenario.guest + ".elf",
                                         {guest->elf.begin(), guest->elf.end()}, scenario.arch));
  RETRAP_TRY(vm_, machine_->add_vm(std::move(config), images));
  RETRAP_TRY(add_devices(scenario.arch));
  return add_regions(scenario.arch);
}

Result<std::unique_ptr<Bench>> Bench::make(const Scenario& scenario, const Variant& variant) {
  RETRAP_TRY(auto machine, Machine::create({.slice = variant.slice}));
  std::unique_ptr<Bench> bench(new Bench(std::move(machine)));
  RETRAP_TRY(bench->load(scenario, variant));
  return bench;
}

Outcome Bench::run(const Scenario& scenario, Recorder* recorder) {
  const auto run = [&] {
    return recorder == nullptr ? machine_->run(scenario.max_instructions)
                               : recorder->run(scenario.max_instructions);
  };
  Outcome outcome;
  outcome.report = run();
  for (const char byte : scenario.input) {
    if (outcome.report.reason != StopReason::Deadlocked) break;
    EXPECT_TRUE(machine_->type(*vm_, byte)) << "typing '" << byte << "'";
    outcome.report = run();
  }
  outcome.console = machine_->console_of(*vm_);
  outcome.digest = machine_->digest();
  outcome.log = scratch_->log();
  outcome.statistics = vm_->statistics();
  outcome.dma = vm_->dma().counters();
  return outcome;
}

std::optional<Outcome> run_once(const Scenario& scenario, const Variant& variant) {
  auto bench = Bench::make(scenario, variant);
  if (!bench) {
    ADD_FAILURE() << bench.error().message;
    return std::nullopt;
  }
  return (*bench)->run(scenario);
}

std::optional<Outcome> run_recorded(const Scenario& scenario, const Variant& variant) {
  retrap::testing::RecordedRun run([&] { return Bench::make(scenario, variant); });
  if (!run) return std::nullopt;
  Outcome outcome = run->run(scenario, &run.recorder());
  run.ended(outcome.report);
  return outcome;
}

std::optional<Outcome> run_scenario(const Scenario& scenario) {
  const Variant plain{"plain"};
  auto first = run_once(scenario, plain);
  if (!first) return std::nullopt;
  EXPECT_EQ(to_string(first->report.reason), to_string(scenario.end))
      << first->report.detail << "\nconsole:\n"
      << first->console << "by hand: " << command_of(scenario, plain);
  for (const Variant& variant : variants_for(first->report.instructions)) {
    SCOPED_TRACE(variant.name);
    const auto other = run_once(scenario, variant);
    if (!other) return std::nullopt;
    expect_equal(scenario, variant, *first, *other);
  }
  // The replay stops at other places than the recording.
  std::uint64_t slice = 0;
  const auto make = [&] {
    auto bench = Bench::make(scenario, {.name = "replay", .slice = slice});
    slice = 1009;
    return bench;
  };
  EXPECT_TRUE(retrap::testing::replays(
      make,
      [&](Bench& bench, Recorder& recorder) { return bench.run(scenario, &recorder).report; }))
      << "by hand: " << command_of(scenario, plain);
  return first;
}

std::string transcript_of(const Scenario& scenario) {
  const auto path = source_dir() / "tests/scenarios/transcripts" / to_string(scenario.arch) /
                    (scenario.guest + ".txt");
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << "no transcript " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string side_by_side(const std::string& left, const std::string& right) {
  std::istringstream lefts(left);
  std::istringstream rights(right);
  std::string text;
  while (lefts || rights) {
    std::string a;
    std::string b;
    std::getline(lefts, a);
    std::getline(rights, b);
    if (a.empty() && b.empty()) continue;
    text += fmt::format("{} {:<50} | {}\n", a == b ? ' ' : '*', a, b);
  }
  return text;
}

std::string command_of(const Scenario& scenario, const Variant& variant) {
  return fmt::format("{} run --arch {} --kernel {} --slice {} --populate {}",
                     retrap_program().string(), to_string(scenario.arch),
                     builtin_guest(scenario.arch, scenario.guest), variant.slice,
                     variant.populate == Populate::Lazy ? "lazy" : "eager");
}

}  // namespace retrap::test
