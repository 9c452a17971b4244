struct quota { int used, limit; };
int quota_take(struct quota *q, int n)
{
	if ((unsigned)n > 64)
		return -22;
	q->used += n;
	return 0;
}
