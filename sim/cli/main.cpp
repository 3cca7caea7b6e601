// The program `retrap`: reads the command line and runs one subcommand.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App root("A hypervisor core on simulated virtualization hardware", "retrap");
  root.set_version_flag("--version", "retrap " RETRAP_VERSION);
  constexpr int kUsage = 2;
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return root.exit(error) == 0 ? 0 : kUsage;
  }
  fmt::print("{}", root.help());
  return 0;
}
