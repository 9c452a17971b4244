struct led { int on; int gpio; struct led *next; }; extern void gpio_set(int, int);
void led_off(struct led *l)
{
	l->on = 0;
	gpio_set(l->gpio, 0);
	while ((l = l->next))
		gpio_set(l->gpio, 0);
}
