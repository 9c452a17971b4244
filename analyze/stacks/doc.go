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
// such a parameter is judged by its callers. Killable waits and waits in the
// functions of the table "bounded" (memory, I/O, locks, the end of another
// thread) count as bounded: what they wait for makes progress by itself. It does not
// where a program has to answer: the functions that wait for a server of FUSE, the automount
// daemon or that of cachefiles are named in the table ("program"), and the parent of vfork
// waits in a killable state that it passes on. Faults that a userfaultfd handles, permission
// events of fanotify and helpers of call_usermodehelper are left out: nearly every system
// call leads there, and few wait.
//
// A wait with a timeout counts as bounded up to 120 seconds, what the hung task
// detector takes for a hang by default; ticks a second are those of the kernel's
// configuration, or 100, the slowest, where that is not known. What is left of a
// timeout, as schedule_timeout returns it, is followed through registers, the
// stack, and functions that get its address; a loop that begins such a wait again
// with another time has no bound. A loop in a caller is not looked for. A timeout
// from memory is not known, but for one of a member that the kernel itself sets
// to MAX_SCHEDULE_TIMEOUT somewhere, as sock.sk_rcvtimeo: that has no bound.
//
// Functions that threads begin in and that loop are on their threads' stacks
// for ever, however short each wait.
//
// From there the property goes up the call graph, first whatever the arguments
// are. What is found so is narrowed: each function is followed with constants in
// registers, in its frame and in what its arguments point to there, and leads to
// its callees with what they are given (value.go, machine.go, follow.go, paths.go). Branches
// that this decides are left out: with MSG_DONTWAIT, a timeout is zero, and with
// that nothing waits. Arguments are followed through pointers to functions too,
// and from a module into the kernel. What cannot be followed may hold anything; a
// place on the stack counts as changed by every call once its address is given
// away, up to the end of the frame. More than 64 sets of arguments of one function
// are not told apart.
//
// A fact is sure when direct calls lead to a wait that surely has no bound. It is
// not when a pointer has to lead there, a direct call that stands for a pointer
// included (INDIRECT_CALL_1), or when the time is not known.
//
// A tail call leaves no frame. Calls through pointers lead to every function whose address is kept somewhere
// and that has the prototype of the pointer, which package fields finds. A call
// through a pointer of unknown type marks its function as not known; this does
// not go further up.
package stacks
