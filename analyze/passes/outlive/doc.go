// Package outlive finds pointers into the livepatch that may be left behind when
// it is unloaded. A livepatch that is disabled, or replaced by the next one, can
// be removed as soon as no task runs its code: a timer, a work item, a callback
// of RCU, or a file that still holds the address of a function which only the
// livepatch has then leads nowhere, and the kernel goes down when it is used.
//
// The addresses of functions that the running kernel has are bound to the
// original and stay good. What counts here are new functions, and new tables of
// functions, timers and work items with a function among them (DEFINE_TIMER,
// DECLARE_WORK). Where code of the livepatch takes the address of one and stores it
// elsewhere than in its own frame, or gives it to something that keeps it (a
// timer, a tasklet, an interrupt, a thread, a notifier, a file, a device, or what arms
// it: mod_timer, queue_work_on), this is a warning, unless the same function has it
// end further down (flush_work, del_timer_sync): then it is a note. Given to another function, of which it is not known whether it keeps
// the address, it is a note that says "unknown"; functions that are done with it
// when they return (sort, bsearch, for_each and the like) are left out. What is
// given to call_rcu is a note: the generated module waits for such callbacks
// (rcu_barrier) before it goes.
//
// What to do: end what uses the address in a post-unpatch callback (del_timer_sync,
// cancel_work_sync, unregister), let a function that exists do the work, or leave
// the module loaded for good and say so in the release's notes.
package outlive
