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
// own module; its build cache makes a second build quick.
func BuildInit(ctx context.Context, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", out, initPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build guest program: %w (run inside the klpforge source, or set Options.Init): %s", err,
			strings.TrimSpace(string(out)))
	}
	return nil
}
