package sleeps

import "strings"

// direct is __GFP_DIRECT_RECLAIM (include/linux/gfp_types.h, v6.1 and v6.12).
const direct = 0x400

func names(text string) map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(text) {
		m[n] = true
	}
	return m
}

// sleepers sleep whatever they are given (kernel/sched, kernel/locking,
// kernel/rcu, kernel/workqueue.c, lib/usercopy.c, v6.1). Access to user memory
// may fault, and the fault may sleep.
var sleepers = names(`schedule schedule_timeout schedule_timeout_interruptible schedule_timeout_killable schedule_timeout_uninterruptible
 schedule_timeout_idle schedule_hrtimeout schedule_hrtimeout_range schedule_hrtimeout_range_clock io_schedule io_schedule_timeout yield
 __might_sleep __might_resched __might_fault __SCT__might_resched __SCT__cond_resched __cond_resched __cond_resched_lock __cond_resched_rwlock_read
 __cond_resched_rwlock_write preempt_schedule_common
 mutex_lock mutex_lock_interruptible mutex_lock_killable mutex_lock_io mutex_lock_nested mutex_lock_interruptible_nested mutex_lock_killable_nested
 ww_mutex_lock ww_mutex_lock_interruptible rt_mutex_lock rt_mutex_lock_interruptible rt_mutex_lock_killable
 down down_interruptible down_killable down_timeout down_read down_read_interruptible down_read_killable down_write down_write_killable
 down_read_nested down_write_nested percpu_down_write __percpu_down_read cpus_read_lock console_lock rtnl_lock rtnl_lock_killable lock_sock_nested
 wait_for_completion wait_for_completion_timeout wait_for_completion_interruptible wait_for_completion_interruptible_timeout
 wait_for_completion_killable wait_for_completion_killable_timeout wait_for_completion_io wait_for_completion_io_timeout
 out_of_line_wait_on_bit out_of_line_wait_on_bit_lock __folio_lock __folio_lock_killable folio_wait_bit folio_wait_writeback wait_on_page_bit
 msleep msleep_interruptible usleep_range_state usleep_range fsleep ssleep
 synchronize_rcu synchronize_rcu_expedited synchronize_srcu synchronize_srcu_expedited synchronize_net synchronize_rcu_tasks rcu_barrier srcu_barrier
 synchronize_irq flush_work flush_delayed_work __flush_workqueue flush_workqueue drain_workqueue destroy_workqueue cancel_work_sync cancel_delayed_work_sync
 kthread_stop kthread_park kthread_create_on_node request_threaded_irq free_irq disable_irq
 _copy_from_user _copy_to_user copy_user_generic_string copy_user_enhanced_fast_string __copy_user_nocache clear_user __get_user_1 __get_user_2 __get_user_4
 __get_user_8 __put_user_1 __put_user_2 __put_user_4 __put_user_8 strncpy_from_user strnlen_user get_user_pages pin_user_pages
 vmalloc vzalloc vmap vunmap __vmalloc filp_open filp_close kernel_read kernel_write
 request_firmware device_register device_unregister device_add device_del sysfs_create_file_ns sysfs_remove_file_ns kobject_uevent kobject_uevent_env
 blkdev_get_by_path sync_inode_metadata sync_dirty_buffer`)

