void poll_port(int port, int what);
void relax(void);

void console(int port)
{
	for (;;) {
		poll_port(port, 1);
		relax();
	}
}
