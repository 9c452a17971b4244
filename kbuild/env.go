package kbuild

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/kernel/karch"
)

//go:embed mk/env.mk
var envMakefile []byte

//go:embed mk/walk.mk
var walkMakefile []byte

// sectionFlags give every function and variable a section of its own.
const sectionFlags = "-ffunction-sections -fdata-sections"

// noAnchors has each variable reached over its own address, for those too that the source puts into one
// section. What is reached over another's would be somewhere else where the patch adds a variable, and
// no relocation tells of it.
const noAnchors = "-fno-section-anchors"

// workPlaceholder stands for the directory a command runs in wherever the
// recorded environment names it.
const workPlaceholder = "@KLPFORGE_TREE@"

// treeFacts are read from the cache on first use.
type treeFacts struct {
	mu       sync.Mutex
	envs     map[string]*environment
	owners   *ownerDB
	manifest *manifest

	sealed        map[string][]sealEntry // by part of the seal
	verified      map[string]bool        // files whose digests were compared
	prunedChecked bool

	graphMu  sync.Mutex // held longer than mu, and never inside it
	includes *includeGraph

	configOnce sync.Once
	config     map[string]string // option -> value as written
	configErr  error
	inputsMu   sync.Mutex // held longer than mu
	inputs     *inputIndex
	objects    sync.Map // digests of object files that were compared, by path
}

// environment is what the top Makefile exports to the makefiles below it. Running
// scripts/Makefile.build with it skips the top Makefile, whose compiler checks
// and preparations take a second or more for each run of make.
type environment struct {
	Flags string            // KCFLAGS
	Vars  map[string]string // exported variables, workPlaceholder for the tree's path
	Lists map[string]string // directories by role, see mk/env.mk
	Fast  bool              // Makefile.build gives the same commands as the top Makefile
}

// kcflags are the extra compiler flags of all builds: those that the kernel was built
// with, and our own. The work tree's path is mapped away. With asShipped, functions and variables have no
// sections of their own.
func (t *Tree) kcflags(asShipped bool) string {
	own := ""
	if t.meta.KCFLAGS != "" {
		own = t.meta.KCFLAGS + " "
	}
	if !asShipped {
		own += t.sections() + " "
	}
	return own + t.typeFlags() + " -fdebug-prefix-map=" + workPlaceholder + "=."
}

// sections are the flags by which every function and variable is in a section of its own, and reached
// by itself.
func (t *Tree) sections() string {
	if arch, err := karch.Named(t.Arch); err == nil && arch.SharesAddresses {
		return sectionFlags + " " + noAnchors
	}
	return sectionFlags
}

// typeFlags make the compiler describe the types of an object in DWARF, complete
// and in the object itself, whatever the configuration says of debug information.
// Where variables live at which address is left out: it costs gcc 12 as much again,
// and nobody reads it. The code is the same as with -g0 (TestTypeFlags).
func (t *Tree) typeFlags() string {
	flags := "-g"
	if !strings.Contains(t.CCVersion, "clang") {
		flags += " -fno-var-tracking -fno-var-tracking-assignments"
	}
	// Options of lib/Kconfig.debug and what they add to the command (Makefile, v4.0;
	// scripts/Makefile.debug, v6.1).
	for _, flag := range []struct{ option, undo string }{
		{"DEBUG_INFO_SPLIT", " -gno-split-dwarf"},
		{"DEBUG_INFO_REDUCED", " -femit-struct-debug-detailed=any"},
		{"DEBUG_INFO_COMPRESSED", " -gz=none"}, // until v6.1
		{"DEBUG_INFO_COMPRESSED_ZLIB", " -gz=none"},
		{"DEBUG_INFO_COMPRESSED_ZSTD", " -gz=none"},
	} {
		if t.configured(flag.option) {
			flags += flag.undo
		}
	}
	return flags
}

