// want: KLP211 error release
void synchronize_rcu(void);
void sk_skb_reason_drop(void *sk, void *skb, int why);
void drop(void *skb);

void release(void *skb)
{
	sk_skb_reason_drop(0, skb, 1);
}
