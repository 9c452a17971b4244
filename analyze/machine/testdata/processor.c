// Runs single instructions for TestProcessor and tells what they changed.
//
// Batches of requests come on stdin, answers go to stdout. The
// instruction runs in a page of its own between two stubs that load and store
// all general registers and the flags. Faults are caught. Before the first
// request the process gives up every system call but those to go on.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <asm/prctl.h>

#define CODE    0x30000000ul
#define SCRATCH 0x31000000ul // 8 KiB, nothing around it
#define CONTEXT 0x33000000ul
#define SIZE    8192

struct request {
	uint8_t code[16];
	uint32_t len, nkept;
	uint64_t regs[16], flags;
	uint64_t seed, other; // of memory within the kept ranges, and elsewhere
	uint64_t vectors;     // of the vector registers
	uint32_t kept[4][2];  // offset and length in the scratch area
};

struct answer {
	uint32_t signal, nchanged;
	uint64_t regs[16], flags;
	struct { uint16_t off, value; } changed[1024]; // the first nchanged are sent
};

// context is at CONTEXT; the stubs know its layout.
struct context {
	uint64_t in[16], flags;      // 0, 128
	uint64_t out[16], outflags;  // 136, 264
	uint64_t stack, go;          // 272, 280
	uint64_t pad[28];
	uint64_t vectors[16][2];     // 512
	uint64_t state[1024] __attribute__((aligned(64))); // 768, for XRSTOR
};

extern void run(void), back(void);
asm(".text\n"
    "run:\n"
    " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp, 0x33000000+272\n"
    // All vector and x87 state to its start, then something into the lower vectors; memory protection keys stay.
    " mov $0xfffffdff, %eax\n xor %edx, %edx\n xrstor64 0x33000000+768\n"
    " movdqu 0x33000000+512, %xmm0\n movdqu 0x33000000+528, %xmm1\n movdqu 0x33000000+544, %xmm2\n movdqu 0x33000000+560, %xmm3\n"
    " pushq 0x33000000+128\n popfq\n"
    " mov 0x33000000+0, %rax\n mov 0x33000000+8, %rcx\n mov 0x33000000+16, %rdx\n mov 0x33000000+24, %rbx\n"
    " mov 0x33000000+40, %rbp\n mov 0x33000000+48, %rsi\n mov 0x33000000+56, %rdi\n"
    " mov 0x33000000+64, %r8\n mov 0x33000000+72, %r9\n mov 0x33000000+80, %r10\n mov 0x33000000+88, %r11\n"
    " mov 0x33000000+96, %r12\n mov 0x33000000+104, %r13\n mov 0x33000000+112, %r14\n mov 0x33000000+120, %r15\n"
    " mov 0x33000000+32, %rsp\n"
    " jmp *0x33000000+280\n"
    "back:\n"
    " mov %rax, 0x33000000+136\n mov %rcx, 0x33000000+144\n mov %rdx, 0x33000000+152\n mov %rbx, 0x33000000+160\n"
    " mov %rsp, 0x33000000+168\n mov %rbp, 0x33000000+176\n mov %rsi, 0x33000000+184\n mov %rdi, 0x33000000+192\n"
    " mov %r8, 0x33000000+200\n mov %r9, 0x33000000+208\n mov %r10, 0x33000000+216\n mov %r11, 0x33000000+224\n"
    " mov %r12, 0x33000000+232\n mov %r13, 0x33000000+240\n mov %r14, 0x33000000+248\n mov %r15, 0x33000000+256\n"
    " mov 0x33000000+272, %rsp\n"
    " pushfq\n popq 0x33000000+264\n pushq $0x202\n popfq\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    " ret\n");

static sigjmp_buf fault;

static void caught(int sig)
{
	siglongjmp(fault, sig);
}

static uint64_t word(uint64_t seed, uint64_t i)
{
	if (!seed)
		return 0;
	uint64_t z = seed + i * 0x9e3779b97f4a7c15ul;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return z ^ (z >> 31);
}

static void check(int bad, const char *what)
{
	if (bad) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(3);
	}
}