// options are those of the prepared tree's configuration, by their whole names, with
// values as written.
func (t *Tree) options() (map[string]string, error) {
	t.facts.configOnce.Do(func() {
		c, err := readConfig(filepath.Join(t.Dir, ".config"))
		if t.facts.configErr = err; err == nil {
			t.facts.config = c.values
		}
	})
	return t.facts.config, t.facts.configErr
}

// configured reports whether the prepared tree has an option built in. A tree
// without a readable configuration has none, which any compilation in it tells.
func (t *Tree) configured(option string) bool {
	values, _ := t.options()
	return values["CONFIG_"+option] == "y"
}

// environment returns the recorded environment for flags, recording it first if
// no run has done so.
func (t *Tree) environment(ctx context.Context, flags string) (*environment, error) {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	if e := t.facts.envs[flags]; e != nil {
		return e, nil
	}
	sum := sha256.Sum256([]byte(flags))
	name := "env-" + hex.EncodeToString(sum[:6]) + ".json"
	env := &environment{}
	if data, err := t.kept(name); err != nil || json.Unmarshal(data, env) != nil {
		if env, err = t.recordEnvironment(ctx, flags); err != nil {
			return nil, fmt.Errorf("read kbuild's environment: %w", err)
		}
		if err := t.keepJSON(name, env); err != nil {
			return nil, fmt.Errorf("keep kbuild's environment: %w", err)
		}
	}
	if t.facts.envs == nil {
		t.facts.envs = map[string]*environment{}
	}
	t.facts.envs[flags] = env
	return env, nil
}

// makefile writes an embedded makefile beside the tree and returns its path.
func (t *Tree) makefile(name string, text []byte) (string, error) {
	path := filepath.Join(t.base, name)
	if equalFile(path, text) {
		return path, nil
	}
	return path, writeAtomic(path, text, 0o644)
}

func (t *Tree) logs() string { return filepath.Join(t.cache, "logs") }

func (t *Tree) recordEnvironment(ctx context.Context, flags string) (*environment, error) {
	mk, err := t.makefile("env.mk", envMakefile)
	if err != nil {
		return nil, err
	}
	tmp, unlock, err := t.workDir(ctx, "env")
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer removeTree(tmp)

	// The makefiles run confined; what they say goes to a directory that they may write to.
	box, vars, done, err := t.scratch(t.Dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if box != nil {
		box.write = append(box.write, tmp)
	}

	out := filepath.Join(tmp, "env", "all")
	argv := append([]string{"make", "-rR", "--no-print-directory", "-f", mk}, t.vars(flags)...)
	argv = append(argv, vars...)
	_, err = command{
		name: "make (environment)", dir: t.Dir, logs: t.logs(), box: box,
		env:  append(baseEnv(), "KLPFORGE_OUT="+out),
		argv: append(argv, "klpforge-env"),
	}.run(ctx)
	if err != nil {
		return nil, err
	}

	env := &environment{Flags: flags, Lists: map[string]string{}}
	if env.Vars, err = t.readEnvironment(out); err != nil {
		return nil, err
	}
	lists, err := os.ReadFile(out + ".dirs")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(lists)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		env.Lists[name] = strings.TrimSpace(value)
	}
	env.Fast = t.agrees(ctx, env)
	return env, nil
}

// readEnvironment reads the NUL-separated environment and leaves out what belongs
// to the caller or to that run of make.
func (t *Tree) readEnvironment(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	drop := map[string]bool{"PWD": true, "OLDPWD": true, "SHLVL": true, "_": true, "MAKEFLAGS": true, "MFLAGS": true,
		"MAKELEVEL": true, "MAKEOVERRIDES": true, "KLPFORGE_OUT": true,
		"TMPDIR": true, "TMPOUT": true, "MAKE_TERMOUT": true, "MAKE_TERMERR": true}
	for _, kv := range baseEnv() {
		name, _, _ := strings.Cut(kv, "=")
		drop[name] = true
	}
	vars := map[string]string{}
	for kv := range strings.SplitSeq(string(data), "\x00") {
		name, value, ok := strings.Cut(kv, "=")
		if ok && !drop[name] && !strings.HasPrefix(name, "CCACHE_") {
			vars[name] = strings.ReplaceAll(value, t.Dir, workPlaceholder)
		}
	}
	if vars["LINUXINCLUDE"] == "" || vars["KBUILD_CFLAGS"] == "" {
		return nil, fmt.Errorf("the top Makefile exported no compiler flags")
	}
	return vars, nil
}

