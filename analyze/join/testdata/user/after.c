/* Calls what testdata/queue has, from another object file. */
#define noinline __attribute__((noinline, noclone))
struct queue;
int queue_begin(struct queue *q);
void queue_end(struct queue *q);
int own_use(struct queue *q);

noinline int user_use(struct queue *q) { int r = queue_begin(q) + 3; queue_end(q); return r; }
int user_own(struct queue *q) { return own_use(q) + own_use((struct queue *)((char *)q + 16)); }
int (*const user_table[])(struct queue *) = { queue_begin, queue_begin };
int user_picks(struct queue *q, int (**to)(struct queue *)) { *to = queue_begin; return 1; }
