// Package transition tells what keeps the transition to the livepatch from
// ending: a task changes over only when no patched function is on its stack.
//
// KLP301: tasks sleep without bound on the function's frame. A warning when a
// kernel thread does: the function is its main loop, or the loop waits in it; the
// transition then ends only when the thread leaves it. A note when system calls
// do: since 5.1 livepatch wakes such tasks with a fake signal every 15 seconds
// and they change over on their way out; 4.16 to 5.0 do so on request; before,
// they have to be signalled. A warning when direct calls lead to a killable wait for a
// program, a server of FUSE, the automount daemon, or the child of vfork: the fake signal does
// not wake who waits there, only a fatal one does. The finding holds the path to the wait, and
// who gets there.
//
// Arguments are followed along direct calls, so a flag that forbids waiting, as
// MSG_DONTWAIT, makes no note, and neither does a wait of at most 120 seconds. The
// note says "unknown" where it rests on what is not known: a pointer has to lead
// there, the time is kept in memory or computed, or a loop begins a short wait
// again and again. How it is found stands in package stacks (docs/architecture.md);
// 'klpforge inspect stacks' lists all such functions.
//
// KLP302: the function, before or after the patch, can get into a loop that it
// never leaves. A task that is in it stays in the old code until the transition
// is forced; one in the new code keeps the livepatch from ever being disabled.
//
// KLP303: the function belongs to the idle loop or to the scheduler's waiting
// functions, which sleeping tasks are in.
//
// KLP304: the unwinder cannot tell whether the function is on a stack, because
// the compiled object says that its frame is not standard, or because its ORC
// unwind data, which objtool made, does not tell the frame where the function
// calls another. A task with such a frame counts as not ready, as long as it lasts.
//
// Kernels without the consistency model (before 4.12) wait for nothing; there
// these checks are silent.
//
// What to do: patch a function that the loop calls instead, where the task does
// not sleep; or let the change take effect in a callback; or stop and restart the
// thread around the transition.
package transition
