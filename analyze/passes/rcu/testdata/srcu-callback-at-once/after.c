// want: KLP211 error drop
// text: before: gives item_free to call_srcu
// text: leave it to call_srcu
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
	item_free(h);
	if (domain)
		synchronize_srcu(domain);
}
