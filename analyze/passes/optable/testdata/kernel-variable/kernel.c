int generic_retrigger(int a) { return a + 1; }
int generic_level;
