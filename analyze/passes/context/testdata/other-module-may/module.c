struct sk_buff { int len; void *head; }; struct net_device { void *priv; };
struct net_device_ops { int (*ndo_open)(struct net_device *); int (*ndo_start_xmit)(struct sk_buff *, struct net_device *); };
extern void *__kmalloc(unsigned long, unsigned int); extern int helper(struct sk_buff *);
extern int lib_xmit(struct sk_buff *, struct net_device *); extern int lib_open(struct net_device *);
int touch(struct sk_buff *skb, struct net_device *dev) { return lib_xmit(skb, dev) + 1; }
const struct net_device_ops mod_ops = { .ndo_open = lib_open, .ndo_start_xmit = lib_xmit };
