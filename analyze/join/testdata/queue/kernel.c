/* The linked kernel: both object files. */
#include "testdata/queue/before.c"
#include "testdata/user/before.c"

/* As EXPORT_SYMBOL() makes it: no pointer through which anyone calls. */
const void *const __ksymtab_queue_begin __attribute__((section("___ksymtab+queue_begin"))) = queue_begin;
