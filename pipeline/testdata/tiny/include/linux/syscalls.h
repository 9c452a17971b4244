#ifndef TINY_SYSCALLS_H
#define TINY_SYSCALLS_H
#endif
