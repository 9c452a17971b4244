// Memory that is given back by other functions than kfree.
void free_percpu(void *p);
void free_pages(unsigned long addr, unsigned int order);
void __free_pages(void *page, unsigned int order);
void sk_skb_reason_drop(void *sk, void *skb, int why);
int use(void *p);

void percpu(void *p)
{
	use(p);
	free_percpu(p);
}

void pages(unsigned long addr)
{
	use((void *)addr);
	free_pages(addr, 2);
}

void page(void *p)
{
	use(p);
	__free_pages(p, 0);
}

void packet(void *sk, void *skb)
{
	use(sk);
	sk_skb_reason_drop(sk, skb, 1);
}
