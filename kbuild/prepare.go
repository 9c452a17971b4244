package kbuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// formatVersion is part of every tree key; raise it when the way trees are made
// changes.
const formatVersion = "9"

// PrepareOptions says which kernel to prepare. Source, Config and Cache must be
// set; Release should be.
type PrepareOptions struct {
	Source string // source directory, or a .tar, .tar.gz, .tar.xz or .tar.zst of one
	Config string // path of the target's configuration
	// BuildTree is the directory that the target was built in, "" if that is not at hand:
	// what a build draws at random is taken from there.
	BuildTree string
	// the target's unpacked header packages; Module.symvers and generated headers are taken from here for comparison
	Headers []string
	Symvers string // path of the target's Module.symvers; "" looks into Headers
	Release string // uname -r of the target; "" takes what the source makes
	Toolchain
	Arch  string // GOARCH, uname -m or kernel name of the architecture; "" is the one of Config, or x86
	Cache string // cache directory
	Jobs  int    // parallel jobs; 0 is the number of CPUs

	// AllowCompilerMismatch accepts a compiler other than the target's.
	AllowCompilerMismatch bool
	// AllowSourceMismatch accepts a source of another version than Config's.
	AllowSourceMismatch bool

	// Sandbox says whether programs must be confined; "" is SandboxAuto.
	Sandbox Sandbox

	// Progress, if set, is called with the name of each stage as it begins and
	// with counts while it runs (total 0: unknown). Calls do not overlap.
	Progress func(stage string, done, total int)
}

// Tree is a prepared kernel source tree in the cache. It is safe for concurrent
// use, and several processes may use one tree.
type Tree struct {
	Dir         string // the tree itself; read only
	Key         string // cache key
	Release     string // UTS_RELEASE of what is built from the tree
	Version     string // the source's own version, "6.1.192"
	Arch        string // kernel name of the architecture: "x86"
	CC          string // compiler command
	CCVersion   string // first line of its --version
	ConfigDiffs []ConfigDiff
	Warnings    []string // differences between the tree and the target's headers
	// Unconfined tells why programs run without a sandbox though one was wanted, ""
	// if they do not.
	Unconfined string
	// Healed tells that the tree in the cache had been changed, and was made again.
	Healed string

	base    string // trees/<key>
	cache   string
	headers []string // PrepareOptions.Headers
	jobs    int
	meta    treeMeta
	use     *os.File // locked against PruneTree as long as the Tree is reachable

	lateObjtool bool // kbuild itself would run objtool at links only
	stepsApart  bool // kbuild's saved commands are the compiler's alone, see stepsJoined
	confiner    confiner
	preparing   bool // programs may write to the tree

	facts treeFacts
}

// treeMeta is meta.json.
type treeMeta struct {
	Release     string
	Version     string
	Arch        string
	CC          string
	HostCC      string
	Vars        []string // of make's command line, for programs other than the compiler
	KCFLAGS     string   // as PrepareOptions.KCFLAGS
	Rust        bool     // the target has code in Rust
	CCVersion   string
	Symvers     bool // the tree has the target's Module.symvers
	ConfigDiffs []ConfigDiff
	Warnings    []string
	// OtherHeaders are headers of the source that the target's packages have otherwise.
	OtherHeaders []string
	Stages       map[string]float64 // seconds each stage took
}

// Stages tells how long each stage of the preparation took, in seconds.
func (t *Tree) Stages() map[string]float64 { return t.meta.Stages }

// Prepare returns the prepared tree for opts, making it if the cache has none.
// It may run for tens of seconds; a tree in the cache is found in well under one.
//
// Errors a user can act on: *MissingToolsError, *CompilerMismatchError,
// *SourceMismatchError, *RunError.
func Prepare(ctx context.Context, opts PrepareOptions) (*Tree, error) {
	prep, err := newPreparation(ctx, opts)
	if err != nil {
		return nil, err
	}

	// Without the lock first: a tree that is complete needs none. With it again, as another run
	// may have finished the tree meanwhile.
	tree, why := prep.load(ctx)
	if why == nil {
		return tree, nil
	}
	unlock, err := lockFile(ctx, prep.base+".lock", func() { prep.progress("wait for another run", 0, 0) })
	if err != nil {
		return nil, err
	}
	defer unlock()
	if tree, err = prep.load(ctx); err == nil {
		return tree, nil
	}

	changed := (*TreeChangedError)(nil)
	if errors.As(err, &changed) {
		prep.progress("prepare again: "+changed.Path+" "+changed.Why, 0, 0)
	}
	if changed != nil || errors.Is(why, sealed.ErrDamaged) {
		if err := prep.outOfUse(ctx); err != nil {
			return nil, fmt.Errorf("prepare kernel %s: %w", opts.Release, err)
		}
	}

	if err := prep.build(ctx); err != nil {
		prep.discard()
		return nil, fmt.Errorf("prepare kernel %s: %w", opts.Release, err)
	}
	if tree, err = prep.load(ctx); err == nil && changed != nil {
		tree.Healed = fmt.Sprintf("the prepared tree in the cache was made again: %s %s", changed.Path, changed.Why)
	}
	return tree, err
}

