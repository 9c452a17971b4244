extern int a0(void), a1(void), a2(void), a3(void), a4(void), a5(void), a6(void);
int f(int x)
{
	switch (x) {
	case 0: return a0();
	case 1: return a1() + 1;
	case 2: return a2();
	case 3: return a3() + 3;
	case 4: return a4();
	case 5: return a5() + 5;
	case 6: return a6() + 6;
	}
	return -1;
}
int g(int x)
{
	switch (x) {
	case 0: return a6();
	case 1: return a5() + 1;
	case 2: return a4();
	case 3: return a3() + 3;
	case 4: return a2();
	case 5: return a1() + 5;
	case 6: return a0() + 6;
	}
	return -2;
}
