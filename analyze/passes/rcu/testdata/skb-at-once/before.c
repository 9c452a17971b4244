void synchronize_rcu(void);
void sk_skb_reason_drop(void *sk, void *skb, int why);
void drop(void *skb);

void release(void *skb)
{
	synchronize_rcu();
	drop(skb);
}
