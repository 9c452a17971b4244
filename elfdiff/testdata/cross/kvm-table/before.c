extern int ext(int);
#define AT(fixup) asm volatile("1: mrs x0, elr_el1\n2:\n.pushsection __kvm_ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.popsection" : : : "x0", "memory")
int f(int a) { AT(); return ext(a) + 1; }
int g(int a) { AT(); return ext(a) + 3; }
