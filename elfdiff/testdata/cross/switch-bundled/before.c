#define __sched __attribute__((__section__(".sched.text"), noinline))
extern int a0(int), a1(int), a2(int), a3(int), a4(int), a5(int), a6(int), a7(int), a8(int), a9(int), a10(int), a11(int), a12(int), a13(int), a14(int), a15(int), a16(int), a17(int), a18(int), a19(int), a20(int), a21(int), a22(int), a23(int);
__sched int f(int x)
{
	switch (x) {
	case 0: return a3(x);
	case 1: return a8(x) + 1;
	case 2: return a13(x);
	case 3: return a18(x) + 3;
	case 4: return a23(x);
	case 5: return a4(x) + 5;
	case 6: return a9(x);
	case 7: return a14(x) + 7;
	case 8: return a19(x);
	case 9: return a0(x) + 9;
	case 10: return a5(x);
	case 11: return a10(x) + 11;
	case 12: return a15(x);
	case 13: return a20(x) + 13;
	case 14: return a1(x);
	case 15: return a6(x) + 15;
	case 16: return a11(x);
	case 17: return a16(x) + 17;
	case 18: return a21(x);
	case 19: return a2(x) + 19;
	case 20: return a7(x);
	case 21: return a12(x) + 21;
	case 22: return a17(x);
	case 23: return a22(x) + 98;
	}
	return -1;
}
__sched int g(int x) { return a1(x) + x; }
