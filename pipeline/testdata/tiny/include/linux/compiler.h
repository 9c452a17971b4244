#ifndef TINY_COMPILER_H
#define TINY_COMPILER_H
#define __used __attribute__((used))
#define __section(name) __attribute__((section(name)))
#endif
