package vm

import (
	"fmt"

	"github.com/klpforge/klpforge/kernel/karch"
)

// board is the machine that QEMU emulates for one architecture.
type board struct {
	qemu    string // program
	goarch  string // of the guest program
	machine string // -machine
	cpu     string // default of Options.CPU
	console string // console= of the kernel's command line
	quirks  string // what else the kernel has to be told there; begins with a space
	// results are the arguments for a second port, which the guest program knows as
	// guest.ResultsDevice, that writes to the file of that name.
	results func(file string) []string
}

// boards are those by the kernel's names of architectures.
var boards = map[string]board{
	// On a host with more work than CPUs, emulated timers are late, which a kernel on real
	// hardware may take for a defect: no_timer_check leaves out the test at boot that panics
	// (timer_irq_works in arch/x86/kernel/apic/io_apic.c, v6.1).
	"x86": {qemu: "qemu-system-x86_64", goarch: "amd64", machine: "q35", cpu: "max",
		console: "ttyS0,115200", quirks: " edd=off no_timer_check",
		results: func(file string) []string { return []string{"-serial", "file:" + file} }},
	// The machine has one serial port, so results take a virtio console. Signatures of return
	// addresses are computed by a cipher of QEMU's own: the architecture's takes a third of all time.
	"arm64": {qemu: "qemu-system-aarch64", goarch: "arm64", machine: "virt,gic-version=3", cpu: "max,pauth-impdef=on",
		console: "ttyAMA0,115200",
		results: func(file string) []string {
			return []string{"-device", "virtio-serial-device", "-chardev", "file,id=results,path=" + file,
				"-device", "virtconsole,chardev=results"}
		}},
}

// board returns the machine for the kernel of the options; "" for Arch is x86.
func (o Options) board() (board, error) {
	arch, err := karch.Named(o.Arch)
	if err != nil {
		return board{}, err
	}
	found, ok := boards[arch.Name]
	if !ok {
		return board{}, fmt.Errorf("choose the machine: there is none here for %s", arch.Name)
	}
	return found, nil
}
