/* Calls the functions of unit.c by the names in calls.h and prints what they return. */
extern int printf(const char *, ...);

int outside(int v) { return v * 11 + 1; }
long outside_table[8] = { 100, 101, 102, 103, 104, 105, 106, 107 };
void report(const char *text, long v) { printf("%s %ld\n", text, v); }
int old_outside(int v) __attribute__((alias("outside")));
extern long old_outside_table[8] __attribute__((alias("outside_table")));
void old_report(const char *text, long v) __attribute__((alias("report")));

#define CALL(f) int call_##f(int v) __asm__(SYMBOL_##f);
#include "calls.h"
#undef CALL
const void *call_where(int what) __asm__(SYMBOL_where);
#ifdef CUT
const void *old_where(int what);
#endif

int main(void)
{
#define CALL(f) for (int v = -3; v < 40; v++) printf(#f " %d: %d\n", v, call_##f(v));
#include "calls.h"
#ifdef CUT
	/* Elements further on by one in the new code, as the patch says. */
	static const int moved[7] = { 0, 4, 0, 0, 0, 8, 0 };

	for (int what = 0; what < 7; what++)
		if ((const char *)call_where(what) != (const char *)old_where(what) + moved[what])
			printf("place %d: %p, the old one is %p\n", what, call_where(what), old_where(what));
#endif
	return 0;
}
