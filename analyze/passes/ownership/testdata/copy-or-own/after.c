// want: KLP207 unknown xmit
// text: frees arg0 by consume_skb: never before, once after; a place deals with it or with another object, as paths have it
struct sk_buff { int len, shared; };
extern void kfree_skb_reason(struct sk_buff *, int);
extern void consume_skb(struct sk_buff *);
extern struct sk_buff *skb_copy(const struct sk_buff *, int);
extern int out(struct sk_buff *);

int xmit(struct sk_buff *skb)
{
	if (skb->shared) {
		struct sk_buff *copy = skb_copy(skb, 0);

		if (copy)
			consume_skb(skb);
		else
			kfree_skb_reason(skb, 1);
		skb = copy;
	}
	if (!skb)
		return 2;
	if (skb->len > 4)
		return out(skb);
	kfree_skb_reason(skb, 1);
	return 0;
}
