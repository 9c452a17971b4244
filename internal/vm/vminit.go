package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// initPackage is the guest program.
const initPackage = "github.com/klpforge/klpforge/internal/vm/cmd/vminit"

// BuildInit builds the guest program into the file out, statically linked.
// The go command must be there and the current directory inside klpforge's
// own module; its build cache makes a second build quick. It is for x86; [BuildInitFor] is for others.
func BuildInit(ctx context.Context, out string) error { return BuildInitFor(ctx, out, "") }

// BuildInitFor is BuildInit for kernels of an architecture, by any of its names.
func BuildInitFor(ctx context.Context, out, arch string) error {
	on, err := Options{Arch: arch}.board()
	if err != nil {
		return fmt.Errorf("build guest program: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", out, initPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+on.goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build guest program: %w (run inside the klpforge source, or set Options.Init): %s", err,
			strings.TrimSpace(string(out)))
	}
	return nil
}
