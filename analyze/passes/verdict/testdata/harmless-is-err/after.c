// want: KLP401 given phy_get
// want: KLP402 given phy_get
// cflags: -g
// cflags: -mno-sse
struct phy { int id; int ref; }; extern struct phy *phy_lookup(int id); extern int phy_init(int, int);
int phy_get(int id)
{
	struct phy *p = phy_lookup(id);
	if ((unsigned long)p >= (unsigned long)-4095)
		return -19;
	if (p->ref == 0)
		return -19;
	return phy_init(p->id, p->ref);
}