// preparation is one call of Prepare.
type preparation struct {
	PrepareOptions
	config  *kconfig
	symvers string
	version string // of the source
	hostCC  string
	vars    []string // of make's command line, for programs other than the compiler
	// recorded is what the build tree tells of how the kernel was built, and seed what
	// was drawn for the layout of its structures, "" for nothing.
	recorded recordedBuild
	seed     string
	// rustFound tells which of rustTools are here.
	rustFound []bool
	ccText    string // first line of CC --version
	key       string
	base      string // trees/<key>
	tree      string // trees/<key>/linux
	source    source
	stages    map[string]float64

	confiner   confiner
	unconfined string
}

func (p *preparation) progress(stage string, done, total int) {
	if p.Progress != nil {
		p.Progress(stage, done, total)
	}
}

// stage runs f and records how long it took.
func (p *preparation) stage(name string, f func() error) error {
	p.progress(name, 0, 0)
	start := time.Now()
	err := f()
	p.stages[name] += time.Since(start).Seconds()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func newPreparation(ctx context.Context, opts PrepareOptions) (*preparation, error) {
	prep := &preparation{PrepareOptions: opts, stages: map[string]float64{}}
	if prep.Source == "" || prep.Config == "" || prep.Cache == "" {
		return nil, errors.New("prepare kernel: source, configuration and cache directory must be given")
	}
	cache, err := filepath.Abs(prep.Cache)
	if err != nil {
		return nil, fmt.Errorf("prepare kernel: %w", err)
	}
	// The top Makefile compares $(realpath) with $(CURDIR).
	if err := sealed.MakeDir(cache, filepath.Join(cache, "trees")); err != nil {
		return nil, fmt.Errorf("create cache: %w", err)
	}
	if prep.Cache, err = filepath.EvalSymlinks(cache); err != nil {
		return nil, fmt.Errorf("find cache: %w", err)
	}
	if strings.ContainsAny(prep.Cache, badInPaths) {
		return nil, fmt.Errorf("use cache %q: kbuild does not work in a directory whose name has spaces, colons, "+
			"commas or quotes; set KLPFORGE_CACHE to another one", prep.Cache)
	}
	prep.Headers = slices.Clone(prep.Headers)
	for i, dir := range prep.Headers {
		if prep.Headers[i], err = realPath(dir); err != nil {
			return nil, fmt.Errorf("find headers: %w", err)
		}
	}
	if prep.Jobs <= 0 {
		prep.Jobs = runtime.NumCPU()
	}
	if prep.Sandbox, err = ParseSandbox(string(prep.Sandbox)); err != nil {
		return nil, fmt.Errorf("prepare kernel: %w", err)
	}
	if prep.confiner, prep.unconfined, err = prep.Sandbox.choose(); err != nil {
		return nil, err
	}
	if prep.config, err = readConfig(prep.Config); err != nil {
		return nil, err
	}
	if err := prep.chooseArch(); err != nil {
		return nil, err
	}
	if prep.symvers, err = findSymvers(prep.Symvers, prep.Headers); err != nil {
		return nil, err
	}
	if err := prep.supported(); err != nil {
		return nil, err
	}
	if prep.recorded, err = readRecorded(prep.BuildTree); err != nil {
		return nil, err
	}
	if prep.seed, err = prep.readSeed(); err != nil {
		return nil, err
	}
	prep.choosePrograms(ctx)
	if prep.Launcher != "" {
		prep.CC = prep.Launcher + " " + prep.CC
	}
	if err := prep.checkTools(ctx); err != nil {
		return nil, err
	}
	if err := prep.checkCompiler(ctx); err != nil {
		return nil, err
	}
	if prep.source, err = openSource(prep.Source, prep.Cache); err != nil {
		return nil, err
	}
	if err := prep.makeKey(ctx); err != nil {
		return nil, err
	}
	return prep, nil
}

// badInPaths are the characters that make, the shell or options such as -Wp,-MMD
// take for something else.
const badInPaths = " :,;\t\n%#$'\"\\&|()<>*?[]`!"

// makeKey hashes everything a prepared tree depends on.
func (p *preparation) makeKey(ctx context.Context) error {
	id, err := p.source.identity(ctx)
	if err != nil {
		return fmt.Errorf("identify source %s: %w", p.Source, err)
	}
	tools, err := p.toolVersions(ctx)
	if err != nil {
		return err
	}
	symvers := ""
	if p.symvers != "" {
		if symvers, err = hashFile(p.symvers); err != nil {
			return fmt.Errorf("hash Module.symvers: %w", err)
		}
	}

	// Each value with its length, so that no two lists of them read the same.
	hash := sha256.New()
	for _, s := range []string{formatVersion, id, p.config.hash, symvers, tools, p.CC, strings.Join(p.vars, " "),
		p.KCFLAGS, strings.Join(p.recorded.Flags, " "), p.seed, p.Release, p.Arch} {
		fmt.Fprintf(hash, "%d:%s\n", len(s), s)
	}
	for _, dir := range p.Headers {
		fmt.Fprintf(hash, "headers %s\n", dir)
	}

	p.key = hex.EncodeToString(hash.Sum(nil))[:16]
	if p.Release != "" {
		p.key = sanitize(p.Release) + "-" + p.key
	}
	p.base = filepath.Join(p.Cache, "trees", p.key)
	p.tree = filepath.Join(p.base, "linux")
	return nil
}

func sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == '_' || r == '+' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' ||
			r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, text)
}

