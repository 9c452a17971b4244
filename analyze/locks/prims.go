package locks

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// step is one thing that a primitive does, in order.
type step struct {
	kind  Kind
	arg   int8 // the argument that is the lock's address
	delta int8
}

// prim is a lock primitive: a function whose effect is given, not analysed.
type prim struct {
	steps []step
	// on says for which result the steps happen; otherwise nothing does.
	on result
	// saves: returns the interrupt flag as it was. restores: puts back the one
	// given by this argument, 0 for none.
	saves    bool
	restores int8
	global   string // the lock is this symbol, not an argument
}

type result uint8

const (
	always    result = iota
	onZero           // the call returned 0, not a negative error
	onNonzero        // the call returned 1, not 0
	unlessOne        // the call returned 0, not 1
)

// sets gives the results (int) with which the steps happen, and do not.
func (r result) sets() (hit, miss Set) {
	switch r {
	case onZero:
		return single(0), Set{{-4095, -1}}
	case unlessOne:
		return single(0), single(1)
	}
	return single(1), single(0)
}

// prims is the table of primitives. It is made of families, because the
// kernel's names are (include/linux/spinlock_api_smp.h, rwlock_api_smp.h,
// mutex.h, rwsem.h, semaphore.h, rtmutex.h, srcu.h, percpu-rwsem.h,
// bottom_half.h, v6.1; PREEMPT_RT maps its rt_spin_* likewise).
var prims = func() map[string]prim {
	m := map[string]prim{}
	put := func(names string, p prim) {
		for _, n := range strings.Fields(names) {
			m[n] = p
		}
	}
	lock := func(k Kind) []step { return []step{{k, 0, 1}} }
	unlock := func(k Kind) []step { return []step{{k, 0, -1}} }
	with := func(l []step, k Kind, d int8) []step {
		if d > 0 {
			return append([]step{{kind: k, delta: d}}, l...)
		}
		return append(l, step{kind: k, delta: d})
	}

	for _, f := range []struct {
		name string
		kind Kind
	}{{"_raw_spin", Spin}, {"_raw_read", ReadLock}, {"_raw_write", WriteLock}} {
		n, k := f.name, f.kind
		put(n+"_lock "+n+"_lock_nested "+n+"_lock_nest_lock", prim{steps: lock(k)})
		put(n+"_lock_irq", prim{steps: with(lock(k), IRQ, 1)})
		put(n+"_lock_bh", prim{steps: with(lock(k), BH, 1)})
		put(n+"_lock_irqsave "+n+"_lock_irqsave_nested", prim{steps: with(lock(k), IRQ, 1), saves: true})
		put(n+"_unlock", prim{steps: unlock(k)})
		put(n+"_unlock_irq", prim{steps: with(unlock(k), IRQ, -1)})
		put(n+"_unlock_bh", prim{steps: with(unlock(k), BH, -1)})
		put(n+"_unlock_irqrestore", prim{steps: unlock(k), restores: 1})
		put(n+"_trylock", prim{steps: lock(k), on: onNonzero})
		put(n+"_trylock_bh", prim{steps: with(lock(k), BH, 1), on: onNonzero})
	}
	put("rt_spin_lock rt_spin_lock_nested rt_spin_lock_nest_lock", prim{steps: lock(Spin)})
	put("rt_spin_unlock", prim{steps: unlock(Spin)})
	put("rt_spin_trylock", prim{steps: lock(Spin), on: onNonzero})
	put("rt_spin_trylock_bh", prim{steps: with(lock(Spin), BH, 1), on: onNonzero})
	put("rt_read_lock", prim{steps: lock(ReadLock)})
	put("rt_read_unlock", prim{steps: unlock(ReadLock)})
	put("rt_write_lock rt_write_lock_nested", prim{steps: lock(WriteLock)})
	put("rt_write_unlock", prim{steps: unlock(WriteLock)})
	put("rt_read_trylock", prim{steps: lock(ReadLock), on: onNonzero})
	put("rt_write_trylock", prim{steps: lock(WriteLock), on: onNonzero})

	put("mutex_lock mutex_lock_nested mutex_lock_io mutex_lock_io_nested _mutex_lock_nest_lock", prim{steps: lock(Mutex)})
	put("mutex_lock_interruptible mutex_lock_interruptible_nested mutex_lock_killable mutex_lock_killable_nested", prim{steps: lock(Mutex), on: onZero})
	put("mutex_trylock", prim{steps: lock(Mutex), on: onNonzero})
	put("mutex_unlock", prim{steps: unlock(Mutex)})
	// Compiled within kernel/locking/mutex.c, which inlines the fast path.
	put("atomic_dec_and_mutex_lock", prim{steps: []step{{Mutex, 1, 1}}, on: onNonzero})
	put("ww_mutex_lock ww_mutex_lock_interruptible", prim{steps: lock(Mutex), on: onZero})
	put("ww_mutex_trylock", prim{steps: lock(Mutex), on: onNonzero})
	put("ww_mutex_unlock", prim{steps: unlock(Mutex)})
	put("rt_mutex_lock rt_mutex_lock_nested _rt_mutex_lock_nest_lock", prim{steps: lock(RTMutex)})
	put("rt_mutex_lock_interruptible rt_mutex_lock_killable", prim{steps: lock(RTMutex), on: onZero})
	put("rt_mutex_trylock rt_mutex_futex_trylock __rt_mutex_futex_trylock", prim{steps: lock(RTMutex), on: onNonzero})
	put("rt_mutex_unlock rt_mutex_futex_unlock", prim{steps: unlock(RTMutex)})

	put("down_read down_read_nested down_read_non_owner", prim{steps: lock(RwsemRead)})
	put("down_read_interruptible down_read_killable down_read_killable_nested", prim{steps: lock(RwsemRead), on: onZero})
	put("down_read_trylock", prim{steps: lock(RwsemRead), on: onNonzero})
	put("up_read up_read_non_owner", prim{steps: unlock(RwsemRead)})
	put("down_write down_write_nested _down_write_nest_lock", prim{steps: lock(RwsemWrite)})
	put("down_write_killable down_write_killable_nested", prim{steps: lock(RwsemWrite), on: onZero})
	put("down_write_trylock", prim{steps: lock(RwsemWrite), on: onNonzero})
	put("up_write", prim{steps: unlock(RwsemWrite)})
	put("downgrade_write", prim{steps: []step{{RwsemWrite, 0, -1}, {RwsemRead, 0, 1}}})
	put("down", prim{steps: lock(Sem)})
	put("down_interruptible down_killable down_timeout", prim{steps: lock(Sem), on: onZero})
	put("down_trylock", prim{steps: lock(Sem), on: unlessOne})
	put("up", prim{steps: unlock(Sem)})

	put("percpu_down_write", prim{steps: lock(PercpuRwsemWrite)})
	put("percpu_up_write", prim{steps: unlock(PercpuRwsemWrite)})
	// The fast path of a per-CPU semaphore's readers is inline and looks like
	// any per-CPU counter; only functions that wrap one named semaphore are
	// known as readers. The slow path alone must not count.
	put("__percpu_down_read __percpu_up_read", prim{})
	put("cpus_read_lock", prim{steps: lock(PercpuRwsemRead), global: "cpu_hotplug_lock"})
	put("cpus_read_unlock", prim{steps: unlock(PercpuRwsemRead), global: "cpu_hotplug_lock"})
	put("cpus_read_trylock", prim{steps: lock(PercpuRwsemRead), on: onNonzero, global: "cpu_hotplug_lock"})

	// The console lock may be handed over to a waiting CPU instead of being
	// released; either way the caller has it no longer.
	put("console_lock", prim{steps: lock(Sem), global: "console_sem"})
	put("console_trylock console_trylock_spinning", prim{steps: lock(Sem), on: onNonzero, global: "console_sem"})
	put("console_unlock", prim{steps: unlock(Sem), global: "console_sem"})

	put("lock_sock_nested", prim{steps: lock(Sock)})
	put("release_sock", prim{steps: unlock(Sock)})

	put("__srcu_read_lock __srcu_read_lock_nmisafe", prim{steps: lock(SRCU)})
	put("__srcu_read_unlock __srcu_read_unlock_nmisafe", prim{steps: unlock(SRCU)})
	put("__rcu_read_lock", prim{steps: []step{{kind: RCU, delta: 1}}})
	put("__rcu_read_unlock", prim{steps: []step{{kind: RCU, delta: -1}}})

	put("__local_bh_disable_ip", prim{steps: []step{{kind: BH, delta: 1}}})
	put("__local_bh_enable_ip __local_bh_enable _local_bh_enable", prim{steps: []step{{kind: BH, delta: -1}}})

	// Interrupts; the pv_native_* are what pv_ops holds in the image.
	put("native_save_fl pv_native_save_fl", prim{saves: true})
	put("native_restore_fl pv_native_restore_fl", prim{restores: -1}) // argument 0
	put("native_irq_disable pv_native_irq_disable", prim{steps: []step{{kind: IRQ, delta: 1}}})
	put("native_irq_enable pv_native_irq_enable", prim{steps: []step{{kind: IRQ, delta: -1}}})
	put("warn_bogus_irq_restore", prim{})

	// Out of the way: scheduling leaves a task's locks as they are, although
	// its code takes the run queue's lock on one CPU's stack and drops it on
	// another's.
	put("__schedule schedule preempt_schedule preempt_schedule_notrace preempt_schedule_irq preempt_schedule_common"+
		" schedule_idle schedule_preempt_disabled preempt_schedule_thunk preempt_schedule_notrace_thunk __cond_resched", prim{})
	return m
}()

