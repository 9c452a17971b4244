extern int ext(int), warn(void *, ...);
#define ENTRY(entry, format, line) asm volatile("0: larl %0,1f\n.pushsection .rodata.str,\"aMS\",@progbits,1\n3: .asciz \"" format "\"\n4: .asciz \"fs/file.c\"\n.popsection\n.pushsection __bug_table,\"aw\"\n.balign 4\n1: .long 0b - .\n.long 3b - .\n.long 4b - .\n.short %1\n.short 1\n.popsection" : "=d"(entry) : "i"(line))
int f(int a) { void *entry; return ext(a + 1); }
int g(int a) { void *entry; ENTRY(entry, "one", 7); return warn(entry, a); }
int h(int a) { void *entry; ENTRY(entry, "two", 8); return warn(entry, a); }
