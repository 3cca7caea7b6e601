// Boots of unmodified Linux kernels through the real binary.
#include "tests/linux/boot.h"

namespace retrap::test {

Boot boot_linux(const std::string& arch, const std::filesystem::path& kernel,
                const std::filesystem::path& initrd, const std::vector<std::string>& more) {
  const TemporaryFolder folder;
  const std::string json = (folder.path() / "report.json").string();
  std::vector<std::string> arguments = {
      "run",      "--arch", arch,     "--kernel", kernel.string(), "--initrd", initrd.string(),
      "--memory", "512M",   "--json", json};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Boot boot{.program = run_program(retrap_program(), arguments, folder.path(), kSecondsAtMost)};
  boot.report = nlohmann::json::parse(contents_of(json), nullptr, /*allow_exceptions=*/false);
  return boot;
}

}  // namespace retrap::test
