#define DEMO_VALUE 42
