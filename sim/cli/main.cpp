// The program `retrap`: reads the command line and runs one subcommand.
#include <exception>
#include <new>

#include "sim/cli/commands.h"
#include "sim/cli/terminal.h"
#include "vmm/base/overloaded.h"

namespace retrap::cli {
namespace {

Status dispatch(int argc, const char* const* argv) {
  return std::visit(
      Overloaded{
          [](const Finished& finished) { return finished.status; },
          [](const RunOptions& options) { return run(options); },
          [](const ReplayOptions& options) { return replay(options); },
          [](const DiffOptions& options) { return diff(options); },
          [](const LookOptions& options) { return look(options); },
          [](const DemoOptions& options) { return demo(options); },
          [](const ConfigCheckOptions& options) { return check_config_file(options); },
          [](const ConfigExampleOptions& options) { return show_example_config(options); },
          [](const VersionOptions& options) { return version(options); },
      },
      parse_command_line(argc, argv));
}

}  // namespace
}  // namespace retrap::cli

int main(int argc, char** argv) {
  try {
    return static_cast<int>(retrap::cli::dispatch(argc, argv));
  } catch (const std::bad_alloc&) {
    retrap::cli::complain(
        "out of memory; give the guest less with --memory or in its memory_regions");
  } catch (const std::exception& error) {
    retrap::cli::complain(error.what());
  }
  return static_cast<int>(retrap::cli::Status::Failure);
}
