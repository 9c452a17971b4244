void synchronize_rcu(void);
void __folio_put(void *folio);
void drop(void *folio);

void release(void *folio)
{
	synchronize_rcu();
	drop(folio);
}
