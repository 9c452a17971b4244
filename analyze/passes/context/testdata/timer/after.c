// want: KLP206 error expire
// text: runs as a timer
struct timer { void *p; };
extern void init_timer_key(struct timer *, void (*)(struct timer *), unsigned, const char *, void *); extern void msleep(unsigned int); extern void tick(struct timer *); extern void *kmalloc_x(void);
static void expire(struct timer *t) { t->p = 0; msleep(10); }
void setup(struct timer *t) { init_timer_key(t, expire, 0, "t", 0); }
