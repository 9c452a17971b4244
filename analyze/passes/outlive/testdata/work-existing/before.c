struct work { long data; struct work *next, *prev; void (*func)(struct work *); };
struct timer { struct timer *next, **prev; unsigned long expires; void (*function)(struct timer *); };
extern void *system_wq; extern int count, gone;
extern int queue_work_on(int, void *, struct work *); extern int mod_timer(struct timer *, unsigned long); extern int flush_work(struct work *);
static void old_work(struct work *w) { gone++; }
static struct work old_item = { .func = old_work };
void other(void) { queue_work_on(64, system_wq, &old_item); }
void bump(void) { count++; }
