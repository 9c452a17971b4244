// Package sleeps finds out which functions of a program may sleep: give up the
// CPU in a way that is forbidden while a spinlock is held, or while interrupts,
// bottom halves or preemption are disabled.
//
// A table names the primitives (schedule, mutex_lock, might_sleep and so on),
// and the allocators with the argument that holds their GFP flags, whose
// __GFP_DIRECT_RECLAIM bit decides. From these the facts go up the call graph.
// The bit is followed through registers within a function, so a function that
// passes its own flags on sleeps if its caller's flags say so.
//
// What is preempted does not count as sleeping. Functions whose code is not there
// leave a function unknown unless something else in it sleeps for certain, and so
// do calls through pointers, but for those that lead to a known set: a parameter
// that the caller passes a function for; a variable of the kernel that all stores
// to are seen of, pv_ops among them; a static call. A call of what is not known
// that is made under a spinlock that the function has taken itself, with
// interrupts off and the like, does not make the function sleep: the kernel would
// be broken already. What is in .init.text is gone when anything is patched.
//
// "May" is about some path: whether it is taken is not decided, except that
// Always says that all paths sleep.
package sleeps
