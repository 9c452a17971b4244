//go:build linux

// Command vminit is the /init of the test VM: it runs the script that the
// host left in the initramfs and powers the machine off.
package main

import "github.com/klpforge/klpforge/internal/vm/guest"

func main() { guest.Main() }
