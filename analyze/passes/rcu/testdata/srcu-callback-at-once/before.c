struct head { void *p; };
void call_srcu(void *domain, struct head *h, void (*func)(struct head *));
void synchronize_srcu(void *domain);
void kfree(const void *p);

__attribute__((noinline)) static void item_free(struct head *h)
{
	kfree(h->p);
	kfree(h);
}

void drop(void *domain, struct head *h)
{
	call_srcu(domain, h, item_free);
}
