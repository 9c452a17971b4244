struct page { unsigned long flags; int refs; };
unsigned long page_section(struct page *p)
{
	return (p->flags >> 48) & 0xff;
}
