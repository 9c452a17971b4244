// Calls of every kind, and pointers to functions in data and code. Regenerate
// the object with go generate.

#define noinline __attribute__((noinline, noclone))

// Padding before a function has a name of its own, which is no function.
asm(".text; .type __pfx_padded, @function; __pfx_padded: nop; nop; nop; nop\n"
    ".globl padded; .type padded, @function; padded: ret; .size padded, . - padded");

int printk(const char *, ...);
void panic(const char *) __attribute__((noreturn, cold));
void register_handler(int, int (*)(int), void *);

struct operations {
	int (*open)(int);
	int (*close)(int);
};

noinline int leaf(int n) { return printk("leaf %d", n); }
noinline static int local_open(int n) { return leaf(n) + 1; }
noinline static int local_close(int n) { return leaf(n) - 1; }
noinline static int handler(int n) { return leaf(n) * 2; }

const struct operations file_operations = { .open = local_open, .close = local_close };
struct operations *installed;

int direct(int n) { return leaf(n) + leaf(n + 1); }
int tail(int n) { return leaf(n + 2); }
int conditional_tail(int n)
{
	if (n > 3)
		return leaf(n);
	return 7;
}
int through_table(int n) { return installed->open(n) + 1; }
int tail_through_table(int n) { return installed->close(n); }
void installs(void *data) { register_handler(5, handler, data); }

void complain(int) __attribute__((cold));
int cold_part(int *p, int n)
{
	int i, sum = 0;

	for (i = 0; i < n; i++) {
		if (__builtin_expect(p[i] < 0, 0)) {
			complain(p[i]);
			sum -= 100;
		}
		sum += leaf(p[i]);
	}
	return sum;
}

noinline void dies(const char *why)
{
	printk(why);
	panic(why);
}

int calls_dies(int n)
{
	if (n)
		return leaf(n);
	dies("zero");
}

void endless(void)
{
	for (;;)
		leaf(1);
}

void endless_unless_done(int *done)
{
	while (!*(volatile int *)done)
		leaf(1);
}

int switches(int n)
{
	switch (n) {
	case 0: return leaf(10);
	case 1: return printk("one");
	case 2: return leaf(12) + 1;
	case 3: return printk("three") + 4;
	case 4: return leaf(14) ^ 5;
	case 5: return 6;
	}
	return -1;
}