static void area(unsigned long at, size_t size, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	check(p != (void *)at, "mmap");
}

static void confine(void)
{
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_exit_group), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { sizeof f / sizeof *f, f };
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), "seccomp");
}

static int all(int fd, void *p, size_t n, int out)
{
	for (char *c = p; n;) {
		ssize_t k = out ? write(fd, c, n) : read(fd, c, n);
		if (k <= 0)
			return 0;
		c += k;
		n -= k;
	}
	return 1;
}

static uint64_t before[SIZE / 8];
static struct request batch[64];
static struct answer a;
static char out[sizeof batch / sizeof *batch * sizeof a];

int main(void)
{
	uint64_t *scratch = (void *)SCRATCH;
	struct context *ctx = (void *)CONTEXT;
	struct rlimit cpu = { 300, 300 };
	cpu_set_t one;

	area(CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	area(SCRATCH, SIZE, PROT_READ | PROT_WRITE);
	area(CONTEXT, 16384, PROT_READ | PROT_WRITE);
	check(setrlimit(RLIMIT_CPU, &cpu), "rlimit");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one); // some instructions tell where they run
	check(sched_setaffinity(0, sizeof one, &one), "affinity");
	check(syscall(SYS_arch_prctl, ARCH_SET_GS, SCRATCH), "gs");

	static char stack[65536];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof stack };
	check(sigaltstack(&alt, NULL), "sigaltstack");
	struct sigaction act = { .sa_handler = caught, .sa_flags = SA_ONSTACK | SA_NODEFER };
	int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		check(sigaction(signals[i], &act, NULL), "sigaction");
	confine();

	uint32_t count, done = 0;
	size_t filled = 0;
	while (done || all(0, &count, sizeof count, 0)) {
		if (!done && (count == 0 || count > 64 || !all(0, batch, count * sizeof *batch, 0)))
			return 1;
		struct request q = batch[done];
		uint8_t *c = (void *)CODE;
		memcpy(c, q.code, q.len);
		c[q.len] = 0xff, c[q.len + 1] = 0x25; // jmp *0(%rip)
		memset(c + q.len + 2, 0, 4);
		uint64_t to = (uint64_t)back;
		memcpy(c + q.len + 6, &to, 8);

		for (uint64_t i = 0; i < SIZE / 8; i++)
			scratch[i] = word(q.other, i);
		for (uint32_t k = 0; k < q.nkept && k < 4; k++)
			for (uint32_t o = q.kept[k][0]; o < q.kept[k][0] + q.kept[k][1] && o < SIZE; o++)
				((uint8_t *)scratch)[o] = word(q.seed, o / 8) >> (o % 8 * 8);
		memcpy(before, scratch, SIZE);

		memcpy(ctx->in, q.regs, sizeof ctx->in);
		ctx->flags = q.flags;
		for (int i = 0; i < 32; i++)
			ctx->vectors[i / 2][i % 2] = word(q.vectors, i);
		((uint32_t *)ctx->state)[6] = 0x1f80; // MXCSR
		ctx->go = CODE;
		memset(&a, 0, offsetof(struct answer, changed));
		a.signal = sigsetjmp(fault, 0);
		if (!a.signal) {
			run();
			memcpy(a.regs, ctx->out, sizeof a.regs);
			a.flags = ctx->outflags;
		}
		asm volatile("cld; emms");
		for (uint64_t i = 0; i < SIZE / 8; i++)
			if (scratch[i] != before[i])
				for (int b = 0; b < 8; b++)
					if ((scratch[i] ^ before[i]) >> (8 * b) & 0xff && a.nchanged < 1024) {
						a.changed[a.nchanged].off = i * 8 + b;
						a.changed[a.nchanged++].value = scratch[i] >> (8 * b) & 0xff;
					}
		size_t n = offsetof(struct answer, changed) + a.nchanged * sizeof *a.changed;
		memcpy(out + filled, &a, n);
		filled += n;
		if (++done == count) {
			if (!all(1, out, filled, 1))
				return 1;
			done = filled = 0;
		}
	}
	return 0;
}
