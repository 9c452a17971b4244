void msleep(unsigned int);

int g(int x)
{
	return x;
}
