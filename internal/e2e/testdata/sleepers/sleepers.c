// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Puts one process to sleep in each of many system calls, then writes the
 * functions that stay on the kernel stack of each task of the system, one task
 * a line, to the file named:
 *
 *	COMM FUNCTION...
 *
 * where the functions are those of /proc/PID/task/TID/stack in all of several
 * looks. Then it ends.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 4, NAME = 64, DEPTH = 32, TASKS = 512 };

struct task {
	int tid, depth, looks;
	char comm[32];
	char frame[DEPTH][NAME];
};

static struct task tasks[TASKS];
static int ntasks;

static void block_pipe(void) { int p[2]; char c; pipe(p); read(p[0], &c, 1); }
static void block_pipe_write(void) { int p[2]; char b[4096] = { 0 }; pipe(p); for (;;) write(p[1], b, sizeof b); }
static void block_pause(void) { pause(); }
static void block_sigsuspend(void) { sigset_t s; sigemptyset(&s); sigsuspend(&s); }
static void block_sigwait(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigprocmask(SIG_BLOCK, &s, 0); sigwaitinfo(&s, 0); }
static void block_nanosleep(void) { struct timespec t = { 1000, 0 }; nanosleep(&t, 0); }
static void block_clock(void) { struct timespec t = { 1000, 0 }; clock_nanosleep(CLOCK_REALTIME, 0, &t, 0); }
static void block_poll(void) { int p[2]; pipe(p); struct pollfd f = { p[0], POLLIN, 0 }; poll(&f, 1, -1); }
static void block_select(void) { int p[2]; pipe(p); fd_set s; FD_ZERO(&s); FD_SET(p[0], &s); select(p[0] + 1, &s, 0, 0, 0); }
static void block_epoll(void) { int p[2], e = epoll_create1(0); pipe(p); struct epoll_event v = { EPOLLIN, { 0 } }; epoll_ctl(e, EPOLL_CTL_ADD, p[0], &v); epoll_wait(e, &v, 1, -1); }
static void block_eventfd(void) { unsigned long long v; read(eventfd(0, 0), &v, 8); }
static void block_timerfd(void) { unsigned long long v; read(timerfd_create(CLOCK_MONOTONIC, 0), &v, 8); }
static void block_signalfd(void) { sigset_t s; char b[128]; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigprocmask(SIG_BLOCK, &s, 0); read(signalfd(-1, &s, 0), b, 128); }
static void block_inotify(void) { char b[1024]; read(inotify_init(), b, sizeof b); }
static void block_futex(void) { int v = 0; syscall(SYS_futex, &v, FUTEX_WAIT, 0, 0, 0, 0); }
static void block_unix(void) { int p[2]; char c; socketpair(AF_UNIX, SOCK_STREAM, 0, p); recv(p[0], &c, 1, 0); }
static void block_dgram(void) { int p[2]; char c; socketpair(AF_UNIX, SOCK_DGRAM, 0, p); recv(p[0], &c, 1, 0); }
static void block_accept_unix(void) { struct sockaddr_un a = { AF_UNIX, "" }; int s = socket(AF_UNIX, SOCK_STREAM, 0); memcpy(a.sun_path, "\0klp", 4); bind(s, (void *)&a, 8); listen(s, 1); accept(s, 0, 0); }
static void block_accept(void) { struct sockaddr_in a = { .sin_family = AF_INET }; int s = socket(AF_INET, SOCK_STREAM, 0); bind(s, (void *)&a, sizeof a); listen(s, 1); accept(s, 0, 0); }
static void block_udp(void) { struct sockaddr_in a = { .sin_family = AF_INET }; char c; int s = socket(AF_INET, SOCK_DGRAM, 0); bind(s, (void *)&a, sizeof a); recv(s, &c, 1, 0); }
static void block_netlink(void) { char c; recv(socket(AF_NETLINK, SOCK_RAW, 0), &c, 1, 0); }
static void block_msgrcv(void) { struct { long t; char c; } m; msgrcv(msgget(IPC_PRIVATE, 0600), &m, 1, 0, 0); }
static void block_semop(void) { struct sembuf b = { 0, -1, 0 }; semop(semget(IPC_PRIVATE, 1, 0600), &b, 1); }
static void block_wait(void) { if (fork() == 0) for (;;) pause(); wait(0); }
static void block_flock(void) { struct flock l = { .l_type = F_WRLCK }; int fd = open("/tmp/lock", O_RDWR | O_CREAT, 0600); if (fork() == 0) { fcntl(fd, F_SETLKW, &l); for (;;) pause(); } sleep(1); fcntl(fd, F_SETLKW, &l); for (;;) pause(); }
static void block_fifo(void) { mkfifo("/tmp/fifo", 0600); open("/tmp/fifo", O_RDONLY); }
static void block_vfork(void) { if (vfork() == 0) for (;;) pause(); }
static void block_kmsg(void) { int fd = open("/dev/kmsg", O_RDONLY); char b[8192]; for (;;) if (read(fd, b, sizeof b) < 0 && errno != EPIPE) break; }
static void block_stop(void) { raise(SIGSTOP); }

