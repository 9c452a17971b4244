package kfuncs

import (
	"maps"
	"strings"
)

// NoReturn reports whether a function does not return, in no version that has it
// (tools/objtool/check.c, v6.1 and noreturns.h, v6.12, list those that the compiler
// is told of). Nmi_panic, which returns to all but the first processor that calls
// it, is none.
func NoReturn(name string) bool { return has(name, "noreturn") }

// EndsThread reports whether a thread ends itself by calling the function.
func EndsThread(name string) bool { return has(name, "ends-thread") }

// Sleep says whether a function sleeps.
type Sleep uint8

// What is known of a function's sleeping.
const (
	SleepUnknown Sleep = iota
	SleepMay           // whatever it is given
	SleepNever         // or only where sleeping is allowed anyway
	SleepFlags         // when its GFP flags allow it
)

// Sleeps says whether a function sleeps, and for SleepFlags which argument holds
// the GFP flags, from 0.
func Sleeps(name string) (s Sleep, gfp int) {
	if has(name, "sleeps") {
		return SleepMay, 0
	}
	if has(name, "never-sleeps") {
		return SleepNever, 0
	}
	if gfp, ok := arg(name, "gfp"); ok {
		return SleepFlags, gfp
	}
	return SleepUnknown, 0
}

// Wait is how long a function waits.
type Wait string

// How long functions wait.
const (
	WaitUnknown Wait = ""
	WaitBounded Wait = "bounded" // for something that makes progress
	WaitState   Wait = "state"   // as long as the task's state says
	WaitTimed   Wait = "timed"   // the same, and no longer than its first argument
	WaitForever Wait = "forever" // perhaps
	WaitProgram Wait = "program" // in this very function: until a program answers, and only a fatal signal ends it
)

// Waits says how long a function waits. Exact is false when only its family says so.
func Waits(name string) (w Wait, exact bool) {
	val, _ := table.get(name, "waits")
	_, exact, _ = table.own(name, "waits")
	return Wait(val), exact
}

// StateArg returns the argument, from 0, that is a state of tasks.
func StateArg(name string) (int, bool) { return arg(name, "state-arg") }

// Context is where a function runs that another is given.
type Context string

// Where functions run that others are given. The comments say who runs them.
const (
	InRCU         Context = "rcu"           // kernel/rcu/tree.c, in a softirq or with bottom halves off
	InSRCU        Context = "srcu"          // kernel/rcu/srcutree.c, srcu_invoke_callbacks, bottom halves off
	InRCUTasks    Context = "rcu-tasks"     // kernel/rcu/tasks.h, rcu_tasks_invoke_cbs, bottom halves off
	InTimer       Context = "timer"         // kernel/time/timer.c, in a softirq
	InHrtimer     Context = "hrtimer"       // kernel/time/hrtimer.c, in an interrupt or a softirq
	InTasklet     Context = "tasklet"       // kernel/softirq.c
	InSoftirq     Context = "softirq"       // kernel/softirq.c
	InIRQ         Context = "irq"           // kernel/irq/handle.c
	InNMI         Context = "nmi"           // kernel/irq/chip.c, handle_fasteoi_nmi
	InIPI         Context = "ipi"           // kernel/smp.c, interrupts off
	InStopper     Context = "stopper"       // kernel/stop_machine.c, cpu_stopper_thread, preemption off
	InIRQThread   Context = "irq-thread"    // kernel/irq/manage.c, irq_thread
	InIRQOrThread Context = "irq-or-thread" // whichever the interrupt's parent has
	InThread      Context = "thread"        // a thread begins there
)

// Where what members of structures hold is called (members.txt), besides.
const (
	InBH         Context = "bh"       // bottom halves off
	InIRQOff     Context = "irq-off"  // interrupts off
	InPreemptOff Context = "preempt"  // preemption off
	UnderSpin    Context = "spin"     // a spinlock or rwlock is held
	InRCURead    Context = "rcu-read" // in a read-side section of RCU
)