// load opens a complete tree.
func (p *preparation) load(ctx context.Context) (*Tree, error) {
	use, err := useTree(p.base)
	if err != nil {
		return nil, err
	}
	tree, err := p.read()
	if err == nil {
		if err = tree.whole(); err == nil {
			err = tree.check(ctx)
		}
	}
	if err != nil {
		use.Close()
		return nil, err
	}
	tree.use = use
	return tree, nil
}

// read reads what the cache says of the tree.
func (p *preparation) read() (*Tree, error) {
	data, err := readSealed(p.Cache, filepath.Join(p.base, "meta.json"), factKind(p.key, "meta.json"))
	if err != nil {
		return nil, err
	}
	var m treeMeta
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read prepared tree %s: %w", p.base, err)
	}
	return p.describe(m), nil
}

// describe is the tree of which m tells.
func (p *preparation) describe(m treeMeta) *Tree {
	return &Tree{
		Dir: p.tree, Key: p.key, Release: m.Release, Version: m.Version, Arch: m.Arch,
		CC: m.CC, CCVersion: m.CCVersion, ConfigDiffs: m.ConfigDiffs, Warnings: m.Warnings, Unconfined: p.unconfined,
		base: p.base, cache: p.Cache, headers: p.Headers, jobs: p.Jobs, meta: m,
		lateObjtool: p.config.lateObjtool(), stepsApart: readSteps(p.tree), confiner: p.confiner,
	}
}

// build makes the tree; the key's lock is held.
func (p *preparation) build(ctx context.Context) error {
	pruneLogs(filepath.Join(p.Cache, "logs"))
	p.sweepTrees()
	if err := os.RemoveAll(p.base); err != nil {
		return fmt.Errorf("remove incomplete tree: %w", err)
	}
	if err := os.MkdirAll(p.tree, 0o755); err != nil {
		return fmt.Errorf("create tree: %w", err)
	}

	// Each step is timed and logged by itself; what the source brought along is told from what
	// the steps add.
	copying := p.copySource(ctx)
	steps := []struct {
		name string
		run  func() error
	}{
		{"copy source", copying.untilConfigurable},
		{"check source", p.checkVersion},
		{"adapt host tools", p.adaptTools},
		{"configure", func() error { return p.configure(ctx) }},
		{"copy the rest", copying.wait},
		{"prepare modules", func() error { return p.prepareModules(ctx) }},
	}
	for _, s := range steps {
		if err := p.stage(s.name, s.run); err != nil {
			copying.stop()
			return copying.behind(err)
		}
	}
	return p.finish(ctx, copying.files)
}

