struct clk_core { unsigned long rate; int users; }; struct clk { struct clk_core *core; int id; };
extern int clk_lock; extern void mutex_lock(int *); extern void mutex_unlock(int *);
unsigned long clk_rate(struct clk *clk)
{
	unsigned long rate;
	mutex_lock(&clk->core->users);
	rate = clk->core->rate;
	mutex_unlock(&clk->core->users);
	return rate;
}