// ForbidsSleep reports whether code that runs there must not sleep.
func (c Context) ForbidsSleep() bool {
	switch c {
	case InIRQThread, InIRQOrThread, InThread, "":
		return false
	}
	return true
}

// Runs says where a function runs what it is given as an argument, from 0; "" when
// it does not, or nothing is known.
func Runs(name string, argument int) Context { return runs(name)[argument] }

func runs(name string) map[int]Context {
	val, ok := table.get(name, "runs")
	if !ok {
		return nil
	}
	out, err := parseRuns(val)
	if err != nil {
		return nil // TestTable refuses it
	}
	return out
}

// Over reports whether a function is over with a function that it is given when it
// returns: it calls that at once, or never.
func Over(name string) bool { return has(name, "over") }

// Ends reports whether nothing runs the timer or work item that a function is given when it
// returns, nor will later.
func Ends(name string) bool { return has(name, "ends") }

// Keeps says for what a function keeps a function that it is given after it
// returned, a Context or another word of the column keeps; "" when it does not, or
// nothing is known.
func Keeps(name string) string {
	if val, ok := table.get(name, "keeps"); ok {
		return val
	}
	if Over(name) {
		return ""
	}
	// All that it is given run in one kind of place, but for a thread beside an interrupt.
	first, out := -1, Context("")
	for argument, c := range runs(name) {
		if first < 0 || argument < first {
			first, out = argument, c
		}
	}
	return string(out)
}

// ShadowID returns the argument, from 0, that is an id of shadow variables
// (include/linux/livepatch.h, v6.1).
func ShadowID(name string) (int, bool) { return arg(name, "shadow-id") }

// Fills reports whether a function writes to where its first argument points, all of
// it or up to a length.
func Fills(name string) bool { return has(name, "fills") }

// Message reports whether a function only tells people something: what it is given
// and whether it is called changes nothing that code decides on.
func Message(name string) bool { return has(name, "message") }

// Count is how a function changes who owns the object of an argument.
type Count struct {
	Arg   int8 // from 0
	Delta int8 // 1: takes a reference to it; -1: drops one, or frees it
}

// Counts lists the functions that take or give up the ownership of an argument's
// object, by name, in a map of the caller's own. What is left to a grace period
// (call_rcu) is given up, its argument 0 being the object's rcu_head.
func Counts() map[string]Count { return maps.Clone(counts) }

var counts = func() map[string]Count {
	out := map[string]Count{}
	for name := range table.exact {
		for _, c := range []struct {
			column string
			delta  int8
		}{{"free", -1}, {"put", -1}, {"get", 1}} {
			if n, ok := arg(name, c.column); ok {
				out[name] = Count{int8(n), c.delta}
			}
		}
	}
	return out
}()

// Frees reports whether a function frees memory at once.
func Frees(name string) bool { return has(name, "free") || has(name, "frees") }

// Publishes reports whether a function, or a macro of that name, makes an object visible
// to readers that take no lock, after all that was stored before it.
func Publishes(name string) bool { return has(name, "publishes") }

// Assigns reports whether a macro or function stores its argument 1 where its argument 0
// says: the address, or the place itself.
func Assigns(name string) bool { return has(name, "assigns") }

// Walks reports whether a macro goes along a list, a tree or a table.
func Walks(name string) bool { return has(name, "walks") }

// CountsDown reports whether a function may take the counter of references that its argument
// 0 points to down by one.
func CountsDown(name string) bool { return has(name, "counts-down") }

// Overflows reports whether a function is told that a counter of references, its argument
// 0, ran over.
func Overflows(name string) bool { return has(name, "overflows") }

// Memory names the function that frees the same memory as this one: itself where the table
// names no other.
func Memory(name string) string {
	if other, ok := table.get(name, "memory"); ok {
		return other
	}
	return name
}

