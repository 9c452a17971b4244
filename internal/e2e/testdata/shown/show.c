// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What hazards look like to a program. Each run does one thing, prints one line, and is
 * over within SECONDS:
 *
 *	show wait FILE	leaves a process behind that waits for the futex in a mapped file
 *	show wake FILE	wakes one, and tells how many there were
 *	show event	a reader waits for an eventfd, which the kernel signals
 *	show send	sends itself a packet through the loopback device
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 20, TRIES = 100, TICK = 50 * 1000 };

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

/* word is the futex of a file, whose key names the file and no address space. */
static uint32_t *word(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	void *at;

	must(fd >= 0 && ftruncate(fd, 4096) == 0, file);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED, "mmap");
	return at;
}

/* sleeps waits until a process sleeps in the kernel's function of that name. */
static void sleeps(pid_t pid, const char *function)
{
	char path[64], where[128];
	int tries, fd;
	ssize_t got;

	snprintf(path, sizeof path, "/proc/%d/wchan", pid);
	for (tries = 0; tries < TRIES; tries++) {
		fd = open(path, O_RDONLY);
		must(fd >= 0, path);
		got = read(fd, where, sizeof where - 1);
		close(fd);
		where[got > 0 ? got : 0] = 0;
		if (!strcmp(where, function))
			return;
		usleep(TICK);
	}
	printf("sleeps in %s, not in %s\n", where, function);
	exit(1);
}

static void wait_futex(const char *file)
{
	uint32_t *futex = word(file);
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (!pid) {
		/* Nobody waits for this one: it must not hold the output open. */
		close(0), close(1), close(2);
		syscall(SYS_futex, futex, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(0);
	}
	sleeps(pid, "futex_wait_queue");
	puts("waits");
}

static void wake_futex(const char *file)
{
	printf("woken %ld\n", syscall(SYS_futex, word(file), FUTEX_WAKE, 1, NULL, NULL, 0));
}

/*
 * The reader, which has a higher priority than who signals and shares a processor with it,
 * runs as soon as it is woken and the kernel may preempt: with preempt=full, in the unlock.
 */
static void signal_event(void)
{
	static char buffer[512] __attribute__((aligned(512)));
	struct sched_param high = { .sched_priority = 10 };
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_nbytes = sizeof buffer, .aio_flags = IOCB_FLAG_RESFD };
	struct iocb *list[] = { &cb };
	aio_context_t ctx = 0;
	cpu_set_t first;
	uint64_t count = 0;
	int tries, fd = open("/show-file", O_RDWR | O_CREAT, 0600), event = eventfd(0, 0);
	pid_t pid;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(fd >= 0 && event >= 0 && write(fd, buffer, sizeof buffer) == sizeof buffer, "file");
	must(!sched_setaffinity(0, sizeof first, &first), "sched_setaffinity");
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		must(!sched_setscheduler(0, SCHED_FIFO, &high), "sched_setscheduler");
		_exit(read(event, &count, sizeof count) != sizeof count || count != 1);
	}
	sleeps(pid, "eventfd_read");
	cb.aio_fildes = fd;
	cb.aio_buf = (uintptr_t)buffer;
	cb.aio_resfd = event;
	must(!syscall(SYS_io_setup, 1, &ctx), "io_setup");
	must(syscall(SYS_io_submit, ctx, 1, list) == 1, "io_submit");
	for (tries = 0; tries < TRIES; tries++) {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid) {
			printf("the reader got %s\n", status ? "nothing" : "the event");
			return;
		}
		usleep(TICK);
	}
	struct pollfd ready = { .fd = event, .events = POLLIN };

	printf("the reader sleeps, %s\n", poll(&ready, 1, 0) == 1 ? "the event is there" : "there is no event");
	kill(pid, 9);
}

static void send_packet(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct timeval limit = { .tv_sec = SECONDS / 2 };
	socklen_t len = sizeof to;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	char c = 1;

	must(s >= 0 && !ioctl(s, SIOCSIFFLAGS, &lo), "lo");
	must(!bind(s, (void *)&to, sizeof to) && !getsockname(s, (void *)&to, &len), "bind");
	must(!setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt");
	must(sendto(s, &c, 1, 0, (void *)&to, sizeof to) == 1, "sendto");
	must(recv(s, &c, 1, 0) == 1, "recv");
	puts("received");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	alarm(SECONDS);
	if (!strcmp(what, "wait") && argc == 3)
		wait_futex(argv[2]);
	else if (!strcmp(what, "wake") && argc == 3)
		wake_futex(argv[2]);
	else if (!strcmp(what, "event"))
		signal_event();
	else if (!strcmp(what, "send"))
		send_packet();
	else
		return 2;
	return 0;
}
