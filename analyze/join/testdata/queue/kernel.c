/* The linked kernel: both object files. */
#include "testdata/queue/before.c"
#include "testdata/user/before.c"
