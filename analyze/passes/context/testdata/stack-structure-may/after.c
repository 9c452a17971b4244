// want: nothing
// cflags: -gbtf
// cflags: -mno-sse
struct sk_buff { int len; void *head; }; struct sock { void *priv; };
struct udp_tunnel_sock_cfg { void *user; int type; int (*encap_rcv)(struct sock *, struct sk_buff *); void (*encap_destroy)(struct sock *); };
extern void *__kmalloc(unsigned long, unsigned int); extern int helper(struct sk_buff *); extern void other(void *);
extern void setup_udp_tunnel_sock(struct sock *, struct udp_tunnel_sock_cfg *);
static int my_rcv(struct sock *sk, struct sk_buff *skb) { return helper(skb) + skb->len; }
static void my_destroy(struct sock *sk) { sk->priv = __kmalloc(64, 0x400); other(sk->priv); }
void my_setup(struct sock *sk, void *user) { struct udp_tunnel_sock_cfg cfg = { .user = user, .type = 1, .encap_rcv = my_rcv, .encap_destroy = my_destroy }; other(user); setup_udp_tunnel_sock(sk, &cfg); }
