// The program `retrap`: reads the command line and runs one subcommand.
#include <exception>
#include <new>

#include "sim/cli/commands.h"
#include "sim/cli/terminal.h"
#include "vmm/base/overloaded.h"

namespace {

using namespace retrap::cli;

Status dispatch(int argc, const char* const* argv) {
  return std::visit(retrap::Overloaded{
                        [](const Finished& finished) { return finished.status; },
                        [](const RunOptions& options) { return run(options); },
                        [](const DemoOptions& options) { return demo(options); },
                        [](const VersionOptions& options) { return version(options); },
                    },
                    parse_command_line(argc, argv));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return static_cast<int>(dispatch(argc, argv));
  } catch (const std::bad_alloc&) {
    complain("out of memory; give the guest less with --memory or in its memory_regions");
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return static_cast<int>(Status::Failure);
}
