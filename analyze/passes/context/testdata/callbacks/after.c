// want: KLP206 error anywhere
// want: KLP206 error cond
// want: KLP206 error everywhere
// want: KLP206 error nmi
// want: KLP206 error percpu
// want: KLP206 error reclaim
// want: KLP206 error stopped
// want: KLP206 error unload
// text: an SRCU callback
// text: an RCU callback
// text: runs in an inter-processor interrupt
// text: runs as an NMI handler
// text: runs in a stopper thread
// Functions that the kernel runs where nothing may sleep, whoever is given them.
struct head { void *p; };
struct srcu { int x; };
void call_srcu(struct srcu *s, struct head *h, void (*func)(struct head *));
void call_rcu_tasks(struct head *h, void (*func)(struct head *));
void smp_call_function(void (*func)(void *), void *info, int wait);
int smp_call_function_any(const void *mask, void (*func)(void *), void *info, int wait);
int request_percpu_nmi(unsigned int irq, int (*handler)(int, void *), const char *name, void *dev);
int request_nmi(unsigned int irq, int (*handler)(int, void *), unsigned long flags, const char *name, void *dev);
int stop_one_cpu(unsigned int cpu, int (*fn)(void *), void *arg);
int on_each_cpu_cond_mask(int (*cond)(int, void *), void (*func)(void *), void *info, int wait, const void *mask);
void note(void *p);
void msleep(unsigned int ms);

static void reclaim(struct head *p)
{
	msleep(10);
}

static void unload(struct head *p)
{
	msleep(10);
}

static void everywhere(void *p)
{
	msleep(10);
}

static void anywhere(void *p)
{
	msleep(10);
}

static int percpu(int irq, void *p)
{
	msleep(10);
	return 0;
}

static int nmi(int irq, void *p)
{
	msleep(10);
	return 0;
}

static int stopped(void *p)
{
	msleep(10);
	return 0;
}

static int cond(int cpu, void *p)
{
	msleep(10);
	return 0;
}

void setup(struct srcu *s, struct head *h)
{
	call_srcu(s, h, reclaim);
	call_rcu_tasks(h, unload);
	smp_call_function(everywhere, h, 1);
	smp_call_function_any(s, anywhere, h, 1);
	request_percpu_nmi(1, percpu, "a", h);
	request_nmi(2, nmi, 0, "b", h);
	stop_one_cpu(3, stopped, h);
	on_each_cpu_cond_mask(cond, everywhere, h, 1, s);
}
