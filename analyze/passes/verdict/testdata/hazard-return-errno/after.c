// want: KLP401 note queue_try
// want: KLP402 note queue_try
// cflags: -g
// cflags: -mno-sse
struct q { int depth, max, frozen; }; extern int enqueue(struct q *, void *);
int queue_try(struct q *q, void *rq)
{
	if (q->depth >= q->max)
		return -16;
	if (q->frozen)
		return -517;
	return enqueue(q, rq);
}
