package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
)

// The commands that kbuild saved in a build tree say how the kernel was made more exactly
// than its configuration: by which compiler, under the name that it has here; by which
// linker; and with which flags beside those of the makefiles (make KCFLAGS=).

// recordedBuild is what the saved commands of a build tree tell. Its zero value tells
// nothing.
type recordedBuild struct {
	CC    string   // compiler command, "ccache gcc-12"
	LD    string   // linker
	Flags []string // with which init/main.c was compiled, but for those of optionsOfPlace
}

// maxSavedCommand bounds the files that are read here, in bytes.
const maxSavedCommand = 4 << 20

// readRecorded reads the saved commands of a build tree, "" for none. Commands that were
// removed (make clean) tell nothing.
func readRecorded(dir string) (recordedBuild, error) {
	var recorded recordedBuild
	if dir == "" {
		return recorded, nil
	}
	cc, err := readSaved(filepath.Join(dir, cmdFile(witness)))
	if err != nil {
		return recorded, err
	}
	if cc != "" {
		if recorded.CC, recorded.Flags, err = splitCompilation(cc); err != nil {
			return recorded, fmt.Errorf("read how %s was built: %w", dir, err)
		}
	}
	link, err := readSaved(filepath.Join(dir, ".vmlinux.cmd"))
	if err != nil {
		return recorded, err
	}
	words, err := shellWords(link)
	if err != nil {
		return recorded, fmt.Errorf("read how %s was linked: %w", dir, err)
	}
	// sh scripts/link-vmlinux.sh "LD" "flags" … (top Makefile, v5.4 to v7.2)
	for i, w := range words {
		if filepath.Base(w.text) == "link-vmlinux.sh" && i+1 < len(words) {
			recorded.LD = words[i+1].text
		}
	}
	return recorded, nil
}

// readSaved returns the command that a file of kbuild saved, "" if there is no such file.
func readSaved(path string) (string, error) {
	data, err := regular.Read(path, maxSavedCommand)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read saved command: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, command, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " := ")
		if ok && (strings.HasPrefix(name, "cmd_") || strings.HasPrefix(name, "savedcmd_")) {
			return unescapeMake(command), nil
		}
	}
	return "", nil
}

// splitCompilation divides a command into the compiler and those of its flags that do
// not name places.
func splitCompilation(command string) (cc string, flags []string, err error) {
	words, err := compilerCall(command)
	if err != nil {
		return "", nil, err
	}
	i := slices.IndexFunc(words, func(w word) bool { return strings.HasPrefix(w.text, "-") })
	if i <= 0 {
		return "", nil, fmt.Errorf("no compiler and flags in %.80s", command)
	}
	var program []string
	for _, w := range words[:i] {
		program = append(program, w.text)
	}
	for skip := false; i < len(words); i++ {
		switch text := words[i].text; {
		case skip:
			skip = false
		case text == "-o", text == "-include", text == "-isystem", text == "-idirafter", text == "-I":
			skip = true
		case text == "-c", optionOfPlace.MatchString(text), strings.HasPrefix(text, "-W") &&
			!toolOption.MatchString(text):
		default:
			flags = append(flags, text)
		}
	}
	// The last word is the source.
	if n := len(flags); n > 0 && !strings.HasPrefix(flags[n-1], "-") {
		flags = flags[:n-1]
	}
	return strings.Join(program, " "), flags, nil
}

var (
	// optionOfPlace are options that say where something is; they differ between a
	// build in place and one of O=.
	optionOfPlace = regexp.MustCompile(`^(-I|-Wp,-M|-f(macro|file|debug)-prefix-map=|-fplugin=|-frandomize-layout-seed-file=)`)
	// toolOption are options for the assembler and its like; other -W are warnings.
	toolOption = regexp.MustCompile(`^-W[lap],`)
)

// linkTime are options that klpforge leaves out itself, see kconfig.unlinked.
var linkTime = regexp.MustCompile(`^-f(no-)?(lto|lto=.*|split-lto-unit)$`)

