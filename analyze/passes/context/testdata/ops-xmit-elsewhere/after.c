// want: KLP206 error helper
// text: my_xmit runs with bottom halves disabled (net_device_ops.ndo_start_xmit, include/linux/netdevice.h)
// cflags: -gbtf
struct sk_buff { int len; void *head; }; struct net_device { void *priv; };
struct net_device_ops { int (*ndo_open)(struct net_device *); int (*ndo_start_xmit)(struct sk_buff *, struct net_device *); };
struct bio { struct bio *next; int status; void (*bi_end_io)(struct bio *); };
extern void *__kmalloc(unsigned long, unsigned int); extern void kfree(const void *); extern void msleep(unsigned int);
extern int submit(struct bio *); int helper(struct sk_buff *);
int helper(struct sk_buff *skb) { msleep(skb->len); return skb->len * 3; }
