#include <linux/tiny.h>

const char linux_banner[] = "Linux version 6.1.0-tiny (tiny@host) (gcc version TINY_CC, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.99-1 (2026-01-01)\n";

void __fentry__(void);
__asm__(".globl __fentry__\n.type __fentry__,@function\n__fentry__: ret\n.size __fentry__,.-__fentry__\n");

__attribute__((no_instrument_function)) noinline void _raw_spin_lock(spinlock_t *lock)
{
	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE))
		;
}

__attribute__((no_instrument_function)) noinline void _raw_spin_unlock(spinlock_t *lock)
{
	__atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

/* Not for ftrace: cannot be replaced. */
__attribute__((no_instrument_function)) noinline int hidden_value(int v)
{
	return v ^ 0x55;
}

int hidden_user(int v)
{
	return hidden_value(v) + 1;
}

void start_kernel(void)
{
	for (;;)
		;
}

int klp_enable_patch(void *patch)
{
	return patch ? 0 : -22;
}
