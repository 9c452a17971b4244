// Package vm boots a distribution's kernel in QEMU and runs a script in it:
// loading livepatches, watching transitions, provoking the bug that a patch
// cures, and looking for complaints of the kernel.
//
// A boot needs a vmlinuz, the kernel's modules and nothing else: no disk, no
// network, no root. The initramfs holds the guest program (package guest) as
// /init, the script, and the files that the script names. Kernel messages come
// over the first serial port, results over the second.
//
// # Why not vmtest
//
// github.com/hugelgupf/vmtest has the same shape, and its qemu.Options is what
// Options here follows. It is not used because it takes defaults from VMTEST_*
// variables, so that the command line depends on the environment; because it
// gives the guest files and results through 9P or virtio, which Debian's cloud
// kernel has as modules only; and because its event channel is a virtio port,
// for the same reason.
package vm
