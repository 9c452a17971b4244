package kmod

import (
	"fmt"
)

// NotFoundError means that the release ships no such module. Builtin
// says that it is compiled into vmlinux instead.
type NotFoundError struct {
	Release string
	Name    string
	Builtin bool
}

func (e *NotFoundError) Error() string {
	if e.Builtin {
		return fmt.Sprintf("%s is built into vmlinux of kernel %s, not a module", e.Name, e.Release)
	}
	return fmt.Sprintf("kernel %s has no module %s", e.Release, e.Name)
}
