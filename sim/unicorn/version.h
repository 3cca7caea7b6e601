// Which Unicorn this process runs on.
#pragma once

#include <string>

namespace retrap::unicorn {

/// "2.1.4", of the shared library that is loaded.
[[nodiscard]] std::string library_version();

}  // namespace retrap::unicorn
