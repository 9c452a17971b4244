extern __seg_gs long stat_hits, stat_misses;
int stat_add(int hit, long n)
{
	if (n < 0)
		return -22;
	if (hit)
		stat_hits += n;
	else
		stat_misses += n;
	return 0;
}
