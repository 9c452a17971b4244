struct q { int depth, max, frozen; }; extern int enqueue(struct q *, void *);
int queue_try(struct q *q, void *rq)
{
	if (q->depth >= q->max)
		return -16;
	return enqueue(q, rq);
}
