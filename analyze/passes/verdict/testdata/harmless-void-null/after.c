// want: KLP401 given led_off
// want: KLP402 given led_off
// cflags: -g
// cflags: -mno-sse
struct led { int on; int gpio; struct led *next; }; extern void gpio_set(int, int);
void led_off(struct led *l)
{
	if (!l)
		return;
	l->on = 0;
	gpio_set(l->gpio, 0);
	while ((l = l->next))
		gpio_set(l->gpio, 0);
}
