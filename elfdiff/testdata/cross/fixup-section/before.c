// only: arm64 ppc64le s390x
// Fixups of all functions lie in one section without symbols, up to v5.15.
extern int ext(int);
#if defined(__aarch64__)
#define LOAD(err, p, no) asm volatile("1: ldr %w0, [%1]\n2:\n.pushsection .fixup,\"ax\"\n.balign 4\n3: mov %w0, #" #no "\n b 2b\n.popsection\n.pushsection __ex_table,\"a\"\n.balign 8\n.long 1b - ., 3b - .\n.popsection" : "=&r"(err) : "r"(p))
#elif defined(__powerpc64__)
#define LOAD(err, p, no) asm volatile("1: lwz %0, 0(%1)\n2:\n.pushsection .fixup,\"ax\"\n.balign 4\n3: li %0, " #no "\n b 2b\n.popsection\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - ., 3b - .\n.popsection" : "=&r"(err) : "b"(p))
#else
#define LOAD(err, p, no) asm volatile("1: l %0, 0(%1)\n2:\n.pushsection .fixup,\"ax\"\n3: lhi %0, " #no "\n jg 2b\n.popsection\n.pushsection __ex_table,\"a\"\n.balign 8\n.long 1b - ., 3b - .\n.quad 0\n.popsection" : "=&d"(err) : "a"(p))
#endif
int e(int *p) { int err; LOAD(err, p, 5); return ext(err); }
int f(int *p) { int err; LOAD(err, p, 14); return ext(err + 1); }
int g(int *p) { int err; LOAD(err, p, 22); return ext(err + 3); }
