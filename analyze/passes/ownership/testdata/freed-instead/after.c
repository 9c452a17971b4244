// want: nothing
struct sk_buff { int len; void *dev; }; extern int __dev_queue_xmit(struct sk_buff *, void *); extern void dev_kfree_skb_any_reason(struct sk_buff *, int); extern int pop(struct sk_buff *);
int xmit(struct sk_buff *skb, void *dev) { if (pop(skb)) { dev_kfree_skb_any_reason(skb, 2); return 0; } skb->dev = dev; return __dev_queue_xmit(skb, 0); }