static void (*const blockers[])(void) = {
	block_pipe, block_pipe_write, block_pause, block_sigsuspend, block_sigwait, block_nanosleep, block_clock, block_poll, block_select,
	block_epoll, block_eventfd, block_timerfd, block_signalfd, block_inotify, block_futex, block_unix, block_dgram, block_accept_unix,
	block_accept, block_udp, block_netlink, block_msgrcv, block_semop, block_wait, block_flock, block_fifo, block_kmsg, block_stop, block_vfork,
};

/* Keeps of a task's frames those that this look shows again. */
static void look(int pid, int tid, int first)
{
	char path[96], line[256], seen[DEPTH][NAME];
	int n = 0, i, j, k = 0;
	struct task *t = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stack", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return;
	while (n < DEPTH && fgets(line, sizeof line, f)) {
		char *s = strchr(line, ']'), *e;

		if (!s)
			continue;
		for (s++; *s == ' '; s++)
			;
		e = strchr(s, '+');
		if (e) {
			*e = 0;
			snprintf(seen[n++], NAME, "%s", s);
		}
	}
	fclose(f);
	for (i = 0; i < ntasks; i++)
		if (tasks[i].tid == tid)
			t = &tasks[i];
	if (!t && first && ntasks < TASKS) {
		t = &tasks[ntasks++];
		t->tid = tid;
		snprintf(path, sizeof path, "/proc/%d/task/%d/comm", pid, tid);
		f = fopen(path, "r");
		if (f) {
			fgets(t->comm, sizeof t->comm, f);
			fclose(f);
			for (i = 0; t->comm[i]; i++)
				if (isspace((unsigned char)t->comm[i]))
					t->comm[i] = t->comm[i] == '\n' ? 0 : '_';
		}
		memcpy(t->frame, seen, sizeof seen);
		t->depth = n;
		t->looks = 1;
		return;
	}
	if (!t)
		return;
	t->looks++;
	for (i = 0; i < t->depth; i++)
		for (j = 0; j < n; j++)
			if (!strcmp(t->frame[i], seen[j])) {
				memmove(t->frame[k++], t->frame[i], NAME);
				break;
			}
	t->depth = k;
}

static void look_at_all(int first)
{
	DIR *procs = opendir("/proc"), *threads;
	struct dirent *p, *q;
	char path[64];

	while ((p = readdir(procs))) {
		int pid = atoi(p->d_name);

		if (pid <= 0 || pid == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%d/task", pid);
		threads = opendir(path);
		while (threads && (q = readdir(threads)))
			if (atoi(q->d_name) > 0)
				look(pid, atoi(q->d_name), first);
		if (threads)
			closedir(threads);
	}
	closedir(procs);
}

int main(int argc, char **argv)
{
	FILE *out;
	unsigned i;
	int j;

	for (i = 0; i < sizeof blockers / sizeof *blockers; i++)
		if (fork() == 0) {
			setpgid(0, 0);
			blockers[i]();
			for (;;)
				pause();
		}
	sleep(3);
	for (i = 0; i < LOOKS; i++) {
		look_at_all(i == 0);
		sleep(1);
	}
	out = fopen(argv[1], "w");
	for (j = 0; j < ntasks; j++) {
		if (tasks[j].looks != LOOKS)
			continue;
		fprintf(out, "%s", tasks[j].comm);
		for (int k = 0; k < tasks[j].depth; k++)
			fprintf(out, " %s", tasks[j].frame[k]);
		fprintf(out, "\n");
	}
	fclose(out);
	for (j = 0; j < ntasks; j++)
		if (!strcmp(tasks[j].comm, "sleepers"))
			kill(tasks[j].tid, SIGKILL);
	return 0;
}
