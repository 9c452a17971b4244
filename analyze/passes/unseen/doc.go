// Package unseen finds code of the livepatch that a task can sleep in while the
// kernel does not see it there. Before a task leaves a livepatch that is disabled
// or replaced, the kernel looks for return addresses on its stack that lie in the
// new functions which the livepatch redirects to: from the beginning of each up to
// the next symbol (klp_check_stack_func in kernel/livepatch/transition.c, v6.1 and
// v6.12). Other code of the livepatch does not count. When the transition ends the
// module can be unloaded, which 'klpforge load' does with a livepatch that was
// replaced; a task that still sleeps in such code returns to memory that is gone.
//
// A helper that only the livepatch has is such code. While a replaced function
// calls it, that function is on the stack. But where the last thing that the function
// does is to call the helper, the compiler makes a jump of the call ("return
// helper(x);"), and the function's frame is gone. So it is with helpers that such a
// helper calls or jumps to, and with one that is given to a function which calls it at
// once, when the replaced function jumps there ("return bus_for_each_dev(..., helper);").
//
// The cold part of a replaced function, which the compiler takes to be hardly ever
// executed and moves to .text.unlikely under a symbol of its own (function.cold), would be
// such code too. klpforge puts it right behind its function and drops the symbol, so that the
// kernel takes it for a part of the function.
//
// Where a helper may sleep this is a warning. What calls through a pointer, or what is
// not known, gets a note that says "unknown". It is silent where the
// code never sleeps, where it only runs below a replaced function that is seen, and for
// helpers that are called by their address otherwise (KLP215 tells of addresses). A task that
// does not sleep but is preempted does not count: where the kernel can be preempted,
// giving a function back to the kernel waits for such tasks (synchronize_rcu_tasks in
// ftrace_shutdown, kernel/trace/ftrace.c, v6.1). Giving it to another livepatch does
// not: on kernels that run with preempt=full, a livepatch that was replaced may still
// have a preempted task in such a helper, for as long as that waits for a CPU.
//
// The old code of the kernel has cold parts of their own: a task that sleeps in one goes
// over to the livepatch too early. That code stays in memory, so that nothing is
// reported; but the promise that no task runs old and new code at once does not
// hold for it.
//
// What to do: after the call of a helper write barrier(), so that it stays a call
// ("ret = helper(x); barrier(); return ret;"; seen with gcc 12), or never unload the
// module.
package unseen
