// PSCI and the SMC calling convention.
#include "programs/hypercalls.h"

enum : u64 {
  kPsciVersion = 0x84000000,
  kPsciCpuOn = 0xc4000003,
  kPsciAffinityInfo = 0xc4000004,
  kPsciMigrateInfoType = 0x84000006,
  kPsciFeatures = 0x8400000a,
  kPsciCpuFreeze = 0x8400000b,
  kSmcccVersion = 0x80000000,
  kNotSupported = (u64)-1,
  kInvalidParameters = (u64)-2,
  kAlreadyOn = (u64)-4,
};

static u64 sign(u64 value) {
  return (u64)(s64)(s32)value;
}

void firmware_calls(void) {
  check("PSCI_VERSION: 1.x", hvc(kPsciVersion, 0, 0, 0) >> 16, 1);
  check("PSCI_VERSION by SMC: 1.x", smc(kPsciVersion, 0, 0, 0) >> 16, 1);
  check("AFFINITY_INFO of this CPU: on", hvc(kPsciAffinityInfo, 0, 0, 0), 0);
  check("AFFINITY_INFO of no CPU", sign(hvc(kPsciAffinityInfo, 0xff00, 0, 0)), kInvalidParameters);
  check("CPU_ON of this CPU: already on", sign(hvc(kPsciCpuOn, 0, 0, 0)), kAlreadyOn);
  check("CPU_ON of no CPU", sign(hvc(kPsciCpuOn, 0xff00, 0, 0)), kInvalidParameters);
  check("MIGRATE_INFO_TYPE: none needed", hvc(kPsciMigrateInfoType, 0, 0, 0), 2);
  check("FEATURES: CPU_ON is there", sign(hvc(kPsciFeatures, kPsciCpuOn, 0, 0)), 0);
  check("FEATURES: an unknown one", sign(hvc(kPsciFeatures, 0x8400001e, 0, 0)), kNotSupported);
  check("an unknown PSCI function", sign(hvc(0x8400001e, 0, 0, 0)), kNotSupported);
  check("an unknown function by SMC", sign(smc(0x8400001e, 0, 0, 0)), kNotSupported);
  check("an unknown service by SMC", sign(smc(0xc2001234, 0, 0, 0)), kNotSupported);
}
