// Files are the same where the file system says so, or where neither is there, by their paths.
#include "sim/cli/same_file.h"

#include <filesystem>
#include <system_error>

#include "vmm/config_check.h"

namespace retrap::cli {
namespace {

namespace fs = std::filesystem;

bool are_same(const fs::path& left, const fs::path& right) {
  std::error_code error;
  if (fs::exists(left, error) && fs::exists(right, error)) {
    return fs::is_regular_file(left, error) && fs::equivalent(left, right, error) && !error;
  }
  if (fs::exists(left, error) || fs::exists(right, error)) return false;
  const fs::path first = fs::weakly_canonical(fs::absolute(left, error), error);
  if (error) return false;
  const fs::path second = fs::weakly_canonical(fs::absolute(right, error), error);
  return !error && first == second;
}

}  // namespace

Result<> check_distinct(const std::vector<NamedFile>& outputs,
                        const std::vector<NamedFile>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const NamedFile& output = outputs[i];
    if (!output.path || *output.path == "-") continue;
    std::vector<NamedFile> others = inputs;
    others.insert(others.end(), outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(i));
    for (const NamedFile& other : others) {
      if (!other.path || other.path->empty() || *other.path == "-") continue;
      if (!are_same(*output.path, *other.path)) continue;
      return fail(ErrorCode::InvalidInput, "{} {}: would overwrite {}; name another file",
                  output.what, printable(*output.path), other.what);
    }
  }
  return {};
}

}  // namespace retrap::cli
