package locks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
)

// Kind is a kind of lock, or of state that is counted like one.
type Kind uint8

const (
	None      Kind = iota
	Spin           // spinlock_t, raw_spinlock_t
	ReadLock       // rwlock_t, shared
	WriteLock      // rwlock_t, exclusive
	Mutex
	RTMutex
	RwsemRead
	RwsemWrite
	Sem
	PercpuRwsemRead
	PercpuRwsemWrite
	Sock // lock_sock: the socket owned by the task
	SRCU
	RCU
	IRQ     // interrupts disabled on this CPU
	BH      // bottom halves disabled
	Preempt // preemption disabled other than by a lock
	nKinds
)

var kindNames = [nKinds]string{"none", "spin", "read", "write", "mutex", "rtmutex", "rwsem-read", "rwsem-write", "sem",
	"percpu-rwsem-read", "percpu-rwsem-write", "sock", "srcu", "rcu", "irq", "bh", "preempt"}

func (k Kind) String() string {
	if k < nKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Context reports whether the kind is state of the CPU or task rather than a
// lock with an address.
func (k Kind) Context() bool { return k >= RCU }

// Sleeping reports whether taking a lock of the kind may sleep.
func (k Kind) Sleeping() bool { return k >= Mutex && k <= Sock }

// Root is where the way to a lock begins.
type Root uint8

const (
	RootNone    Root = iota // the kind alone is the identity (RCU, IRQ, BH, Preempt)
	RootGlobal              // the address Addr
	RootArg                 // argument Arg of the function, from 0
	RootRet                 // the function's returned value
	RootCurrent             // the running task
	RootPercpu              // per-CPU variable Addr of this CPU
	RootUnknown             // not followed
)

// Path identifies a lock relative to a function: begin at Root, add Offs[0],
// then for each further offset load a pointer there and add it. The result is
// the lock's address.
type Path struct {
	Root Root
	Addr uint64 // RootGlobal, RootPercpu
	Arg  int8   // RootArg, from 0; 6 and up lie on the stack
	Offs []int64
}

// Known reports whether the lock is identified.
func (p Path) Known() bool { return p.Root != RootUnknown }

// String prints a path without names: "0xffffffff82a06080", "arg0+0x10",
// "*(arg1+0x20)+0x8", "ret", "?".
func (p Path) String() string {
	var text string
	switch p.Root {
	case RootNone:
		return ""
	case RootGlobal:
		text = fmt.Sprintf("%#x", p.Addr)
	case RootArg:
		text = fmt.Sprintf("arg%d", p.Arg)
	case RootRet:
		text = "ret"
	case RootCurrent:
		text = "current"
	case RootPercpu:
		text = fmt.Sprintf("percpu:%#x", p.Addr)
	case RootUnknown:
		text = "?"
	}
	for i, off := range p.Offs {
		if i > 0 {
			text = "*(" + text + ")"
		}
		switch {
		case off > 0:
			text += fmt.Sprintf("+%#x", off)
		case off < 0:
			text += fmt.Sprintf("-%#x", -off)
		}
	}
	return text
}

func comparePath(a, b Path) int {
	return cmp.Or(cmp.Compare(a.Root, b.Root), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Arg, b.Arg), slices.Compare(a.Offs, b.Offs))
}

// Lock is one lock as a function sees it.
type Lock struct {
	Kind Kind
	Path Path
}

func (l Lock) String() string {
	if l.Path.Root == RootNone {
		return l.Kind.String()
	}
	return l.Kind.String() + ":" + l.Path.String()
}

func compareLock(a, b Lock) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), comparePath(a.Path, b.Path))
}

// Change is what an outcome does to one lock.
type Change struct {
	Lock
	// Delta counts: +1 held at return but not at entry, -1 the other way
	// round. +2 and -2 mean twice or more often.
	Delta int8
	// Unsure: another outcome lacks the change, and nothing tells the two
	// apart: neither the returned value, nor an argument, nor memory.
	Unsure bool
}

// Drop is a lock that is released for a while.
type Drop struct {
	Lock
	// Callee: not this function releases it, but one that it calls, which
	// takes it again itself.
	Callee bool
	// Vague: the lock was found by other means than arguments and globals, so
	// it may be one that the function took itself, under another name.
	Vague bool
}

func compareDrop(a, b Drop) int {
	order := compareLock(a.Lock, b.Lock)
	if order == 0 && a.Callee != b.Callee {
		if a.Callee {
			return 1
		}
		return -1
	}
	return order
}

// sortDrops sorts in place and keeps one entry for each lock, the function's
// own where there are two.
func sortDrops(l []Drop) []Drop {
	slices.SortFunc(l, compareDrop)
	return slices.CompactFunc(l, func(a, b Drop) bool { return compareLock(a.Lock, b.Lock) == 0 })
}

// Ret is a set of returned values, as the ranges of the low 1, 4 and 8 bytes
// of the return register, sign-extended. nil means any value.
type Ret struct{ B1, B4, B8 Set }

// Cond is what an outcome requires of an argument: its low Size bytes lie in
// In.
type Cond struct {
	Arg  int8
	Size uint8 // bytes
	In   Set
}

// Outcome is one path by which a function may return.
type Outcome struct {
	Changes []Change // sorted; empty when everything is as at entry
	// Dropped are locks that must be held at entry and are again at return,
	// but that others may have had in between. Sorted.
	Dropped []Drop
	Ret     Ret
	// When lists what is known of arguments on this way, sorted.
	When []Cond
	// RetArg: the function returns this argument unchanged; -1 otherwise.
	RetArg int8

	guessed bool // see walker.settle
	// inside is what is known on this way of memory as it was at entry, and of
	// what was stored for the caller. Callers do not see it.
	inside []memory
}

// Neutral reports whether the outcome leaves everything as it was and needs
// nothing to be held.
func (o *Outcome) Neutral() bool { return len(o.Changes) == 0 && len(o.Dropped) == 0 }

// Why says why an effect is not fully known.
type Why uint8

const (
	WhyFlow      Why = 1 << iota // code that cannot be followed
	WhyStates                    // too many states
	WhyRecursion                 // recursion did not settle
	WhyAmbiguous                 // outcomes differ but nothing tells them apart
	WhyCallee                    // a callee's effect is not known
)

var whyNames = []string{"code cannot be followed", "too many paths", "recursion does not settle", "paths disagree and nothing tells them apart", "a callee's effect is unknown"}

func (w Why) String() string {
	var words []string
	for i, name := range whyNames {
		if w&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, ", ")
}

// Effect is what a function does to locks.
type Effect struct {
	Func     model.FuncID
	Outcomes []Outcome // sorted; empty when the function does not return
	Unknown  Why       // 0 when the outcomes are complete
	// Assumed: two expressions were taken to mean the same lock although that
	// is not proven.
	Assumed bool
	// Primitive: the effect is by definition (package kfuncs), not analysed.
	Primitive bool
}

// Neutral reports whether every return path leaves everything as at
// entry and needs nothing held. It says nothing of Unknown.
func (e *Effect) Neutral() bool {
	for i := range e.Outcomes {
		if !e.Outcomes[i].Neutral() {
			return false
		}
	}
	return true
}

// Conditional reports whether return paths differ in what they leave
// held.
func (e *Effect) Conditional() bool {
	for i := 1; i < len(e.Outcomes); i++ {
		if !slices.EqualFunc(e.Outcomes[0].Changes, e.Outcomes[i].Changes, func(a, b Change) bool {
			return a.Delta == b.Delta && compareLock(a.Lock, b.Lock) == 0
		}) {
			return true
		}
	}
	return false
}
