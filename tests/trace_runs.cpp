// Reads damaged traces by the thousand: trace_runs [RUNS [SEED]]. Best under the sanitizers.
#include <fmt/format.h>

#include <cstdio>
#include <span>
#include <string_view>

#include "tests/support/arguments.h"
#include "tests/traces/mutations.h"

using namespace retrap;

int main(int count, char** arguments) {
  const std::span<char*> words(arguments, static_cast<std::size_t>(count));
  const std::uint64_t runs = test::number_at(words, 1, 100'000);
  const std::uint64_t first = test::number_at(words, 2, 1);
  std::uint64_t refused = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const auto read = traces::test::read_everything(traces::test::mutated_trace(seed));
    if (read) continue;
    ++refused;
    const std::string& message = read.error().message;
    if (message.starts_with("t.rtr: offset 0x") && message.find('\n') == std::string::npos)
      continue;
    fmt::print("seed {}: not one clear line: {}\n", seed, message);
    return 1;
  }
  fmt::print("{} damaged traces from seed {}, {} refused in one clear line, the others read\n",
             runs, first, refused);
  return 0;
}
