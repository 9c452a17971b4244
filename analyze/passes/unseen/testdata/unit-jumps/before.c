int helper(int);

int f(int x)
{
	return x + 1;
}
