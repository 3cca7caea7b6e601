// A lever: translated code without a look at the stop request behind every load and store.
#pragma once

#include <unicorn/unicorn.h>

namespace retrap::unicorn {

/// Unicorn lets guest code ask after each memory access whether somebody wants it to stop, a call
/// that also keeps guest registers out of host registers; about a fifth of the time goes there. It
/// has a switch against it, which its public interface does not reach (it is meant for Arm's IT
/// blocks). This finds the switch by what surrounds it, checks that the surroundings follow the
/// public calls that change them, and turns it. Where anything differs it does nothing.
///
/// The look at the start of each block stays. An engine whose hooks stop it only there, or by
/// unwinding, does the same with and without the lever: speed is all that depends on it.
///
/// Before the engine translates anything. Whether the switch was found.
bool drop_exit_checks(uc_engine* uc);

}  // namespace retrap::unicorn
