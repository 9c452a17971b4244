package ownership

import "github.com/klpforge/klpforge/analyze/locks"

// counted are functions that take or give up the ownership of an argument's
// object (v6.1 and v6.12).
var counted = func() map[string]locks.Counted {
	m := map[string]locks.Counted{}
	for _, f := range []string{
		"kfree", "kfree_sensitive", "kvfree", "vfree", "kfree_const", "kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "__kfree_skb", "consume_skb", "dev_kfree_skb_any_reason",
		"put_device", "kobject_put", "of_node_put", "fwnode_handle_put", "dput", "iput", "fput", "mntput", "path_put", "module_put", "put_pid", "put_disk", "bio_put", "blkdev_put", "key_put",
		"pci_dev_put", "usb_put_dev", "usb_put_intf", "usb_free_urb", "free_netdev", "sk_free", "__put_cred", "__put_task_struct", "__mmdrop", "mmput", "dst_release", "__folio_put", "__put_page",
		"put_files_struct", "put_fs_context", "drm_dev_put", "drm_mode_object_put", "i2c_put_adapter", "platform_device_put", "crypto_mod_put", "css_put", "kthread_destroy_worker", "clk_put",
		"gpiod_put", "regulator_put", "rpc_put_task", "rpc_release_client", "nfs_put_client", "xprt_put", "unregister_netdevice_queue", "scsi_device_put", "scsi_host_put", "blk_put_queue",
	} {
		m[f] = locks.Counted{Delta: -1}
	}
	for _, f := range []string{
		"get_device", "kobject_get", "of_node_get", "fwnode_handle_get", "ihold", "igrab", "mntget", "path_get", "try_module_get", "__module_get", "get_disk_ro", "pci_dev_get", "usb_get_dev", "usb_get_intf",
		"usb_get_urb", "drm_dev_get", "drm_mode_object_get", "bio_get", "skb_get", "get_files_struct", "scsi_device_get", "scsi_host_get", "key_get", "blk_get_queue",
	} {
		m[f] = locks.Counted{Delta: 1}
	}
	m["kmem_cache_free"] = locks.Counted{Arg: 1, Delta: -1}
	m["mempool_free"] = locks.Counted{Delta: -1}
	m["call_rcu"] = locks.Counted{Delta: -1}
	m["kvfree_call_rcu"] = locks.Counted{Delta: -1}
	return m
}()
