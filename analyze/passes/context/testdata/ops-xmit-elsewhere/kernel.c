struct sk_buff { int len; void *head; }; struct net_device { void *priv; };
struct net_device_ops { int (*ndo_open)(struct net_device *); int (*ndo_start_xmit)(struct sk_buff *, struct net_device *); };
struct bio { struct bio *next; int status; void (*bi_end_io)(struct bio *); };
extern void *__kmalloc(unsigned long, unsigned int); extern void kfree(const void *); extern void msleep(unsigned int);
extern int submit(struct bio *); int helper(struct sk_buff *);
int __attribute__((noinline)) helper(struct sk_buff *skb) { return *(volatile int *)&skb->len * 3; }
static int my_xmit(struct sk_buff *skb, struct net_device *dev) { return helper(skb) + skb->len; }
static int my_open(struct net_device *dev) { return dev->priv != 0; }
const struct net_device_ops my_ops = { .ndo_open = my_open, .ndo_start_xmit = my_xmit };
static void my_end(struct bio *bio) { bio->status++; }
int my_submit(struct bio *bio) { bio->bi_end_io = my_end; return submit(bio); }
