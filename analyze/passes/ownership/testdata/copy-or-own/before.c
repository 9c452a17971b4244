struct sk_buff { int len, shared; };
extern void kfree_skb_reason(struct sk_buff *, int);
extern void consume_skb(struct sk_buff *);
extern struct sk_buff *skb_copy(const struct sk_buff *, int);
extern int out(struct sk_buff *);

int xmit(struct sk_buff *skb)
{
	if (skb->len > 4)
		return out(skb);
	kfree_skb_reason(skb, 1);
	return 0;
}
