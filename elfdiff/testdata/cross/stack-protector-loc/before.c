extern int ext(int), __stack_chk_guard;
#define GUARD(x) asm volatile("0: larl %0,__stack_chk_guard\n.pushsection __stack_protector_loc,\"a\"\n.quad 0b\n.popsection" : "=a"(x))
int g(int a) { int *p; GUARD(p); return ext(a + *p); }
int f(int a) { int *p; GUARD(p); return ext(a + *p) + 1; }
