// SBI.
#include "programs/hypercalls.h"

enum : u64 {
  kBase = 0x10,
  kTime = 0x54494d45,
  kIpi = 0x735049,
  kRfence = 0x52464e43,
  kHsm = 0x48534d,
  kReset = 0x53525354,
  kConsole = 0x4442434e,
  kNotSupported = (u64)-2,
  kInvalidParam = (u64)-3,
  kInvalidAddress = (u64)-5,
  kAlreadyAvailable = (u64)-6,
};

static u64 probe(u64 extension) {
  const struct sbi_result result = sbi(kBase, 3, extension, 0, 0);
  return result.error ? result.error : result.value != 0;
}

static void base(void) {
  check("BASE: specification 2.0 or later", sbi(kBase, 0, 0, 0, 0).value >= 0x2000000, 1);
  check("BASE: TIME is there", probe(kTime), 1);
  check("BASE: IPI is there", probe(kIpi), 1);
  check("BASE: RFENCE is there", probe(kRfence), 1);
  check("BASE: HSM is there", probe(kHsm), 1);
  check("BASE: SRST is there", probe(kReset), 1);
  check("BASE: DBCN is there", probe(kConsole), 1);
  check("BASE: an unknown extension is not", probe(0x12345678), 0);
  check("BASE: an unknown function", sbi(kBase, 99, 0, 0, 0).error, kNotSupported);
}

static void harts(void) {
  check("HSM: this hart is started", sbi(kHsm, 2, 0, 0, 0).value, 0);
  check("HSM: the status of no hart", sbi(kHsm, 2, 77, 0, 0).error, kInvalidParam);
  check("HSM: start of this hart", sbi(kHsm, 0, 0, 0x80200000, 0).error, kAlreadyAvailable);
  check("HSM: start of no hart", sbi(kHsm, 0, 77, 0x80200000, 0).error, kInvalidParam);
  check("HSM: an unknown function", sbi(kHsm, 99, 0, 0, 0).error, kNotSupported);
  check("IPI: to no hart", sbi(kIpi, 0, 1, 77, 0).error, kInvalidParam);
  check("RFENCE: fence.i here", sbi(kRfence, 0, 1, 0, 0).error, 0);
  check("RFENCE: an unknown function", sbi(kRfence, 99, 1, 0, 0).error, kNotSupported);
}

static void console(void) {
  static const char text[] = "by DBCN\n";
  const struct sbi_result wrote = sbi(kConsole, 0, sizeof text - 1, (u64)text, 0);
  check("DBCN: write", wrote.error << 32 | wrote.value, sizeof text - 1);
  check("DBCN: one byte", sbi(kConsole, 2, '\n', 0, 0).error, 0);
  check("DBCN: nobody has that memory", sbi(kConsole, 0, 8, kNothingBase, 0).error, kInvalidParam);
  check("DBCN: a buffer without end", sbi(kConsole, 0, ~0ul, (u64)text, 0).error, kInvalidParam);
  sbi(1, 0, 'L', 0, 0);  // legacy console putchar
  sbi(1, 0, '\n', 0, 0);
}

void firmware_calls(void) {
  base();
  harts();
  console();
  check("SRST: an unknown type", sbi(kReset, 0, 7, 0, 0).error, kInvalidParam);
  check("an unknown extension", sbi(0x12345678, 0, 0, 0, 0).error, kNotSupported);
}
