// The guest ipis on CPUs whose ids are not their numbers.
#define CPUS_HAVE_IDS
#include "ipis.c"
