package stacks

import "strings"

// primitive is how long a function of the scheduler waits.
type primitive uint8

const (
	notPrimitive primitive = iota
	boundedWait            // for something that makes progress
	stateWait              // as long as the task's state says
	timedWait              // the same, and no longer than its first argument
	longWait               // for ever, perhaps
)

// primitives of 6.1 and 6.12 (kernel/sched/core.c, kernel/sched/completion.c,
// kernel/time/timer.c and hrtimer.c, kernel/locking/semaphore.c).
var primitives = map[string]primitive{
	"schedule": stateWait, "schedule_preempt_disabled": stateWait, "freezable_schedule": stateWait,
	"schedule_timeout": timedWait, "schedule_hrtimeout": timedWait, "schedule_hrtimeout_range": timedWait, "schedule_hrtimeout_range_clock": timedWait,
	"wait_for_completion_interruptible": longWait, "do_nanosleep": longWait, "down_interruptible": longWait, "wait_for_completion_state": longWait,
}

// stateArgs are the arguments that are a task's state, where no types tell
// (kernel/sched/wait.c and swait.c, v6.1).
var stateArgs = map[string]int{"prepare_to_wait": 2, "prepare_to_wait_event": 2, "prepare_to_wait_exclusive": 2, "prepare_to_swait_event": 2, "prepare_to_swait_exclusive": 2, "wait_woken": 1}

// creators start kernel threads; the first argument is the thread's function
// and, but for kernel_thread, the fourth the format of its name.
var creators = map[string]bool{
	"kthread_create_on_node": true, "__kthread_create_on_node": true, "kthread_create_on_cpu": true, "kernel_thread": true, "user_mode_thread": true,
	"create_io_thread": true, "vhost_task_create": true,
}

// generic are members through which anything may be called; which function is
// meant in one place is not known.
var generic = map[string]bool{
	"notifier_block.notifier_call": true, "work_struct.func": true, "worker.current_func": true, "callback_head.func": true, "kthread_work.func": true,
	"timer_list.function": true, "hrtimer.function": true, "irq_work.func": true, "tasklet_struct.func": true, "async_entry.func": true,
	"softirq_action.action": true, "wait_queue_entry.func": true, "cpuhp_step.startup.single": true, "cpuhp_step.teardown.single": true,
}

// atomicRoots run with interrupts off, in interrupts, or under spin locks.
var atomicRoots = []string{
	"try_to_wake_up", "default_wake_function", "__wake_up_common", "scheduler_tick", "sched_tick", "update_process_times", "hrtimer_interrupt", "run_rebalance_domains", "rcu_sched_clock_irq",
	"__rcu_read_unlock", "rcu_read_unlock_special", "call_rcu", "kfree", "kmem_cache_free", "raise_softirq_irqoff", "raise_softirq", "queue_work_on", "mod_timer", "del_timer", "timer_delete",
	"_raw_spin_unlock_irqrestore", "__local_bh_enable_ip", "irq_work_queue", "kill_fasync", "send_sig_info", "__send_signal_locked", "signal_wake_up_state", "complete", "complete_all",
	"__free_pages", "free_pages", "free_unref_page", "__netif_rx", "netif_rx", "__napi_schedule", "napi_consume_skb", "generic_handle_irq", "handle_edge_irq", "handle_fasteoi_irq", "do_softirq",
	"tcp_v4_rcv", "tcp_v4_do_rcv", "tcp_v6_rcv", "udp_rcv", "udpv6_rcv", "__netif_receive_skb_core", "__netif_receive_skb_core.constprop.0", "net_rx_action", "net_tx_action", "tcp_write_timer_handler", "tcp_delack_timer_handler", "icmp6_send", "icmp_rcv",
	"ktime_get", "vsnprintf", "snprintf", "seq_printf", "down_trylock", "mutex_trylock", "up", "atomic_notifier_call_chain", "dump_stack", "idr_remove", "radix_tree_delete", "xa_erase",
}

