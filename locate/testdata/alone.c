/* Nothing tells two copies of this object apart. */
static __attribute__((noinline)) int alone(int x) { return x * 11 + 3; }
int (*const NAME(alone_ops)[])(int) = { alone };
