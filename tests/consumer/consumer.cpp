// A user of the installed package: includes its headers, links its libraries, checks an answer.
#include <cstdio>

#include "sim/machine.h"
#include "vmm/base/digest.h"

int main() {
  retrap::Digest digest;
  digest.add("every trap, again");
  std::printf("%016llx\n", static_cast<unsigned long long>(digest.value()));
  return digest.value() != 0 ? 0 : 1;
}
