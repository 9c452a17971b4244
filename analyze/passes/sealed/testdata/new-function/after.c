// want: KLP129 error raise
extern int work(int);
extern void *memset(void *, int, unsigned long);
#define sealed __attribute__((section(".data..ro_after_init")))
static __attribute__((noinline)) void raise(int a);
int limit sealed = 3;
int sizes[8] sealed;
int level;
const int table[4] = { 1, 2, 3, 4 };
int f(int a)
{
	work(limit + sizes[a] + level + table[a]);
	raise(a);
	return 0;
}
static void raise(int a) { work(a); limit = a + 1; }
