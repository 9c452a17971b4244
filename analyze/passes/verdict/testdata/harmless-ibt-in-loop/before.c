struct iov { void *base; unsigned long len; }; extern unsigned long task_limit;
long iov_check(const struct iov *v, int n)
{
	unsigned long total = 0;
	int i;
	if (n > 1024)
		return -22;
	for (i = 0; i < n; i++) {
		if (v[i].len > task_limit)
			return -14;
		total += v[i].len;
	}
	return total;
}
