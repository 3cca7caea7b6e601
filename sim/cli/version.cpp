// retrap --version
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/cli/commands.h"
#include "sim/cli/session.h"
#include "sim/unicorn/version.h"

namespace retrap::cli {

std::string program_name() {
  return "retrap " RETRAP_VERSION;
}

Status version(const VersionOptions& options) {
  const std::string unicorn = retrap::unicorn::library_version();
  if (options.json) {
    nlohmann::ordered_json json;
    json["program"] = RETRAP_VERSION;
    json["unicorn"] = unicorn;
    json["capstone"] = RETRAP_CAPSTONE_VERSION;
    json["build_type"] = RETRAP_BUILD_TYPE;
    json["compiler"] = RETRAP_COMPILER;
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("retrap {}\nUnicorn {}, Capstone {}, {} build by {}\n", RETRAP_VERSION, unicorn,
               RETRAP_CAPSTONE_VERSION, RETRAP_BUILD_TYPE, RETRAP_COMPILER);
  }
  return Status::Ok;
}

}  // namespace retrap::cli
