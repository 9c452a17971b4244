// Package stacks predicts on whose stack frame tasks sleep without bound: a
// livepatch of such a function waits for these tasks.
//
// # Method
//
// A wait is a call of schedule, schedule_timeout and their like. How long it
// lasts is told by the state that the task takes before it: the kernel's hung
// task detector complains of tasks that stay uninterruptible for long
// (check_hung_uninterruptible_tasks, kernel/hung_task.c, v6.1), so such waits
// end soon, while interruptible, idle and stopped tasks may wait for ever. The
// state is a constant that the function stores into the task or passes to a
// function with a parameter called "state"; a function that gets its state as
// such a parameter is judged by its callers. A constant timeout bounds a wait.
// Killable waits and waits in the functions of Bounded (memory, I/O, locks,
// the end of another thread) count as bounded: what they wait for makes
// progress by itself.
//
// Functions that threads begin in and that loop are on their threads' stacks
// for ever, however short each wait.
//
// From there the property goes up the call graph. A tail call leaves no frame.
// Calls through pointers lead to every function whose address is kept somewhere
// and that has the prototype of the pointer, which package fields finds. A call
// through a pointer of unknown type marks its function as not known; this does
// not go further up.
package stacks