// FreesAny reports whether a function frees memory of every allocator.
func FreesAny(name string) bool { return has(name, "any-memory") }

// Freed tells which argument's memory a function frees at once; ok is false for one that
// frees none.
func Freed(name string) (argument int, ok bool) { return arg(name, "free") }

// Released tells which argument's object a function frees whose last reference its caller
// gave up by the counter itself.
func Released(name string) (argument int, ok bool) { return arg(name, "last") }

// HandsOn reports whether what a function is given is gone afterwards, whatever became of it.
func HandsOn(name string) bool { return has(name, "hands-on") }

// Grace is a kind of grace period.
type Grace string

// The kinds of grace periods.
const (
	GraceRCU  Grace = "rcu"
	GraceSRCU Grace = "srcu"
)

// Asks reports whether a function waits for a grace period of that kind, or has one
// waited for.
func (g Grace) Asks(name string) bool {
	val, ok := table.get(name, "grace")
	return ok && val == string(g)
}

// ChangesStaticCalls reports whether a function changes static calls that a table
// names: those of tracepoints, whose probes do not sleep, and of BPF dispatchers.
func ChangesStaticCalls(name string) bool { return has(name, "static-calls") }

// Atomic lists functions that run with interrupts off, in interrupts, or under spin
// locks; sorted.
func Atomic() []string { return with("atomic", "") }

// Idle reports whether a function belongs to the idle loop or to what starts it.
func Idle(name string) bool { return has(name, "idle") }

// The parts of the kernel that livepatching stands on.
const (
	PatchingHandler  = "handler"      // livepatch's handler of ftrace
	PatchingUnwinder = "unwinder"     // what tells which tasks may change over
	PatchingRCU      = "rcu-watching" // where RCU may not be watching, which handlers before v4.13 rely on
)

// Patching lists the functions that a part of livepatching begins with; sorted.
func Patching(part string) []string { return with("patching", part) }

// Aside reports whether a function is off the ordinary path: it reports trouble,
// gives up, or schedules.
func Aside(name string) bool { return has(name, "aside") }

// Changes lists the registers, as "rax", that a function with a calling convention
// of its own changes; ok is false for any other function.
func Changes(name string) (registers []string, ok bool) {
	val, ok := table.get(name, "changes")
	if !ok || val == "none" {
		return nil, ok
	}
	return strings.Split(val, ","), true
}

// Preserves reports whether a function keeps all registers
// (arch/x86/include/asm/preempt.h, v6.1).
func Preserves(name string) bool { return has(name, "preserves") }

// NoArgs reports whether a static call leads to a function without parameters.
func NoArgs(name string) bool { return has(name, "no-args") }

// OwnConvention reports whether a function has a calling convention of its own.
func OwnConvention(name string) bool { return has(name, "own-convention") }

// Callee is what machine code of x86-64 agrees on with a callee that is no C
// function.
type Callee string

// The kinds of such callees.
const (
	CalleeHook   Callee = "hook"   // a nop where nothing traces; a tracer saves what it uses
	CalleeKeeps  Callee = "keeps"  // saves what C functions do not
	CalleeReturn Callee = "return" // returns in the place of its caller
	CalleeStatic Callee = "static" // the trampoline of a static call
	CalleeThunk  Callee = "thunk"  // calls or jumps to the address in a register
)

// CalleeOf says what kind of callee a name is, "" for C functions; of a thunk, which
// register its name ends in, "rax" or "array".
func CalleeOf(name string) (c Callee, register string) {
	val, ok := table.get(name, "callee")
	if !ok {
		return "", ""
	}
	if Callee(val) == CalleeThunk {
		return CalleeThunk, name[strings.LastIndexByte(name, '_')+1:]
	}
	return Callee(val), ""
}

// ReadsMemory reports whether a function or macro reads memory, although it is named
// like those that read a register of a device.
func ReadsMemory(name string) bool { return has(name, "reads-memory") }
