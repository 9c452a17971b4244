typedef struct { int v; } spinlock_t; struct ctx; extern void fput(struct ctx *); extern int may_signal(void); extern void *queue; extern int queue_work_on(int, void *, void *);
struct work { unsigned long data; void (*func)(struct work *); }; struct request { struct work work; struct ctx *event; int result; };
static inline __attribute__((always_inline)) void request_put(struct request *r) { if (r->event) fput(r->event); }
static void put_later(struct work *w) { request_put((struct request *)w); }
void wake(struct request *r) { r->result = 1; if (r->event && !may_signal()) { r->work.func = put_later; queue_work_on(0, queue, &r->work); return; } request_put(r); }
