// want: KLP215 warning bump_timer
// text: given to mod_timer: a timer keeps it
struct work { long data; struct work *next, *prev; void (*func)(struct work *); };
struct timer { struct timer *next, **prev; unsigned long expires; void (*function)(struct timer *); };
extern void *system_wq; extern int count, gone;
extern int queue_work_on(int, void *, struct work *); extern int mod_timer(struct timer *, unsigned long); extern int flush_work(struct work *);
static void bump_late(struct timer *t) { gone++; }
static struct timer bump_timer = { .function = bump_late };
void bump(void) { count++; mod_timer(&bump_timer, 100); }
