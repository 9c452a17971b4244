/*
 * Before and, with AFTER, after a patch. Every function that takes one int and
 * returns one is called by execute_test.go, cut out and as a whole.
 */
#ifdef AFTER
#define CHANGED(old, new) (new)
#else
#define CHANGED(old, new) (old)
#endif
#define noinline __attribute__((noipa))

extern int outside(int v);
extern long outside_table[8];
extern void report(const char *text, long v) __attribute__((cold));

static int state = 3;
static int counts[4] = { 1, 2, 3, 4 };
int shared = 7;
static const int primes[8] = { 2, 3, 5, 7, 11, 13, 17, 19 };
static const char *const names[4] = { "zero", "one", "two", "three" };

static noinline int helper(int v)
{
	return v * 3 + state;
}

static noinline int other_helper(int v)
{
	return v * 5 - shared;
}

/* Constants, data that stays, calls of what stays. */
int plain(int v)
{
	return helper(v) + CHANGED(1, 1000) + counts[v & 3];
}

/* Strings, also in the middle of one another. */
int strings(int v)
{
	const char *s = v & 1 ? CHANGED("left", "a longer left") : "longer left";
	int n = 0;

	if (v & 4)
		s = "hello, world" + 7;
	while (*s)
		n = n * 31 + *s++;
	return n + names[v & 3][0];
}

/* A table of jumps, or of values. */
int cases(int v)
{
	switch (v & 15) {
	case 0: return outside(v);
	case 1: return helper(v) + 1;
	case 2: return other_helper(v) * 2;
	case 3: return v * v + CHANGED(3, 33);
	case 4: report("four", v); return 4;
	case 5: return counts[1] + v;
	case 6: return state - v;
	case 7: return shared ^ v;
	case 8: return (int)outside_table[3] + v;
	case 9: return primes[v & 7];
	default: return CHANGED(-1, -77);
	}
}

/* Addresses with offsets, of this object and of others. */
int offsets(int v)
{
	return counts[2] + (int)outside_table[5] + primes[6] + CHANGED(0, (int)outside_table[6] + counts[3]) + v;
}

/* A part for seldom cases, which gcc puts elsewhere. */
int seldom(int v)
{
	if (__builtin_expect(v > 20, 0)) {
		report("large", v);
		state += CHANGED(0, 1);
		report("larger", state);
		state -= CHANGED(0, 1);
		return outside(v) - 20;
	}
	return v + CHANGED(5, 50);
}

/* A new function, a new variable, new constants; they know each other. */
#ifdef AFTER
static int fresh[4] = { 10, 20, 30, 40 };
static const int fresh_primes[4] = { 23, 29, 31, 37 };
static noinline int fresh_helper(int v)
{
	fresh[v & 3]++;
	return fresh[v & 3] + fresh_primes[(v + 1) & 3] + helper(v);
}
static int (*const fresh_calls[2])(int) = { fresh_helper, other_helper };
#endif

int with_new(int v)
{
#ifdef AFTER
	return fresh_helper(v) + fresh_calls[v & 1](v);
#else
	return helper(v);
#endif
}

/* The address of a function that changes, too, is the original's. */
noinline int target(int v)
{
	return v + CHANGED(1, 2);
}

int recursive(int v)
{
	return v <= 0 ? CHANGED(0, 9) : recursive(v - 1) + v;
}

int tail(int v)
{
	return v > CHANGED(100, 3) ? other_helper(v) : helper(v);
}

int in_loops(int v)
{
	int sum = 0;

	for (int i = 0; i < 8; i++)
		sum += primes[i] * (int)outside_table[i] + CHANGED(0, i);
	return sum + v;
}

/* Where things are: the same for old and new code. */
const void *where(int what)
{
	static int local;

	switch (what) {
	case 0: return &state;
	case 1: return &counts[CHANGED(1, 2)];
	case 2: return &shared;
	case 3: return (const void *)target;
	case 4: return (const void *)helper;
	case 5: return &outside_table[CHANGED(1, 2)];
	case 6: return &local;
	}
	return 0;
}
