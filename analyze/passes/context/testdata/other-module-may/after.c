// want: nothing
// cflags: -gbtf
// cflags: -mno-sse
struct sk_buff { int len; void *head; }; struct net_device { void *priv; };
struct net_device_ops { int (*ndo_open)(struct net_device *); int (*ndo_start_xmit)(struct sk_buff *, struct net_device *); };
extern void *__kmalloc(unsigned long, unsigned int); extern int helper(struct sk_buff *);
int lib_xmit(struct sk_buff *skb, struct net_device *dev) { return helper(skb) + skb->len; }
extern const char __ksymtab_lib_xmit; const char __ksymtab_lib_xmit = 1;
int lib_open(struct net_device *dev) { dev->priv = __kmalloc(8, 0x400); return dev->priv != 0; }
extern const char __ksymtab_lib_open; const char __ksymtab_lib_open = 1;
