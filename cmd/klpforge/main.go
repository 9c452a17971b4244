// Command klpforge turns a source patch and a target kernel into a livepatch
// module.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

func main() {
	if os.Args[0] == "/init" && os.Getpid() == 1 {
		guest.Main() // in a VM of klpforge try, whose first program this is
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
