package guest

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// dropCaches drops clean page cache, dentries and inodes for certain.
//
// Writing to drop_caches alone does not: a page that was used lately sits in
// a per-CPU batch on its way to an LRU list, which holds a reference, and a
// page with references is skipped. Until 6.2 the handler does not flush those
// batches (fs/drop_caches.c and mapping_evict_folio in mm/truncate.c, v6.1),
// so whether one particular page goes depends on which CPU used it and what
// that CPU did since.
func dropCaches() error {
	if err := drainLRU(); err != nil {
		return err
	}
	return writeOnce("/proc/sys/vm/drop_caches", "3")
}

// drainLRU flushes the batches of every CPU: madvise(2) and munmap(2) flush
// those of the CPU they run on (lru_add_drain in mm/memory.c and mm/mmap.c, v6.1).
func drainLRU() error {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("get CPUs: %w", err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and end with the goroutine, as its affinity is changed
		done <- func() error {
			for cpu := range len(all) * 64 {
				if !all.IsSet(cpu) {
					continue
				}
				var one unix.CPUSet
				one.Set(cpu)
				if err := unix.SchedSetaffinity(0, &one); err != nil {
					return fmt.Errorf("go to CPU %d: %w", cpu, err)
				}
				if err := drainHere(); err != nil {
					return fmt.Errorf("flush LRU batches of CPU %d: %w", cpu, err)
				}
			}
			return nil
		}()
	}()
	return <-done
}

func drainHere() error {
	m, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	m[0] = 1
	err = unix.Madvise(m, unix.MADV_DONTNEED)
	if e := unix.Munmap(m); err == nil {
		err = e
	}
	return err
}
