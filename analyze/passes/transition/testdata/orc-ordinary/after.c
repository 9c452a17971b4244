// want: nothing
// orc: yes
void work(void *buf);
extern int limit;

int __attribute__((section(".text.shared"))) first(void *buf)
{
	return limit;
}

/* Its entry state is that of the code before it, so that it has no entry. */
int __attribute__((section(".text.shared"))) second(void *buf)
{
	return limit + 2;
}

void ordinary(void *buf)
{
	work(buf + 2);
	limit++;
}
