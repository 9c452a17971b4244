// want: KLP207 warning packet
// want: KLP207 warning page
// want: KLP207 warning pages
// want: KLP207 warning percpu
// text: before: it gives up argument 1
// Memory that is given back by other functions than kfree.
void free_percpu(void *p);
void free_pages(unsigned long addr, unsigned int order);
void __free_pages(void *page, unsigned int order);
void sk_skb_reason_drop(void *sk, void *skb, int why);
int use(void *p);

void percpu(void *p)
{
	use(p);
}

void pages(unsigned long addr)
{
	use((void *)addr);
}

void page(void *p)
{
	use(p);
}

void packet(void *sk, void *skb)
{
	use(sk);
}
