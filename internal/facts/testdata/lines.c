int first(int n)
{
	return n + 1;
}

int second(int n)
{
	return first(n) * 2;
}

void _start(void) { second(3); }