// sourceCopy is the copying of a source into the tree, which goes on while the tree is
// configured: that starts one small program after the other and leaves processors idle.
type sourceCopy struct {
	stop         func()        // ends it and waits until nothing is written any more
	configurable chan struct{} // closed when the tree can be configured
	done         chan struct{} // closed when all is over; then files and err are set
	files        map[string]bool
	err          error
}

func (p *preparation) copySource(ctx context.Context) *sourceCopy {
	ctx, cancel := context.WithCancel(ctx)
	copying := &sourceCopy{configurable: make(chan struct{}), done: make(chan struct{})}
	copying.stop = func() { cancel(); <-copying.done }
	behind := false // another stage has begun, which shows its own progress
	go func() {
		defer close(copying.done)
		defer cancel()
		copying.files, copying.err = p.source.copyTo(ctx, p.tree, p.Jobs, func(done, total int) {
			if !behind {
				p.progress("copy source", done, total)
			}
		}, func() { behind = true; close(copying.configurable) })
	}()
	return copying
}

// behind is what ended the preparation: that the source could not be copied, where a step failed
// for want of it or of the same disk. The copying is over.
func (c *sourceCopy) behind(err error) error {
	if c.err == nil || errors.Is(c.err, context.Canceled) || errors.Is(err, c.err) {
		return err
	}
	return fmt.Errorf("copy source: %w", c.err)
}

// untilConfigurable waits until the tree can be configured.
func (c *sourceCopy) untilConfigurable() error {
	select {
	case <-c.configurable:
		return nil
	case <-c.done:
		return c.err
	}
}

// wait waits until the source is copied.
func (c *sourceCopy) wait() error {
	<-c.done
	return c.err
}

// checkVersion compares the source's version with the configuration's.
func (p *preparation) checkVersion() error {
	version, err := sourceVersion(filepath.Join(p.tree, "Makefile"))
	if err != nil {
		return err
	}
	p.version = version
	if c := p.config.version; c != "" && c != version && !p.AllowSourceMismatch {
		return &SourceMismatchError{Source: version, Config: c}
	}
	return nil
}

// configure writes .config and completes it.
func (p *preparation) configure(ctx context.Context) error {
	if err := p.plantSeed(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.tree, ".config"), p.config.text, 0o644); err != nil {
		return err
	}
	if _, err := p.make("olddefconfig", "olddefconfig").run(ctx); err != nil {
		return err
	}
	return p.checkKept()
}

// prepareModules builds what compiling needs: host tools, generated headers.
func (p *preparation) prepareModules(ctx context.Context) error {
	// Without this option the makefiles leave out resolve_btfids, and libbpf with it, a third of
	// what is compiled here: it works on a vmlinux, which no prepared tree has. Types and
	// generated headers do not depend on it: those come from .config.
	_, err := p.make("modules_prepare", fmt.Sprintf("-j%d", p.Jobs), "CONFIG_DEBUG_INFO_BTF=", "modules_prepare").run(ctx)
	return err
}

// makeVars are the variables that every make command line must carry; more are those
// for programs other than the compiler.
func makeVars(arch, cc, hostCC, release string, more []string) []string {
	vars := append([]string{"ARCH=" + arch, "CC=" + cc, "HOSTCC=" + hostCC}, more...)
	if release != "" {
		vars = append(vars, "KERNELRELEASE="+release)
	}
	return vars
}

func (p *preparation) make(name string, args ...string) command {
	argv := append([]string{"make"}, makeVars(p.Arch, p.CC, p.hostCC, p.Release, p.vars)...)
	return command{
		name: "make " + name,
		dir:  p.tree,
		env:  baseEnv(),
		argv: append(argv, args...),
		logs: filepath.Join(p.Cache, "logs"),
		box:  (&Tree{confiner: p.confiner, CC: p.CC, base: p.base, meta: treeMeta{Vars: p.vars}}).box(p.base),
	}
}

