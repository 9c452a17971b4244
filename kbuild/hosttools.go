package kbuild

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Objtool of v7.2 reads /proc/self/maps when it starts (read_stack_limit,
// tools/objtool/signal.c), so that it can tell, should it crash, whether its stack
// overflowed; where it cannot read that, it ends. In the sandbox it cannot: a rule for
// that one file is not possible, because no process has a number yet when the rules are
// made, and a rule for all of /proc would show the command lines of everybody.
//
// The copy of the source that objtool is built from is therefore changed to do without.
// A crash is then called one, whatever its cause.
const (
	signalFile  = "tools/objtool/signal.c"
	asksForMaps = "\tif (read_stack_limit())\n"
	doesWithout = "\tif (0 && read_stack_limit())\n"
)

// adaptTools changes the private copy of the source where its host tools would not run in
// the sandbox. It does the same in all trees, whether there is a sandbox or not, so that
// objects do not depend on that.
func (p *preparation) adaptTools() error {
	path := filepath.Join(p.tree, signalFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // before v6.18
	}
	if err != nil {
		return fmt.Errorf("adapt objtool: %w", err)
	}
	if !strings.Contains(string(text), asksForMaps) {
		return nil
	}
	// A new file: this one may be a hard link.
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("adapt objtool: %w", err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), asksForMaps, doesWithout, 1)), 0o644); err != nil {
		return fmt.Errorf("adapt objtool: %w", err)
	}
	return nil
}
