// want: nothing
int helper(int);

int f(int x)
{
	return helper(x + 1);
}
