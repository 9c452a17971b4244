package kbuild

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// savedCommand is what kbuild keeps in .x.o.cmd beside x.o
// (scripts/basic/fixdep.c and scripts/Kbuild.include, v6.1).
type savedCommand struct {
	Object  string // as kbuild names it; may hold ".."
	Command string // the shell command, run at the tree's root
	Source  string
	Deps    []string // files read, without include/config markers
	Configs []string // options that they name, "CONFIG_SMP", in the order of the file
	CRCs    map[string]uint32
}

// parseCmdFile reads the text of a .cmd file.
func parseCmdFile(data []byte) (*savedCommand, error) {
	saved := &savedCommand{CRCs: map[string]uint32{}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 4<<20)
	inDeps := false
	for lines.Scan() {
		line := lines.Text()

		// The dependencies are one variable over many lines, to the first that is not continued.
		if inDeps {
			dep := strings.TrimSpace(strings.TrimSuffix(line, "\\"))
			inDeps = strings.HasSuffix(line, "\\")
			if marker, ok := strings.CutPrefix(dep, "$(wildcard include/config/"); ok {
				saved.Configs = append(saved.Configs, configOption(strings.TrimSuffix(marker, ")")))
			} else if dep != "" && !strings.HasPrefix(dep, "$(wildcard") {
				saved.Deps = append(saved.Deps, path.Clean(dep))
			}
			continue
		}

		switch {
		case strings.HasPrefix(line, "cmd_"), strings.HasPrefix(line, "savedcmd_"):
			name, value, ok := strings.Cut(line, " := ")
			if ok && saved.Command == "" {
				_, saved.Object, _ = strings.Cut(name, "cmd_")
				saved.Command = unescapeMake(value)
			}
		case strings.HasPrefix(line, "source_"):
			_, value, _ := strings.Cut(line, " := ")
			saved.Source = path.Clean(strings.TrimSpace(value))
		case strings.HasPrefix(line, "deps_"):
			inDeps = strings.HasSuffix(line, "\\")
		case strings.HasPrefix(line, "#SYMVER "):
			if err := addCRC(saved.CRCs, line); err != nil {
				return nil, err
			}
		}
	}

	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read saved command: %w", err)
	}
	if saved.Command == "" {
		return nil, fmt.Errorf("read saved command: none in the file")
	}
	return saved, nil
}

// configOption names the option that a marker below include/config stands for: FOO_BAR,
// until v5.13 foo/bar.h.
func configOption(marker string) string {
	marker = strings.TrimSuffix(marker, ".h")
	return "CONFIG_" + strings.ToUpper(strings.ReplaceAll(marker, "/", "_"))
}

// addCRC reads a line "#SYMVER name 0x01234567" (scripts/genksyms/genksyms.c, v6.1).
func addCRC(crcs map[string]uint32, line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return fmt.Errorf("read symbol version: unexpected line %q", line)
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(fields[2], "0x"), 16, 32)
	if err != nil {
		return fmt.Errorf("read symbol version of %s: %w", fields[1], err)
	}
	crcs[fields[1]] = uint32(v)
	return nil
}

// unescapeMake undoes what make-cmd in scripts/Kbuild.include does so that make
// can read the command back.
func unescapeMake(s string) string {
	s = strings.ReplaceAll(s, "$(pound)", "#")
	s = strings.ReplaceAll(s, `\#`, "#")
	return strings.ReplaceAll(s, "$$", "$")
}

// cmdFile is the path of the saved command of an object.
func cmdFile(object string) string {
	dir, base := path.Split(object)
	return dir + "." + base + ".cmd"
}

// dryRun asks kbuild for the commands of objects without building anything: make
// -n prints the call of fixdep, whose last argument is the command it would save.
// db is nil before the tree is evaluated.
func (t *Tree) dryRun(ctx context.Context, e *environment, db *ownerDB, dir string,
	goals []string) (map[string]string, error) {
	out, err := t.makeGoals(ctx, e, db, dir, []string{"-n", "-k"}, goals)
	cmds := map[string]string{}
	for line := range strings.Lines(string(out)) {
		obj, cmd, ok := fixdepCommand(line)
		if !ok {
			continue
		}
		obj = path.Clean(obj)
		if old, twice := cmds[obj]; twice && old != cmd {
			return nil, fmt.Errorf("kbuild has two commands for %s:\n%s\n%s", obj, old, cmd)
		}
		cmds[obj] = cmd
	}
	if len(cmds) > 0 {
		return cmds, nil
	}
	return cmds, err
}

// fixdepCommand finds "scripts/basic/fixdep DEPFILE TARGET 'COMMAND' >" in a line.
func fixdepCommand(line string) (target, cmd string, ok bool) {
	const tool = "scripts/basic/fixdep "
	i := strings.LastIndex(line, tool)
	if i < 0 {
		return "", "", false
	}
	words, err := shellWords(line[i+len(tool):])
	if err != nil || len(words) < 3 {
		return "", "", false
	}
	return words[1].text, unescapeMake(words[2].text), true
}
