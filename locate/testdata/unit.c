/* The object that is looked for. */
extern int printk(const char *fmt, ...);
extern int work(int);
extern void slow_path(int) __attribute__((cold));
#define noinline __attribute__((noinline))

static int state = 5;
int shared;
static const int table[4] = { 1, 2, 3, 9 };

static noinline int helper(int x)
{
	static int calls;

	return work(x) + table[x & 3] + calls++;
}

/* Namesakes with equal code live in other objects. */
static noinline int twin(int x) { return x * 3 + 1; }
static noinline int twin_by_data(int x) { return x * 7 + 2; }
int (*const ops[])(int) = { twin_by_data };

/* Tail calls and forward jumps: short when all code is in one section. */
int tail(int x)
{
	if (x > 1000) {
		printk("tail %d\n", x);
		slow_path(x);
	}
	if (x > 5)
		return helper(x + state);
	return twin(x);
}

noinline int other(int x)
{
	state += x;
	while (x-- > 0) {
		if (work(x) == 7)
			return helper(shared);
		shared += table[x & 1];
	}
	return tail(x);
}

int odd(int x)
{
	asm volatile("jmp 1f\n .byte 0x06, 0x07, 0x0e\n1:" : : : "memory");
	return other(x) + 2;
}

int compare(int x)
{
	asm volatile("cmpl $0x12345, %0; movl $7, %1" : : "m" (state), "m" (shared));
	return x;
}
