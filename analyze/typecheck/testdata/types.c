// Types of a kernel, and of objects that are compiled for it. KERNEL makes the kernel's
// side; OTHER an object from another source; without either it is an object that fits.

#ifdef OTHER
#define IF(other, same) other
#else
#define IF(other, same) same
#endif

enum mode { MODE_A, MODE_B = IF(6, 5), MODE_NEG = -1 };
enum wide { WIDE_BIG = 0x100000001ull, WIDE_ONE = 1 };
enum { ANON_ONE = 1, ANON_TWO = IF(3, 2) };

typedef struct { int counter; } count_t;
typedef struct { IF(long, int) v; } changed_t;

struct opaque;

struct plain {
	IF(long first, int second);
	IF(int second, long first);
	char name[IF(16, 8)];
	count_t refs;
	_Bool flag;
	struct plain *next;
};

struct bits {
	unsigned a : IF(4, 3);
	unsigned b : 5;
	unsigned long c : 33;
};

struct anon {
	union {
		int x;
		struct { short lo, hi; };
	};
	struct { int i; IF(char, short) s; } list[2];
	struct { int p; IF(long, int) q; } named;
	int tail;
};

struct leads {
	IF(struct bits, struct plain) *to;
	struct opaque *hidden;
	int (*call)(struct plain *, IF(long, int));
	unsigned IF(int, char) sized;
	const volatile int *both;
};

struct shape {
	int m[2][3];
	int none[0];
	int rest[];
};

union all { int i; long l[IF(3, 2)]; };

struct same { int a, b; struct anon *p; enum mode mode; enum wide wide; };

#ifdef KERNEL
int callee(struct plain *p, unsigned long flags) { return p->second + flags; }
int returns(struct plain *p) { return p->second; }
void takes(struct plain *p) { p->second = 0; }
int variadic(const char *fmt, ...) { return *fmt; }
int fits(const struct plain *p, enum mode m) { return p->second + m; }
void assembled(void) {} // what the assembler says of any function of its own
#else
#ifdef OTHER
extern int callee(struct plain *p, unsigned long flags, int more);
#else
extern int callee(struct plain *p, unsigned long flags);
#endif
extern IF(long, int) returns(struct plain *p);
extern void takes(struct IF(bits, plain) *p);
extern int variadic(const char *fmt, ...);
extern int fits(const struct plain *p, enum mode m);
extern void *assembled(void *to, void *from);
struct only_here { int a; };
struct only_here *here;
#endif

struct bits *bits;
struct leads *leads;
struct shape *shape;
union all *all;
struct same *same;
changed_t *changed;

int use(struct plain *p, struct anon *a)
{
#ifndef KERNEL
#ifdef OTHER
	callee(p, 1, 2);
	takes(bits);
#else
	callee(p, 1);
	takes(p);
#endif
	variadic("", 1);
	assembled(p, a);
	fits(p, MODE_A);
	if (returns(p))
		return here->a;
#endif
	return p->name[0] + a->named.p + ANON_ONE + ANON_TWO + MODE_B;
}
