#define __sched __attribute__((__section__(".sched.text"), noinline))
extern int ext(int);
__sched static int low(int a) { return ext(a) + 1; }
__sched int f(int a) { return low(a) + ext(a + 5); }
__sched int g(int a) { return low(a) * 2; }
