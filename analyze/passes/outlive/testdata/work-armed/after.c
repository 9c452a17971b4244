// want: KLP215 warning bump_item
// text: given to queue_work_on: a queue of work keeps it
struct work { long data; struct work *next, *prev; void (*func)(struct work *); };
struct timer { struct timer *next, **prev; unsigned long expires; void (*function)(struct timer *); };
extern void *system_wq; extern int count, gone;
extern int queue_work_on(int, void *, struct work *); extern int mod_timer(struct timer *, unsigned long); extern int flush_work(struct work *);
static void bump_work(struct work *w) { gone++; }
static struct work bump_item = { .func = bump_work };
void bump(void) { count++; queue_work_on(64, system_wq, &bump_item); }
