package equiv

import "strings"

// messages are functions that only tell people something: what they are given
// and whether they are called changes nothing that code decides on.
// include/linux/{printk,dev_printk,netdevice,dynamic_debug}.h, kernel/panic.c, v6.1.
var messages = map[string]bool{
	"_printk": true, "printk": true, "_printk_deferred": true, "__warn_printk": true,
	"_dev_printk": true, "_dev_emerg": true, "_dev_alert": true, "_dev_crit": true, "_dev_err": true,
	"_dev_warn": true, "_dev_notice": true, "_dev_info": true,
	"netdev_printk": true, "netdev_emerg": true, "netdev_alert": true, "netdev_crit": true, "netdev_err": true,
	"netdev_warn": true, "netdev_notice": true, "netdev_info": true,
	"__dynamic_pr_debug": true, "__dynamic_dev_dbg": true, "__dynamic_netdev_dbg": true,
}

// preserving are functions that keep all registers (arch/x86/entry/thunk_64.S and
// arch/x86/include/asm/preempt.h, v6.1).
var preserving = map[string]bool{"__SCT__preempt_schedule": true, "__SCT__preempt_schedule_notrace": true,
	"preempt_schedule_thunk": true, "preempt_schedule_notrace_thunk": true}

// resched are static calls of functions without parameters
// (include/linux/{sched,kernel}.h, v6.1).
var resched = map[string]bool{"__SCT__cond_resched": true, "__SCT__might_resched": true}

// noReturn are functions that do not come back, by their declaration (v6.1, v6.12). nmi_panic,
// which returns to all but the first processor that calls it, is none.
var noReturn = map[string]bool{"__stack_chk_fail": true, "panic": true, "do_exit": true,
	"__fortify_panic": true, "fortify_panic": true, "make_task_dead": true,
	"__reiserfs_panic": true, "kthread_complete_and_exit": true, "__module_put_and_kthread_exit": true,
	"kthread_exit": true, "do_group_exit": true, "usercopy_abort": true}

// special reports whether a function of that name has a calling convention of its
// own (arch/x86/lib, arch/x86/entry/thunk_64.S, v6.1).
func special(name string) bool {
	for _, s := range []string{"__get_user_", "__put_user_", "copy_user_", "__copy_user_", "__sw_hweight",
		"preempt_schedule", "clear_user_", "rep_movs", "rep_stos", "xen_", "__x86_", "__raw_callee_save_",
		"___preempt_schedule", "entry_", "asm_", "__SCT__preempt_schedule", "cmpxchg16b", "this_cpu_cmpxchg16b"} {
		if strings.HasPrefix(name, s) {
			return true
		}
	}
	return strings.HasSuffix(name, "_thunk")
}

// lockPair tells how a lock is taken and given back: kind groups those of which
// two held at once need an order.
type lockPair struct{ take, give, kind string }

var lockPairs = func() (out []lockPair) {
	for _, c := range []string{"", "_bh", "_irq"} {
		for _, k := range []string{"spin", "read", "write"} {
			kind := k
			if k != "spin" {
				kind = "rwlock"
			}
			out = append(out, lockPair{"_raw_" + k + "_lock" + c, "_raw_" + k + "_unlock" + c, kind})
		}
	}
	for _, k := range []string{"spin", "read", "write"} {
		kind := k
		if k != "spin" {
			kind = "rwlock"
		}
		out = append(out, lockPair{"_raw_" + k + "_lock_irqsave", "_raw_" + k + "_unlock_irqrestore", kind})
	}
	return append(out,
		lockPair{"mutex_lock", "mutex_unlock", "mutex"}, lockPair{"mutex_lock_nested", "mutex_unlock", "mutex"},
		lockPair{"mutex_lock_io", "mutex_unlock", "mutex"},
		lockPair{"down_read", "up_read", "rwsem"}, lockPair{"down_write", "up_write", "rwsem"},
		lockPair{"down_read_nested", "up_read", "rwsem"}, lockPair{"down_write_nested", "up_write", "rwsem"},
		lockPair{"down", "up", "semaphore"}, lockPair{"lock_sock_nested", "release_sock", "socket"},
		lockPair{"rt_mutex_lock", "rt_mutex_unlock", "mutex"},
		lockPair{"__rcu_read_lock", "__rcu_read_unlock", "rcu"}, lockPair{"rcu_read_lock", "rcu_read_unlock",
			"rcu"}, lockPair{"rtnl_lock", "rtnl_unlock", "rtnl"},
		lockPair{"cpus_read_lock", "cpus_read_unlock", "cpus"}, lockPair{"console_lock", "console_unlock", "console"})
}()

// bare reports whether a kind of lock has no argument.
func bare(kind string) bool {
	return kind == "rcu" || kind == "rtnl" || kind == "cpus" || kind == "console"
}

func taken(name string) (lockPair, bool) {
	for _, l := range lockPairs {
		if l.take == name {
			return l, true
		}
	}
	return lockPair{}, false
}

func kindOf(take string) string {
	l, _ := taken(take)
	return l.kind
}

func gives(name string) bool {
	for _, l := range lockPairs {
		if l.give == name {
			return true
		}
	}
	return false
}

// releases reports whether a call gives back what another took.
func releases(give, take string) bool {
	for _, l := range lockPairs {
		if l.take == take && l.give == give {
			return true
		}
	}
	return false
}

// otherLock reports whether a call takes a lock in a way that is not followed: it
// may fail, or the function is not known.
func otherLock(name string) bool {
	return strings.Contains(name, "trylock") || strings.Contains(name, "_interruptible") &&
		(strings.Contains(name, "lock") || strings.HasPrefix(name, "down")) ||
		strings.Contains(name, "_killable") && (strings.Contains(name, "lock") || strings.HasPrefix(name, "down"))
}
