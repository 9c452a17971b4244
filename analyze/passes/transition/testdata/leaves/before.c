_Bool poll_port(int port, int what);
void relax(void);

void console(int port)
{
	for (;;) {
		if (poll_port(port, 1))
			return;
		relax();
	}
}
