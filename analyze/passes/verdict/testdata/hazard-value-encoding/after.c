// want: KLP401 note xattr_pack
// want: KLP402 note xattr_pack
// cflags: -g
// cflags: -mno-sse
struct entry { unsigned char len; char name[]; };
extern unsigned long strlen(const char *); extern void *memcpy(void *, const void *, unsigned long);
int xattr_pack(struct entry *e, const char *name, int room)
{
	unsigned long n = strlen(name);
	if (n > 255 || (int)n + 1 > room)
		return -34;
	e->len = n - 1;
	memcpy(e->name, name, n);
	return n + 1;
}
