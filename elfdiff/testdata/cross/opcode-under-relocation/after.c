// want: changed f
// A change of the instruction alone that a relocation fills: same place, type and symbol.
extern unsigned value;
unsigned long f(void) { return value; }
