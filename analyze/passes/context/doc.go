// Package context finds changed functions that may now sleep where that is
// forbidden, and functions that leave the interrupt flag, bottom halves or
// preemption other than before.
//
// Sleeping: which functions may sleep goes up the call graph from the
// primitives and from allocations whose flags allow it; flags are followed
// through registers and arguments. Where code holds a spinlock or rwlock, has
// interrupts, bottom halves or preemption disabled, is in an RCU read-side
// section, or runs as a timer, tasklet, RCU callback, interrupt or NMI handler or
// in a stopper thread, and calls what sleeps after the patch but did not before,
// the finding names that code, the path to the primitive, and the function that changed.
// As what a function runs is known from the functions that it is given to
// (request_threaded_irq, netdev_rx_handler_register), and from the members of structures
// that hold it in the kernel or the module, whether a table does or code stores it there:
// net_device_ops.ndo_start_xmit, nf_hook_ops.hook, packet_type.func, bio.bi_end_io and
// others (analyze/kfuncs/members.txt, each with the file that calls it). A structure on the
// stack, or one from the heap whose pointer has no type yet, counts as what the function
// takes that its address is given to (udp_tunnel_sock_cfg.encap_rcv), an array of functions by
// its argument (virtio_config_ops.find_vqs). An exported function is also looked for in the
// tables and stores of each module that refers to it. A function
// that gives the lock back before it sleeps does no harm, whether its code is in the object or
// in the kernel. Neither is a lock news that is held on some paths only, as far as they are
// told apart, where old code calls what sleeps on the same ones. It is an error when
// the code sleeps on every path, and a warning when on some. When new calls lead
// to functions whose code is not there, or to calls through pointers, and a
// caller does forbid sleeping otherwise than by an RCU read-side section, the
// finding is a note, and unknown.
//
// Callers are looked at in the object file, and also in the whole kernel for what is
// built in, or else in the module, up to three calls away and 2000 callers of each function;
// callers by name in other modules are not followed, and callers through pointers not beyond
// the members named above. What the object calls
// is looked at in the kernel, in its own module and in those that export it. Of calls through
// pointers those are followed that lead to a known set of functions: parameters,
// pv_ops, static calls, variables that nothing else can write. A call that was
// there before under another name of the compiler's (f.constprop.0) is no news.
//
// Where the same call is also made with nothing that forbids sleeping, and which
// lock would forbid it is not known, the lock is probably given up on a path that
// could not be followed: the finding is a note, and unknown.
//
// State at return: the paths by which a function may return are compared by what
// they do to interrupts, bottom halves and preemption. A difference is an error
// unless the state is not fully known.
//
// What to do: allocate with GFP_ATOMIC, defer the work to a workqueue, or move it
// out of the locked region by patching the caller too.
package context
