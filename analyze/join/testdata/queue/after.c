#define noinline __attribute__((noinline, noclone))
typedef struct { int v; } spinlock_t;
struct queue { spinlock_t lock; int len; int closed; };
void _raw_spin_lock(spinlock_t *);
void _raw_spin_unlock(spinlock_t *);

/* New, so that what follows has other numbers than before the patch. */
noinline int added(struct queue *q) { return q->closed; }

noinline int queue_begin(struct queue *q) { _raw_spin_lock(&q->lock); return ++q->len; }
noinline void queue_end(struct queue *q) { q->len--; _raw_spin_unlock(&q->lock); }

/* Balanced once it has joined. */
noinline int queue_use(struct queue *q) { int r = queue_begin(q); r *= 3; queue_end(q); return r + 1; }
int queue_user(struct queue *q) { return queue_use(q) + 5; }

/* Not balanced; what calls both is. */
noinline int queue_open(struct queue *q) { return queue_begin(q) + 7; }
noinline int queue_close(struct queue *q) { queue_end(q); return q->closed = 1; }
noinline int queue_session(struct queue *q) { int r = queue_open(q); return r + queue_close(q); }
int queue_sessions(struct queue *q) { return queue_session(q) + 1; }

/* Has run when a livepatch comes. */
__attribute__((section(".init.text"))) int queue_setup(struct queue *q) { int r = queue_begin(q); queue_end(q); return r + 2; }

/* Static, and nobody else's. */
static noinline int own_begin(struct queue *q) { _raw_spin_lock(&q->lock); return q->len += 2; }
noinline int own_use(struct queue *q) { return own_begin(q) * 5; }

/* A lock that it does not keep. */
noinline int peek(struct queue *q) { int n; _raw_spin_lock(&q->lock); n = q->len; _raw_spin_unlock(&q->lock); return n; }
int peeks(struct queue *q) { return peek(q) + peek(q + 1); }

/* Whether they leave other locks held nothing tells that a caller sees. */
int probe(void);
noinline int vague_begin(struct queue *q) { if (probe()) _raw_spin_lock(&q->lock); return ++q->len; }
noinline int vague_end(struct queue *q) { _raw_spin_lock(&q->lock); return --q->len; }
int vague_use(struct queue *q) { int r = vague_begin(q); return r + vague_end(q); }

/* A way of returning that kept a lock is gone: a repaired leak, which nobody relied on. */
noinline int leak(struct queue *q) { _raw_spin_lock(&q->lock); if (q->closed) { _raw_spin_unlock(&q->lock); return 1; } _raw_spin_unlock(&q->lock); return 0; }
int leaks(struct queue *q) { return leak(q) * 9; }

/* Balanced as far as can be seen: an instruction is not known. */
noinline int hooked_use(struct queue *q) { int r = queue_begin(q); queue_end(q); asm volatile(".byte 0x06"); return r - 1; }
int hooked_user(struct queue *q) { return hooked_use(q) - 5; }