// finish checks the tree, collects facts, and makes it visible.
func (p *preparation) finish(ctx context.Context, sourceFiles map[string]bool) error {
	if err := p.stage("check tree", func() error { return p.checkRelease() }); err != nil {
		return err
	}

	meta := treeMeta{
		Release: p.Release, Version: p.version, Arch: p.Arch, CC: p.CC, HostCC: p.hostCC, Vars: p.vars,
		Rust:      p.config.rust(),
		CCVersion: p.ccText, Symvers: p.symvers != "", Stages: p.stages,
	}

	// How the tree differs from the target: none of it is an error here.
	var err error
	if meta.ConfigDiffs, err = p.config.compare(filepath.Join(p.tree, ".config")); err != nil {
		return err
	}
	p.withoutRust(meta.ConfigDiffs)
	if meta.Warnings, err = p.compareGenerated(); err != nil {
		return err
	}
	if err := p.stage("compare headers", func() (err error) {
		meta.OtherHeaders, err = p.otherHeaders()
		return err
	}); err != nil {
		return err
	}
	flags, err := p.findFlags(ctx)
	if err != nil {
		return err
	}
	meta.KCFLAGS, meta.Warnings = p.KCFLAGS, append(meta.Warnings, flags...)

	if p.symvers != "" {
		if err := copyFile(p.symvers, filepath.Join(p.tree, "Module.symvers"), 0o644); err != nil {
			return fmt.Errorf("copy Module.symvers: %w", err)
		}
	}

	// What every later run asks of the tree is read once, now.
	tree := p.describe(meta)
	tree.preparing = true
	if err := p.stage("read kbuild", func() error {
		return tree.evaluate(ctx, func(done, total int) { p.progress("read kbuild", done, total) })
	}); err != nil {
		return err
	}
	if err := p.stage("read include lines", func() error { return tree.survey(ctx, sourceFiles) }); err != nil {
		return err
	}

	// The seal comes last, of all that was written; meta.json after it says that the tree is
	// complete.
	if err := os.RemoveAll(filepath.Join(p.base, "tmp")); err != nil {
		return err
	}
	if err := p.stage("seal", func() error { return tree.seal(ctx) }); err != nil {
		return err
	}
	return tree.keepJSON("meta.json", meta)
}

// survey lists the tree, scans it for the include graph, and decides what work trees
// need of it.
func (t *Tree) survey(ctx context.Context, sourceFiles map[string]bool) error {
	all, err := t.listTree(sourceFiles)
	if err != nil {
		return err
	}
	if err := t.keep("files.lst", all.encode()); err != nil {
		return err
	}
	graph, err := t.graph(ctx)
	if err != nil {
		return err
	}
	db, err := t.owners()
	if err != nil {
		return err
	}
	return t.keep("work.lst", all.prune(t.Arch, db.Dirs, graph.Files).encode())
}

// checkRelease makes sure that objects carry the target's release.
func (p *preparation) checkRelease() error {
	data, err := os.ReadFile(filepath.Join(p.tree, "include/generated/utsrelease.h"))
	if err != nil {
		return fmt.Errorf("read UTS_RELEASE: %w", err)
	}
	fields := strings.SplitN(string(data), `"`, 3)
	if len(fields) != 3 {
		return fmt.Errorf("read UTS_RELEASE: unexpected text %q", data)
	}
	if p.Release == "" {
		p.Release = fields[1]
	}
	if fields[1] != p.Release {
		return fmt.Errorf("check UTS_RELEASE: the tree says %q, the target is %q", fields[1], p.Release)
	}
	// The file the makefiles fall back to when KERNELRELEASE is not given.
	return os.WriteFile(filepath.Join(p.tree, "include/config/kernel.release"), []byte(p.Release+"\n"), 0o644)
}

// writeAtomic writes data to a temporary file and renames it to path. The
// temporary file is locked while it is written, see sweep.
func writeAtomic(path string, data []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer file.Close() // after the file has its name
	if err = unix.Flock(int(file.Fd()), unix.LOCK_EX); err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
		if info, lerr := os.Lstat(path); err != nil && lerr == nil && info.IsDir() {
			// damage: nothing of the cache has this place
			if err = os.RemoveAll(path); err == nil {
				err = os.Rename(file.Name(), path)
			}
		}
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// lockFile takes an exclusive flock on path, creating it, and returns a function
// that releases it. waiting is called once if the lock is held by someone else.
func lockFile(ctx context.Context, path string, waiting func()) (func(), error) {
	f, err := openLock(path, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return lockOpen(ctx, f, waiting)
}

// lockOpen is lockFile for a file or directory that is open; it is closed when the lock
// is released or cannot be had.
func lockOpen(ctx context.Context, file *os.File, waiting func()) (func(), error) {
	for first := true; ; first = false {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			// If this process is killed, what it started goes on for a moment and
			// writes: it inherits the file, and with it the lock.
			if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFD, 0); err != nil {
				file.Close()
				return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
			}
			return func() {
				unix.Flock(int(file.Fd()), unix.LOCK_UN) // for all that inherited it
				file.Close()
			}, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
