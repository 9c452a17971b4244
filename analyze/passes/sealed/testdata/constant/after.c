// want: KLP129 error f
// text: lies in .rodata
extern int work(int);
extern void *memset(void *, int, unsigned long);
#define sealed __attribute__((section(".data..ro_after_init")))
int limit sealed = 3;
int sizes[8] sealed;
int level;
const int table[4] = { 1, 2, 3, 4 };
int f(int a)
{
	work(limit + sizes[a] + level + table[a]);
	*(int *)&table[a & 3] = 7;
	return 0;
}
