// want: KLP211 error release
void synchronize_rcu(void);
void __folio_put(void *folio);
void drop(void *folio);

void release(void *folio)
{
	__folio_put(folio);
}
