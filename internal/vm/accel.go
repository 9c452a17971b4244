package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klpforge/klpforge/kernel/karch"
)

// KVMEnv is the environment variable that lets AccelAuto try KVM when it is
// "1". On some machines /dev/kvm exists and the guest hangs before its first
// line, so nobody should meet the probe who did not ask for it.
const KVMEnv = "KLPFORGE_KVM"

// probeTimeout is how long the probe boot may take; with KVM it takes one second.
const probeTimeout = 8 * time.Second

// probed remembers the outcome per kernel for the life of the process.
var probed sync.Map // kernel path -> accelerator

// resolveAccel turns AccelAuto into KVM when KVMEnv allows it and a boot of
// the same kernel with nothing but the guest program comes to its end in
// time; into TCG otherwise.
func resolveAccel(ctx context.Context, o Options) (string, error) {
	if o.Accel != AccelAuto {
		return o.Accel, nil
	}
	if arch, err := karch.Named(o.Arch); err != nil || arch.CrossPrefix() != "" {
		return AccelTCG, nil // this machine's processor does not run its code
	}
	if os.Getenv(KVMEnv) != "1" && !o.Probe {
		return AccelTCG, nil
	}
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return AccelTCG, nil
	}
	if known, ok := probed.Load(o.Kernel); ok {
		return known.(string), nil
	}
	probe := Options{Kernel: o.Kernel, Arch: o.Arch, QEMU: o.QEMU, CPU: o.CPU, Init: o.Init,
		Accel: AccelKVM, Timeout: probeTimeout,
		Dir: filepath.Join(o.Dir, "kvm-probe")}
	if err := os.MkdirAll(probe.Dir, 0o755); err != nil {
		return "", fmt.Errorf("probe KVM: %w", err)
	}
	accel := AccelTCG
	if result, err := Run(ctx, probe, minimal()); err == nil && result.Err() == nil {
		accel = AccelKVM
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("probe KVM: %w", err)
	}
	probed.Store(o.Kernel, accel)
	return accel, nil
}
