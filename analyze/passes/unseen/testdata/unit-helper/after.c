// want: nothing
void msleep(unsigned int);

int g(int x)
{
	return x;
}

int helper(int x)
{
	msleep(x);
	return x * 3;
}
