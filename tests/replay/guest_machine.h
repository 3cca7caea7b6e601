// Machines with one of the built-in guests, and traces of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "sim/record.h"
#include "tests/guests/embedded.h"
#include "tests/support/matchers.h"
#include "traces/reader.h"
#include "vmm/config_text.h"

namespace retrap::test {

inline Result<Images> images_of(ArchId arch, std::string_view name) {
  const guests::Guest* const guest = guests::find(arch, name);
  Images images;
  RETRAP_TRY(images.kernel,
             Image::parse(std::string(name), {guest->elf.begin(), guest->elf.end()}, arch));
  return images;
}

/// `vcpus` 0: as many as the guest needs.
inline Result<std::unique_ptr<Machine>> machine_with(ArchId arch, std::string_view name,
                                                     std::uint32_t vcpus = 0) {
  RETRAP_TRY(auto machine, Machine::create({}));
  VmConfig config = machine->architecture(arch)->default_config(32 << 20);
  config.cpu_num = vcpus != 0 ? vcpus : name == "smp" ? 2 : 1;
  RETRAP_TRY(const Images images, images_of(arch, name));
  RETRAP_TRY([[maybe_unused]] Vm * vm, machine->add_vm(std::move(config), images));
  return machine;
}

/// A trace of `name` with digests every 1000 instructions.
inline traces::Reader record(ArchId arch, std::string_view name, std::uint32_t vcpus = 0) {
  traces::ByteVector bytes;
  auto machine = machine_with(arch, name, vcpus).value();
  auto recorder = Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes),
                                  {.detail = traces::Detail::Full,
                                   .digest_interval = 1000,
                                   .configs = {to_toml(machine->vm(0).config())}})
                      .value();
  const RunReport report = recorder->run();
  EXPECT_THAT(recorder->finish(report), Succeeds());
  return traces::Reader::parse("t", bytes).value();
}

}  // namespace retrap::test