// never do not sleep, or only where sleeping is allowed anyway. They end the
// search, which would meet calls through pointers in most of them. Mapping for
// DMA may be done in interrupts (Documentation/core-api/dma-api-howto.rst);
// a hypercall is an instruction, and xen_mc_flush has BUG_ON(preemptible());
// __xen_hypercall_setfunc runs once, at the first hypercall of the boot; clocks of
// the scheduler are read in NMIs too.
var never = names(`__fentry__ __x86_return_thunk _printk vprintk vprintk_emit _printk_deferred dev_printk_emit console_unlock cgroup_rstat_flush_irqsafe __warn_printk __stack_chk_fail dump_stack _dev_printk _dev_err _dev_warn _dev_info
 _dev_notice __dynamic_pr_debug __dynamic_dev_dbg netdev_err netdev_warn netdev_info netdev_printk __ratelimit ___ratelimit
 preempt_schedule preempt_schedule_notrace preempt_schedule_irq preempt_schedule_thunk preempt_schedule_notrace_thunk
 kfree kfree_const kmem_cache_free kfree_skb_reason consume_skb __kfree_skb kfree_skb_list_reason __ksize ksize
 queue_work_on queue_delayed_work_on mod_delayed_work_on delayed_work_timer_fn mod_timer add_timer add_timer_on del_timer timer_delete
 init_timer_key hrtimer_start_range_ns hrtimer_init hrtimer_cancel hrtimer_try_to_cancel tasklet_setup tasklet_init __tasklet_schedule __tasklet_hi_schedule
 wake_up_process wake_up_state __wake_up __wake_up_sync __wake_up_locked complete complete_all up up_read up_write mutex_unlock mutex_trylock mutex_is_locked
 down_trylock down_read_trylock down_write_trylock rt_mutex_unlock ww_mutex_unlock percpu_up_write
 call_rcu call_rcu_hurry kvfree_call_rcu kfree_call_rcu call_srcu __rcu_read_lock __rcu_read_unlock __srcu_read_lock __srcu_read_unlock
 __local_bh_enable_ip __local_bh_disable_ip __init_waitqueue_head __mutex_init __init_rwsem __raw_spin_lock_init init_waitqueue_entry
 prepare_to_wait prepare_to_wait_event prepare_to_wait_exclusive finish_wait add_wait_queue remove_wait_queue init_wait_entry autoremove_wake_function
 memcpy memmove memset memcmp memchr strlen strnlen strcmp strncmp strcpy strncpy strscpy strlcpy strlcat strcat strchr strrchr strstr strsep snprintf
 scnprintf sprintf vsnprintf vscnprintf sscanf kstrtoint kstrtouint kstrtoul kstrtol kstrtobool kstrtoull kstrtoll simple_strtoul simple_strtol
 __list_add_valid __list_del_entry_valid __list_add_valid_or_report __list_del_entry_valid_or_report rb_insert_color rb_erase rb_next rb_prev rb_first
 __const_udelay __udelay __ndelay __delay ktime_get ktime_get_real_ts64 ktime_get_ts64 ktime_get_with_offset jiffies_to_msecs __msecs_to_jiffies
 get_random_u32 capable ns_capable refcount_warn_saturate refcount_dec_and_lock _atomic_dec_and_lock __bitmap_set __bitmap_clear find_first_bit
 _find_first_bit _find_next_bit _find_first_zero_bit _find_next_zero_bit __sw_hweight32 __sw_hweight64 get_device kobject_get __percpu_counter_sum
 percpu_counter_add_batch __netif_schedule netif_tx_wake_queue netif_carrier_on netif_carrier_off add_device_randomness __SCT__preempt_schedule
 __SCT__preempt_schedule_notrace __SCT__xen_hypercall __xen_hypercall_setfunc xen_mc_flush __SCT__pv_sched_clock __SCT__pv_steal_clock
 dma_map_page_attrs dma_unmap_page_attrs dma_map_sg_attrs dma_unmap_sg_attrs dma_sync_single_for_cpu dma_sync_single_for_device panic __this_cpu_preempt_check smp_call_function_single generic_handle_irq migrate_enable migrate_disable`)

// allocators hold GFP flags in this argument, from 0.
var allocators = map[string]int{
	"kmalloc_trace": 1, "__kmalloc": 1, "__kmalloc_node": 1, "kmalloc_node_trace": 1, "kmalloc_large": 1, "kmalloc_large_node": 1,
	"__kmalloc_node_track_caller": 1, "__kmalloc_track_caller": 1, "kmem_cache_alloc": 1, "kmem_cache_alloc_lru": 2, "kmem_cache_alloc_node": 1,
	"kmem_cache_alloc_trace": 1, "kmem_cache_alloc_node_trace": 1, "kmem_cache_alloc_bulk": 1, "__kmalloc_cache": 1, "__kmalloc_cache_node": 1, "__kmalloc_large": 1,
	"kvmalloc_node": 1, "__kvmalloc_node": 2, "krealloc": 2, "kmemdup": 2, "kstrdup": 1, "kstrndup": 2, "kstrdup_const": 1, "kmemdup_nul": 2, "kasprintf": 0, "kvasprintf": 0,
	"__alloc_pages": 0, "alloc_pages": 0, "__folio_alloc": 0, "folio_alloc": 0, "__get_free_pages": 0, "get_free_pages": 0, "get_zeroed_page": 0, "__alloc_percpu_gfp": 2,
	"__alloc_skb": 1, "__netdev_alloc_skb": 2, "__napi_alloc_skb": 2, "skb_copy": 1, "skb_clone": 1, "__pskb_copy_fclone": 2, "pskb_expand_head": 3, "skb_copy_expand": 3,
	"mempool_alloc": 1, "idr_alloc": 4, "idr_alloc_cyclic": 4, "idr_alloc_u32": 4, "ida_alloc_range": 3, "xa_store": 3, "__xa_store": 3, "__xa_alloc": 4, "radix_tree_preload": 0,
	"sg_alloc_table": 2, "usb_submit_urb": 1, "usb_alloc_urb": 1, "devm_kmalloc": 2, "devm_kstrdup": 2, "devm_kmemdup": 3, "dma_alloc_attrs": 3, "dma_pool_alloc": 1,
	"bio_alloc_bioset": 3, "nlmsg_notify": 5, "genlmsg_multicast_allns": 3,
}

// base is the name that the tables have for a function.
func base(name string) string { return strings.TrimSuffix(name, "_noprof") }

// harmless reports whether a function never sleeps by its kind: the spinning
// locks, and the callers of tracepoints' probes, which run with preemption
// disabled.
func harmless(name string) bool {
	for _, p := range []string{"_raw_spin_", "_raw_read_", "_raw_write_", "__traceiter_", "__SCT__tp_func_", "queued_spin_", "native_queued_"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return never[name]
}
