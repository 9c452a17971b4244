// only: s390x
// The replacement alone changes. Entries of v5.10 have its length as well.
#define ALT(new) asm volatile(".pushsection .altinstr_replacement,\"ax\"\n6641: " new "\n6651:\n.popsection\n661: nopr %%r5\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 6641b - .\n.word 81\n.byte 662b-661b\n.byte 6651b-6641b\n.popsection" : : : "memory")
extern int ext(int);
int f(int a) { ALT("nopr %%r7"); return ext(a); }
int g(int a) { ALT("nopr %%r7"); return ext(a + 1); }
