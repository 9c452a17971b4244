package model

import "strings"

// noReturnNames are functions that do not return by contract, although their
// code may not show it (tools/objtool/check.c, v6.1 and noreturns.h, v6.12,
// list those that the compiler is told of).
var noReturnNames = map[string]bool{
	"__invalid_creds": true, "__kunit_abort": true, "__module_put_and_kthread_exit": true, "__reiserfs_panic": true,
	"__stack_chk_fail": true, "__tdx_hypercall_failed": true, "__ubsan_handle_builtin_unreachable": true,
	"arch_call_rest_init": true, "arch_cpu_idle_dead": true, "bch2_trans_in_restart_error": true,
	"cpu_bringup_and_idle": true, "cpu_startup_entry": true, "do_exit": true, "do_group_exit": true,
	"do_task_dead": true, "ex_handler_msr_mce": true, "fortify_panic": true, "__fortify_panic": true,
	"hlt_play_dead": true, "hv_ghcb_terminate": true, "kthread_complete_and_exit": true, "kthread_exit": true,
	"kunit_try_catch_throw": true, "lbug_with_loc": true, "machine_real_restart": true, "make_task_dead": true,
	"mpt_halt_firmware": true, "nmi_panic_self_stop": true, "panic": true, "panic_smp_self_stop": true,
	"rest_init": true, "rewind_stack_and_make_dead": true, "rust_begin_unwind": true, "rust_helper_BUG": true,
	"sev_es_terminate": true, "snp_abort": true, "start_kernel": true, "stop_this_cpu": true, "usercopy_abort": true,
	"x86_64_start_kernel": true, "x86_64_start_reservations": true, "xen_cpu_bringup_again": true, "xen_start_kernel": true,
}

// coldParent returns the name of the function that a .cold part was split
// from.
func coldParent(name string) (string, bool) {
	if i := strings.Index(name, ".cold"); i > 0 && (len(name) == i+5 || name[i+5] == '.') {
		return name[:i], true
	}
	return "", false
}

// threadEnds are the functions by which a thread ends itself.
var threadEnds = map[string]bool{
	"do_exit": true, "do_group_exit": true, "do_task_dead": true, "kthread_exit": true, "kthread_complete_and_exit": true,
	"complete_and_exit": true, "__module_put_and_kthread_exit": true, "make_task_dead": true, "rewind_stack_and_make_dead": true,
}
