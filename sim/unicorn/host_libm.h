// Hides the host's libm from Unicorn: x87 instructions like FSIN and FYL2X call it, and its
// results differ between models of CPU (with and without FMA) and between C libraries.
#pragma once

namespace retrap::unicorn {

/// Links ours in: while an engine runs (sim/unicorn/host_clock.h), sin, cos, sincos, tan, atan2,
/// log and pow of doubles give this thread the result of quadruple precision, rounded to nearest,
/// ties to even: the correctly rounded one but for about one operand in 2^58, and one and the same
/// everywhere. A NaN gives itself, quiet; an invalid operand gives the default NaN of x86. Every
/// other call reaches the C library.
void replace_host_libm();

}  // namespace retrap::unicorn
