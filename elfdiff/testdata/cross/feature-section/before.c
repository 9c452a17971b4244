#define FTR asm volatile("971: nop\n972:\n.pushsection __ftr_alt_97,\"a\"\n.align 2\n973: ori 2,2,0\n974:\n.popsection\n.pushsection __ftr_fixup,\"a\"\n.align 3\n975: .8byte 1\n.8byte 1\n.8byte 971b-975b\n.8byte 972b-975b\n.8byte 973b-975b\n.8byte 974b-975b\n.popsection" : : : "memory")
#define LWSYNC asm volatile("1: lwsync\n.pushsection __lwsync_fixup,\"a\"\n.align 2\n2: .8byte 1b-2b\n.popsection" : : : "memory")
extern int ext(int);
int g(int a) { FTR; LWSYNC; return ext(a); }
int f(int a) { FTR; LWSYNC; return ext(a + 1); }
