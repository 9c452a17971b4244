/* A bit of everything an object can hold. */
extern int printk(const char *fmt, ...);
extern int other;
int common_like;
static int counter = 3;
static const int table[4] = { 1, 2, 3, 4 };
int (*const ops[])(const char *, ...) = { printk };
static __thread int tls;

__attribute__((noinline)) static int helper(int i)
{
	return table[i & 3] + counter++;
}

__attribute__((section(".bundle.text"))) int bundled(int i)
{
	return helper(i) + tls;
}

__attribute__((weak, alias("bundled"))) int aliased(int i);

__attribute__((cold)) void unlikely(void)
{
	printk("cold %d\n", other);
}

int f(int i)
{
	static int calls;

	if (i < 0)
		unlikely();
	return printk("f %d\n", helper(i) + ++calls + common_like);
}

asm(".pushsection .zero,\"aw\",@nobits\nzeroes: .zero 4096\n.size zeroes, 4096\n.popsection\n"
    ".set absolute, 0x1234\n.globl absolute\n"
    ".pushsection .order,\"ao\",@progbits,.text.f\n.quad 0\n.popsection\n");
