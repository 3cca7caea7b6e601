// What a script does with traces: a folder of its own for what retrap writes there.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/arch_id.h"

namespace retrap::test {

/// A folder of its own with what retrap writes there.
class TraceFolder : public ::testing::TestWithParam<ArchId> {
 public:
  Finished retrap(const std::vector<std::string>& arguments) {
    return run_program(retrap_program(), arguments, folder_.path());
  }
  Finished record(const std::string& trace, const std::string& name,
                  std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"record", "-o", trace, "--kernel",
                                          builtin_guest(GetParam(), name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return retrap(arguments);
  }
  std::string path(const std::string& name) { return (folder_.path() / name).string(); }

  TemporaryFolder folder_;
};

}  // namespace retrap::test
