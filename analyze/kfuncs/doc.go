// Package kfuncs holds what is known of functions of the kernel by their names:
// which of them do not return, sleep, wait, take locks, free memory, or run what
// they are given. It is the only place in the analysis that lists such names;
// readers ask for one column, and internal/arch refuses a list elsewhere.
//
// Table.txt has a row for each function, below the file that defines it. Tests on
// real kernels (make e2e) look each name up in that file and compare the arguments
// that rows speak of with the kernels' own types.
//
// A column is a word or word=value; arguments count from 0:
//
//	noreturn          does not return by contract, although its code may not show it
//	ends-thread       a thread ends itself by it
//	sleeps            may sleep, whatever it is given
//	never-sleeps      does not sleep, or only where that is allowed anyway
//	gfp=ARG           sleeps when this argument, GFP flags, allows it
//	waits=HOW         how long it waits: bounded (memory, I/O, a lock, a grace period, a job of other threads),
//	                  state (as the task's state says), timed (the same, no longer than argument 0), forever,
//	                  program (it waits itself until a program answers, and only a fatal signal ends that)
//	state-arg=ARG     the argument is a state of tasks
//	lock=OPS          what it does with locks, in order: +KIND takes, -KIND gives back, of the kinds of LockKind.
//	                  The lock is argument 0, or @ARG, @SYMBOL, or a path of members from argument 0, @A.B>C.D.
//	                  After ? for which result: zero, nonzero, unless-one (0, where 1 says that it failed).
//	                  "none" leaves locks alone, whatever its code looks like
//	traced            the effect on locks is found from its code, lock= is for who does not look there
//	saves             returns the interrupt flag as it was
//	restores=ARG      restores the interrupt flag from the argument
//	pair=NAME         gives back what this one took, whatever happened between
//	locking[=bare]    takes or gives back a lock in some way; bare: none that is an argument
//	free=ARG          frees the argument's memory at once
//	frees             frees memory at once that no argument alone names
//	put=ARG, get=ARG  drops or takes a reference to the argument's object, or the ownership of it
//	grace=KIND        waits for a grace period of rcu or srcu, or has one waited for
//	publishes         stores a pointer for readers that take no lock, after all that was stored before
//	assigns           stores argument 1 where argument 0 says, as a macro
//	walks             goes along a list, a tree or a table, as a macro
//	counts-down       may take the counter of references that argument 0 points to down by one
//	overflows         is told that the counter of references that argument 0 points to ran over
//	any-memory        free=ARG takes memory of every allocator, contiguous or not, or all that its type can be
//	hands-on          what it is given is gone afterwards, whatever became of it: sent, or freed
//	last=ARG          frees the argument's object, whose counter of references the caller took down to zero
//	memory=NAME       free=ARG takes the same memory as that of another function
//	runs=ARG:CONTEXT  runs a function that it is given, in that Context; several after commas
//	over              is over with a function that it is given when it returns
//	keeps=WHAT        keeps a function or a table of functions after it returned, for a file, a device …, or
//	                  an object that holds one: a timer or a work item that it arms
//	ends              nothing runs the timer or work item that it is given when it returns, nor will
//	fills             writes to where argument 0 points, all of it or up to a length
//	message           only tells people something
//	static-calls      changes static calls that a table names, of tracepoints and BPF dispatchers
//	shadow-id=ARG     the argument is an id of shadow variables
//	atomic            is called with interrupts off, in interrupts, or under spin locks
//	idle              belongs to the idle loop, or to what starts it
//	patching=PART     livepatching itself stands on it: its ftrace handler, the unwinder, rcu-watching
//	changes=REGS      has a calling convention of its own and changes these registers alone, or none
//	preserves         keeps all registers
//	no-args           is a static call of a function without parameters
//	own-convention    has a calling convention of its own
//	callee=KIND       what machine code agrees on with it: hook, keeps, return, static; thunk* ends in a register
//	reads-memory      reads memory, no register of a device, in spite of its name
//	aside             is off the ordinary path: reports trouble, gives up, or schedules
//	as=WORD           the source makes the name from this word
//	since=V, until=V  first and last version that has it
//
// Members.txt has the members of structures through which the kernel calls functions where
// sleeping is forbidden.
package kfuncs