// keeps lists functions with a calling convention of their own that leaves
// registers alone: the registers (by number) that they change.
var keeps = map[string][]machine.Num{
	"__fentry__": {}, "preempt_schedule_thunk": {}, "preempt_schedule_notrace_thunk": {},
	"preempt_schedule": {}, "preempt_schedule_notrace": {},
	"__sw_hweight32": {rax}, "__sw_hweight64": {rax},
	"native_save_fl": {rax}, "pv_native_save_fl": {rax}, "native_irq_disable": {rax}, "pv_native_irq_disable": {rax},
	"native_irq_enable": {rax}, "pv_native_irq_enable": {rax},
	"_paravirt_ident_64": {rax}, "_paravirt_ident_32": {rax}, "__native_queued_spin_unlock": {rax}, "__native_vcpu_is_preempted": {rax},
	"__raw_callee_save___native_queued_spin_unlock": {rax}, "__raw_callee_save___native_vcpu_is_preempted": {rax},
	"pv_native_read_cr2": {rax},
	"__get_user_1":       {rax, rdx}, "__get_user_2": {rax, rdx}, "__get_user_4": {rax, rdx}, "__get_user_8": {rax, rdx},
	"__get_user_nocheck_1": {rax, rdx}, "__get_user_nocheck_2": {rax, rdx}, "__get_user_nocheck_4": {rax, rdx}, "__get_user_nocheck_8": {rax, rdx},
	"__put_user_1": {rcx, rbx}, "__put_user_2": {rcx, rbx}, "__put_user_4": {rcx, rbx}, "__put_user_8": {rcx, rbx},
	"__put_user_nocheck_1": {rcx, rbx}, "__put_user_nocheck_2": {rcx, rbx}, "__put_user_nocheck_4": {rcx, rbx}, "__put_user_nocheck_8": {rcx, rbx},
	"clear_page_rep": {rax, rcx, rdi}, "clear_page_orig": {rax, rcx, rdi}, "clear_page_erms": {rax, rcx, rdi},
}

// Those of the table above.
const (
	rax = machine.RAX
	rbx = machine.RBX
	rcx = machine.RCX
	rdx = machine.RDX
	rdi = machine.RDI
)

// convention is how functions of the kernel call each other: the registers that
// carry arguments, further ones lie on the stack, and what a call may change.
var convention = machine.X86.Convention()

var (
	argReg   = convention.Args
	retReg   = convention.Result[0]
	stackReg = convention.StackPtr
)

const maxArgs = 10

// args are the arguments of one call.
type args [maxArgs]vid
