int kernel_level = 4;
/* As the linker script bounds them. */
asm(".pushsection .data..ro_after_init, \"aw\"\n"
    ".globl __start_ro_after_init, kernel_limit, __end_ro_after_init\n"
    "__start_ro_after_init: .long 0\n"
    ".type kernel_limit, @object\n.size kernel_limit, 4\nkernel_limit: .long 3\n"
    "__end_ro_after_init: .long 0\n.popsection");
extern int kernel_limit;
int work(int a) { return a + kernel_level + kernel_limit; }
