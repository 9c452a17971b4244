// want: KLP401 note page_section
// want: KLP402 note page_section
// cflags: -g
// cflags: -mno-sse
struct page { unsigned long flags; int refs; };
unsigned long page_section(struct page *p)
{
	return (p->flags >> 48) & 0x1ff;
}