// atomicMembers are called where nothing may wait.
var atomicMembers = map[string]bool{
	"sock.sk_data_ready": true, "sock.sk_write_space": true, "sock.sk_state_change": true, "sock.sk_error_report": true, "sock.sk_backlog_rcv": true, "sock.sk_destruct": true,
	"sk_buff.destructor": true, "proto_ops.read_skb": true, "net_device_ops.ndo_start_xmit": true, "net_device_ops.ndo_get_stats64": true, "packet_type.func": true,
	"dst_ops.local_out": true, "dst_entry.output": true, "dst_entry.input": true, "inet_connection_sock_af_ops.send_check": true, "inet_connection_sock_af_ops.queue_xmit": true,
	"irqaction.handler": true, "irq_desc.handle_irq": true, "dentry_operations.d_hash": true, "dentry_operations.d_compare": true,
}

var idleLoop = map[string]bool{
	"do_idle": true, "cpu_startup_entry": true, "cpu_idle_poll": true, "call_cpuidle": true, "cpuidle_idle_call": true, "cpuidle_enter": true, "cpuidle_enter_state": true,
	"default_idle_call": true, "default_idle": true, "arch_cpu_idle": true, "default_enter_idle": true, "mwait_idle": true, "acpi_idle_do_entry": true, "acpi_idle_enter": true, "intel_idle": true,
	"rest_init": true, "start_secondary": true, "start_kernel": true, "arch_call_rest_init": true, "x86_64_start_reservations": true, "x86_64_start_kernel": true,
	"secondary_startup_64_no_verify": true, "secondary_startup_64": true, "cpu_bringup_and_idle": true, "xen_start_kernel": true,
}

// bounded reports whether waiting in a function ends by itself: it waits for
// memory, I/O, a lock, a grace period, or for other threads to do a job.
func bounded(name string) bool {
	for _, p := range []string{
		"__alloc_pages", "alloc_pages", "__kmalloc", "kmem_cache_alloc", "__vmalloc", "vmalloc", "kvmalloc", "mempool_alloc", "try_to_free_", "handle_mm_fault", "__handle_mm_fault", "handle_userfault", "mem_cgroup_", "try_charge_memcg", "obj_cgroup_charge", "throttle_direct_reclaim", "reclaim_throttle",
		"submit_bio", "blk_execute_rq", "folio_wait_bit", "__folio_lock", "folio_lock", "wait_on_page", "__wait_on_b", "out_of_line_wait_on_b", "io_schedule", "bdi_", "balance_dirty_pages", "sync_inode",
		"mutex_", "__mutex_", "down_", "__down_", "rwsem_", "ww_mutex_", "rt_mutex_", "percpu_down", "__percpu_down", "ldsem_",
		"synchronize_", "rcu_barrier", "wait_rcu_gp", "__wait_rcu_gp", "flush_work", "__flush_work", "flush_workqueue", "__flush_workqueue", "cancel_work_sync", "cancel_delayed_work_sync", "__cancel_work", "drain_workqueue",
		"kthread_stop", "kthread_park", "kthread_flush_work", "kthread_create", "__kthread_create", "call_usermodehelper", "__request_module", "stop_machine", "stop_one_cpu", "stop_cpus", "smp_call_",
		"async_synchronize_", "async_schedule", "freeze_", "__refrigerator", "try_to_freeze", "__cond_resched", "preempt_schedule", "request_firmware", "_request_firmware", "msleep", "usleep_", "fsleep", "ssleep",
		"nlmsg_notify", "rtnl_notify", "rtnl_unlock", "netdev_run_todo", "netlink_broadcast", "netlink_ack", "audit_log_end", "kmsg_release", "vprintk", "_printk", "__warn_printk", "console_", "atomic_notifier_", "raw_notifier_", "__do_softirq", "handle_irq", "trigger_",
		"suspend_", "hibernat", "enter_state", "pm_suspend", "panic", "do_exit", "do_group_exit", "make_task_dead",
	} {
		if strings.HasPrefix(name, p) {
			return name != "down_interruptible"
		}
	}
	return false
}
