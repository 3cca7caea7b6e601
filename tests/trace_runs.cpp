// Reads damaged traces by the thousand: trace_runs [RUNS [SEED]]. Best under the sanitizers.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <span>
#include <string_view>

#include "tests/traces/mutations.h"

namespace {

using namespace retrap;

std::uint64_t number(std::string_view text, std::uint64_t otherwise) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? value : otherwise;
}

}  // namespace

int main(int count, char** arguments) {
  const std::span<char*> words(arguments, static_cast<std::size_t>(count));
  const std::uint64_t runs = words.size() > 1 ? number(words[1], 0) : 100'000;
  const std::uint64_t first = words.size() > 2 ? number(words[2], 0) : 1;
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