// vars are the variables of every make command line. KCFLAGS keeps its
// placeholder until the command is known.
func (t *Tree) vars(flags string) []string {
	return append(makeVars(t.Arch, t.CC, t.meta.HostCC, t.Release, t.meta.Vars), "KCFLAGS="+flags)
}

// in returns the environment as a list for commands that run in dir.
func (e *environment) in(dir string) []string {
	env := baseEnv()
	for name, value := range e.Vars {
		env = append(env, name+"="+strings.ReplaceAll(value, workPlaceholder, dir))
	}
	slices.Sort(env)
	return append(env, "PWD="+dir)
}

// makePlain is the make command that builds goals (paths of objects) in dir, a
// copy of the prepared tree, and leaves it to kbuild to find their makefiles.
func (t *Tree) makePlain(env *environment, dir string, options []string, goals []string) command {
	cmd := command{name: "make " + shortList(goals), dir: dir, logs: t.logs()}
	if env.Fast {
		cmd.env = env.in(dir)
		cmd.argv = append([]string{"make", "-rR", "--no-print-directory"}, options...)
		cmd.argv = append(cmd.argv, "-f", "./scripts/Makefile.build", "obj=.", "need-builtin=1", "need-modorder=1")
	} else {
		// The preparations have been made; -o keeps make from looking at them
		// again, which would rebuild host tools in every copy of the tree. Without
		// the other options the top Makefile would start another make to set them,
		// which would not get -o.
		cmd.env = baseEnv()
		cmd.argv = append([]string{"make", "-rR", "--no-print-directory", "-o", "prepare", "-o", "prepare0", "-o",
			"archprepare"}, options...)
	}
	cmd.argv = append(append(cmd.argv, t.compileVars(env, dir)...), goals...)
	return cmd
}

// compileVars are the variables of every make command line that compiles in dir.
func (t *Tree) compileVars(e *environment, dir string) []string {
	vars := t.vars(strings.ReplaceAll(e.Flags, workPlaceholder, dir))
	if t.lateObjtool {
		vars = append(vars, "objtool-enabled="+objtoolEach)
	}
	if t.stepsApart {
		vars = append(vars, stepsJoined...)
	}
	return vars
}

// objtoolEach makes kbuild run objtool on each standard object. Where indirect
// branch tracking is configured, kbuild keeps objtool for the link of vmlinux or
// of a module (delay-objtool, scripts/Makefile.lib, v5.18 to v6.12), which never
// comes here: the jump labels of an object would stay jumps that the kernel takes
// for no-ops, and it would have no unwind data and no static call sites. Kernels
// before v6.5 have no is-standard-object.
const objtoolEach = "$(if $(if $(filter undefined,$(origin is-standard-object))," +
	"$(filter-out y%,$(OBJECT_FILES_NON_STANDARD_$(basetarget).o)$(OBJECT_FILES_NON_STANDARD)n)," +
	"$(is-standard-object)),y)"

func shortList(goals []string) string {
	if len(goals) <= 2 {
		return strings.Join(goals, " ")
	}
	return fmt.Sprintf("%s and %d more", goals[0], len(goals)-1)
}

// agrees reports whether the short way to run kbuild gives the same command for an
// object as the top Makefile does.
func (t *Tree) agrees(ctx context.Context, e *environment) bool {
	probe := []string{"init/main.o"}
	var got [2]string
	for i, fast := range []bool{true, false} {
		try := *e
		try.Fast = fast
		cmds, err := t.dryRun(ctx, &try, nil, t.Dir, probe)
		if err != nil {
			return false
		}
		got[i] = cmds[probe[0]]
	}
	return got[0] != "" && got[0] == got[1]
}
