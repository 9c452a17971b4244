/* Code for arm64 that refers to functions, strings, variables and constants, by calls, jumps, and
 * addresses in two instructions. */
extern int printk(const char *, ...);
extern int outside(int);
extern long counter;

static int state;
static int first, second;
int shared = 3;

__attribute__((noinline)) static int helper(int x)
{
	state += x;
	return printk("state %d\n", state);
}

int caller(int x)
{
	if (x & 1)
		return helper(x) + outside(x);
	return outside(x + shared);
}

int tail(int x)
{
	counter++;
	return outside(x);
}

int loop(int *p, int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++)
		if (p[i] != 7)
			sum += outside(p[i]);
	return sum;
}

/* With all data in one section the compiler reaches both over one address. */
int anchored(int x)
{
	first += x;
	second -= x;
	return first ^ second;
}

/* Both have a variable of one name, and one of the other's. */
int counting(int x)
{
	static int calls, total;

	calls++;
	total += x;
	return total / calls;
}

struct nothing { };
extern void use(struct nothing *);

int summing(int x)
{
	static int calls, total = 7;
	static struct nothing key; /* at the address of another, as keys of lockdep are */

	use(&key);
	calls += 2;
	total ^= x;
	return total + calls;
}
