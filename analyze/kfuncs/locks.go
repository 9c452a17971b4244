package kfuncs

import (
	"fmt"
	"strconv"
	"strings"
)

// LockKind is a kind of lock, or of state that is counted like one.
type LockKind string

// The kinds of locks.
const (
	Spin             LockKind = "spin"  // spinlock_t, raw_spinlock_t
	ReadLock         LockKind = "read"  // rwlock_t, shared
	WriteLock        LockKind = "write" // rwlock_t, exclusive
	Mutex            LockKind = "mutex"
	RTMutex          LockKind = "rtmutex"
	RwsemRead        LockKind = "rwsem-read"
	RwsemWrite       LockKind = "rwsem-write"
	Sem              LockKind = "sem"
	PercpuRwsemRead  LockKind = "percpu-rwsem-read"
	PercpuRwsemWrite LockKind = "percpu-rwsem-write"
	Sock             LockKind = "sock" // lock_sock: the socket owned by the task
	SRCU             LockKind = "srcu"
	RCU              LockKind = "rcu"
	IRQ              LockKind = "irq" // interrupts disabled
	BH               LockKind = "bh"  // bottom halves disabled
)

var lockKinds = []LockKind{Spin, ReadLock, WriteLock, Mutex, RTMutex, RwsemRead, RwsemWrite, Sem, PercpuRwsemRead,
	PercpuRwsemWrite, Sock, SRCU, RCU, IRQ, BH}

// context reports whether the kind is state of the processor or task, without a lock.
func (k LockKind) context() bool { return k == RCU || k == IRQ || k == BH }

// LockOp is one thing that a function does with a lock.
type LockOp struct {
	Kind  LockKind
	Delta int8 // 1: takes it; -1: gives it back
	// The lock: Symbol, or what Members leads to from argument Arg, or that
	// argument itself. Members names one member of each structure on the way,
	// "super_block.s_umount". None of them for RCU, IRQ and BH.
	Arg     int8
	Symbol  string
	Members []string
}

// When says for which result of a function its operations happen; otherwise none
// does.
type When string

// The results.
const (
	Always    When = ""
	OnZero    When = "zero"       // it returned 0, not a negative error
	OnNonzero When = "nonzero"    // it returned 1, not 0
	UnlessOne When = "unless-one" // it returned 0, not 1
)

// Locking is what a function does with locks.
type Locking struct {
	Ops  []LockOp // in order; none leaves locks as they are
	When When
	// Saves: it returns the interrupt flag as it was. Restores is the argument,
	// from 0, that it restores the flag from, -1 for none.
	Saves    bool
	Restores int8
	// Traced: the effect is found from its code too.
	Traced bool
}

// Locks returns what a function does with locks; ok is false when the table does not
// say, or only by a family. What is returned is the caller's own.
func Locks(name string) (l Locking, ok bool) {
	l, ok, err := lockingOf(func(column string) (string, bool) {
		val, ok, _ := table.own(name, column)
		return val, ok
	})
	return l, ok && err == nil
}

// lockingOf reads the columns about locks.
func lockingOf(column func(name string) (string, bool)) (l Locking, ok bool, err error) {
	l.Restores = -1
	if text, is := column("lock"); is {
		ok = true
		if l.Ops, l.When, err = parseOps(text); err != nil {
			return l, false, err
		}
	}
	if _, l.Saves = column("saves"); l.Saves {
		ok = true
	}
	if text, is := column("restores"); is {
		n, err := strconv.ParseInt(text, 10, 8)
		if err != nil {
			return l, false, fmt.Errorf("restores=%s: %w", text, err)
		}
		l.Restores, ok = int8(n), true
	}
	_, l.Traced = column("traced")
	return l, ok, nil
}

// parseOps reads the column lock.
func parseOps(text string) ([]LockOp, When, error) {
	list, result, cond := strings.Cut(text, "?")
	when := When(result)
	if cond && when != OnZero && when != OnNonzero && when != UnlessOne {
		return nil, "", fmt.Errorf("lock=%s: no such result", text)
	}
	if list == "none" {
		return nil, when, nil
	}
	var ops []LockOp
	for word := range strings.SplitSeq(list, ",") {
		var op LockOp
		switch {
		case strings.HasPrefix(word, "+"):
			op.Delta = 1
		case strings.HasPrefix(word, "-"):
			op.Delta = -1
		default:
			return nil, "", fmt.Errorf("lock=%s: %q neither takes nor gives back", text, word)
		}
		kind, at, has := strings.Cut(word[1:], "@")
		for _, k := range lockKinds {
			if string(k) == kind {
				op.Kind = k
			}
		}
		n, number := strconv.ParseInt(at, 10, 8)
		switch {
		case op.Kind == "" || has && (at == "" || op.Kind.context()):
			return nil, "", fmt.Errorf("lock=%s: %q is no lock", text, word)
		case !has:
		case number == nil:
			op.Arg = int8(n)
		case strings.Contains(at, "."):
			op.Members = strings.Split(at, ">")
		default:
			op.Symbol = at
		}
		ops = append(ops, op)
	}
	return ops, when, nil
}

// IsLock reports whether a function of that name takes or gives back a lock, or
// changes what may interrupt or preempt the code.
func IsLock(name string) bool {
	l, _ := Locks(name)
	return len(l.Ops) > 0 || has(name, "locking")
}

// LockArg returns the argument, from 0, that is or leads to the lock that IsLock
// speaks of; ok is false when none is.
func LockArg(name string) (argument int, ok bool) {
	l, _ := Locks(name)
	for _, op := range l.Ops {
		if !op.Kind.context() && op.Symbol == "" {
			return int(op.Arg), true
		}
	}
	if len(l.Ops) > 0 {
		return 0, false
	}
	val, ok := table.get(name, "locking")
	return 0, ok && val == ""
}

// Gives names the function that gives back what this one took, whatever happened
// between; "" when there is none.
func Gives(take string) string {
	val, _ := table.get(take, "pair")
	return val
}

// GivesBack reports whether a function gives back what another took by itself.
func GivesBack(name string) bool { return givers[name] }

var givers = func() map[string]bool {
	out := map[string]bool{}
	for i := range table.rows {
		if give, ok := table.rows[i].Columns["pair"]; ok {
			out[give] = true
		}
	}
	return out
}()

// MayLock reports whether a function takes a lock on some results only, or is named
// like one that does.
func MayLock(name string) bool {
	if l, _ := Locks(name); len(l.Ops) > 0 && l.When != Always {
		return true
	}
	if strings.Contains(name, "trylock") {
		return true
	}
	gives := strings.Contains(name, "_interruptible") || strings.Contains(name, "_killable")
	return gives && (strings.Contains(name, "lock") || strings.HasPrefix(name, "down"))
}

// parseRuns reads the column runs.
func parseRuns(text string) (map[int]Context, error) {
	out := map[int]Context{}
	for word := range strings.SplitSeq(text, ",") {
		number, context, _ := strings.Cut(word, ":")
		n, err := strconv.Atoi(number)
		if err != nil || !contexts[Context(context)] {
			return nil, fmt.Errorf("runs=%s: %q", text, word)
		}
		out[n] = Context(context)
	}
	return out, nil
}

var contexts = map[Context]bool{InRCU: true, InSRCU: true, InRCUTasks: true, InTimer: true, InHrtimer: true,
	InTasklet: true, InSoftirq: true, InIRQ: true, InNMI: true, InIPI: true, InStopper: true, InIRQThread: true,
	InIRQOrThread: true, InThread: true}
