// A configuration as text: what vmm/config_toml.h reads.
#pragma once

#include <string>

#include "vmm/config.h"

namespace retrap {

/// TOML with every key that is not at its default. parse_config() of it gives `config` again; what
/// a path is relative to is up to who reads it.
[[nodiscard]] std::string to_toml(const VmConfig& config);

}  // namespace retrap