// subtract returns the words that taken does not have as often, in their order.
func subtract(words, taken []string) []string {
	have := map[string]int{}
	for _, w := range taken {
		have[w]++
	}
	var out []string
	for _, w := range words {
		if have[w]--; have[w] < 0 {
			out = append(out, w)
		}
	}
	return out
}

// findFlags compares the flags with which the build tree's kernel was compiled with those
// that the prepared tree's makefiles give, and takes over what they lack. It returns
// warnings about flags that only the makefiles give, which nothing can take away.
func (p *preparation) findFlags(ctx context.Context) ([]string, error) {
	if len(p.recorded.Flags) == 0 {
		return nil, nil
	}

	// One object's flags stand for all: what kbuild gives to the witness, it gives to every C
	// file.
	tree := p.describe(treeMeta{Release: p.Release, Arch: p.Arch, CC: p.CC, HostCC: p.hostCC, CCVersion: p.ccText,
		Vars: p.vars, KCFLAGS: p.KCFLAGS})
	tree.preparing = true
	e, err := tree.environment(ctx, p.KCFLAGS)
	if err != nil {
		return nil, err
	}
	commands, err := tree.dryRun(ctx, e, nil, tree.Dir, []string{witness})
	if err != nil || commands[witness] == "" {
		return nil, fmt.Errorf("ask kbuild for the command of %s: %w", witness, err)
	}
	_, ours, err := splitCompilation(commands[witness])
	if err != nil {
		return nil, err
	}

	theirs := slices.DeleteFunc(slices.Clone(p.recorded.Flags), linkTime.MatchString)
	ours = slices.DeleteFunc(ours, linkTime.MatchString)
	if more := subtract(theirs, ours); len(more) > 0 {
		p.KCFLAGS = strings.TrimSpace(p.KCFLAGS + " " + strings.Join(more, " "))
	}

	// What only the makefiles give cannot be taken away by KCFLAGS.
	var warnings []string
	for _, f := range subtract(ours, theirs) {
		warnings = append(warnings, fmt.Sprintf("compiler flags: %s was built without %s, which the makefiles give now",
			p.BuildTree, f))
	}
	return warnings, nil
}

var (
	seedText  = regexp.MustCompile(`[0-9a-f]{64}`)
	seedDrawn = regexp.MustCompile(`(?m)^(\s*)SEED=.*$`)
)

// seedScripts draw the seeds of seedFiles, in the same order.
var seedScripts = []string{"scripts/gen-randstruct-seed.sh", "scripts/gcc-plugins/gen-random-seed.sh"}

// readSeed returns the seed by which the target's structures were laid out, "" if there
// is none.
func (p *preparation) readSeed() (string, error) {
	if p.BuildTree == "" || p.config.randstruct() == "" {
		return "", nil
	}
	for _, file := range seedFiles {
		text, err := regular.Read(filepath.Join(p.BuildTree, file), maxSavedCommand)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the seed of the structures' layout: %w", err)
		}
		if seed := seedText.Find(text); seed != nil {
			return string(seed), nil
		}
		return "", fmt.Errorf("read the seed of the structures' layout: %s has none", filepath.Join(p.BuildTree, file))
	}
	return "", nil
}

// plantSeed makes the tree's scripts give the target's seed instead of drawing one:
// kbuild runs them anew whenever its saved command is missing or another.
func (p *preparation) plantSeed() error {
	if p.seed == "" {
		return nil
	}
	planted := false
	for _, f := range seedScripts {
		path := filepath.Join(p.tree, f)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("plant the seed of the structures' layout: %w", err)
		}
		if !seedDrawn.Match(text) {
			continue
		}
		planted = true
		if err := os.WriteFile(path, seedDrawn.ReplaceAll(text, []byte("${1}SEED="+p.seed)), 0o755); err != nil {
			return fmt.Errorf("plant the seed of the structures' layout: %w", err)
		}
	}
	for _, f := range seedFiles { // of a build in place
		if err := os.Remove(filepath.Join(p.tree, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("plant the seed of the structures' layout: %w", err)
		}
	}
	if !planted {
		return fmt.Errorf("plant the seed of the structures' layout: none of %s draws one",
			strings.Join(seedScripts, ", "))
	}
	return nil
}
