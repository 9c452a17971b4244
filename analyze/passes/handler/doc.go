// Package handler finds changed functions that livepatching itself stands on.
//
// The ftrace handler of livepatch, and what it calls: while the handler runs,
// ftrace's guard against recursion leaves nested calls alone, so that they run
// the old code even in tasks that have changed over. The unwinder that looks for
// patched functions on stacks: whether a task may change over is then decided by
// the code that is changing. Code that runs while RCU is not watching: handlers
// before 4.13 rely on RCU there. Which of these exist depends on the target's
// interface: an interface with the immediate flag (4.12 to 4.15) can be that of a
// kernel before 4.13, and one without the consistency model unwinds nothing.
//
// Direct calls in the target kernel decide, from klp_ftrace_handler,
// stack_trace_save_tsk_reliable and their like down. Paths through warnings, printk,
// locks, wake-ups, deferred work and calls that do not return are left out, and so
// are calls through pointers. Code that must not be traced cannot be patched at
// all (KLP101), and what NMIs run is no finding: the handler works there.
//
// What to do: leave these functions alone, or change their callers.
package handler
