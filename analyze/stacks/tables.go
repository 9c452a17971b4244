package stacks

import "github.com/klpforge/klpforge/analyze/kfuncs"

// primitive is how long a function of the scheduler waits.
type primitive uint8

const (
	notPrimitive primitive = iota
	boundedWait            // for something that makes progress
	stateWait              // as long as the task's state says
	timedWait              // the same, and no longer than its first argument
	longWait               // for ever, perhaps
)

// primitiveOf says how long a function of the scheduler waits; bounded counts when
// nothing else is known of the function, by its place in the scheduler or its name.
func primitiveOf(name string) primitive {
	switch wait, exact := kfuncs.Waits(name); {
	case !exact:
		return notPrimitive
	case wait == kfuncs.WaitState:
		return stateWait
	case wait == kfuncs.WaitTimed:
		return timedWait
	case wait == kfuncs.WaitForever:
		return longWait
	}
	return notPrimitive
}

// bounded reports whether waiting in a function ends by itself: it waits for
// memory, I/O, a lock, a grace period, or for other threads to do a job.
func bounded(name string) bool {
	wait, _ := kfuncs.Waits(name)
	return wait == kfuncs.WaitBounded
}

// creates reports whether a function starts a kernel thread in its first argument.
// But for kernel_thread, the fourth is the format of the thread's name.
func creates(name string) bool { return kfuncs.Runs(name, 0) == kfuncs.InThread }

// generic are members through which anything may be called; which function is
// meant in one place is not known.
var generic = map[string]bool{
	"notifier_block.notifier_call": true, "work_struct.func": true, "worker.current_func": true,
	"callback_head.func": true, "kthread_work.func": true,
	"timer_list.function": true, "hrtimer.function": true, "irq_work.func": true, "tasklet_struct.func": true,
	"async_entry.func":      true,
	"softirq_action.action": true, "wait_queue_entry.func": true, "cpuhp_step.startup.single": true,
	"cpuhp_step.teardown.single": true,
}

// atomicMembers are called where nothing may wait.
var atomicMembers = map[string]bool{
	"sock.sk_data_ready": true, "sock.sk_write_space": true, "sock.sk_state_change": true, "sock.sk_error_report": true,
	"sock.sk_backlog_rcv": true, "sock.sk_destruct": true,
	"sk_buff.destructor": true, "proto_ops.read_skb": true, "net_device_ops.ndo_start_xmit": true,
	"net_device_ops.ndo_get_stats64": true, "packet_type.func": true,
	"dst_ops.local_out": true, "dst_entry.output": true, "dst_entry.input": true,
	"inet_connection_sock_af_ops.send_check": true, "inet_connection_sock_af_ops.queue_xmit": true,
	"irqaction.handler": true, "irq_desc.handle_irq": true, "dentry_operations.d_hash": true,
	"dentry_operations.d_compare": true,
}
