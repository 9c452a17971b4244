package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// suites are Debian's, with the kernel line that each began with. Release strings
// since 6.5 name the version of Debian themselves ("+deb13").
var suites = []knownSuite{
	{"bullseye", 11, "5.10"},
	{"bookworm", 12, "6.1"},
	{"trixie", 13, "6.12"},
	{"sid", 14, ""},
}

type knownSuite struct {
	name    string
	version int // of Debian
	series  string
}

// debianVersion is how a release names the version of Debian that it was built for.
var debianVersion = regexp.MustCompile(`\+deb(\d+)`)

// SuiteOf implements [provider.Suited].
func (Provider) SuiteOf(release string) string {
	if m := debianVersion.FindStringSubmatch(release); m != nil {
		version, err := strconv.Atoi(m[1])
		if err != nil {
			return ""
		}
		for _, s := range suites {
			if s.version == version {
				return s.name
			}
		}
		return ""
	}
	for _, s := range suites {
		if s.series != "" && strings.HasPrefix(release, s.series+".0-") {
			return s.name
		}
	}
	return ""
}

// validSuite is what may stand in a package source as a suite.
var validSuite = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)

// InSuite implements [provider.Suited] for the archives that this machine's package sources
// name, with the suite's updates and security fixes where there are such. apt gets
// configuration, lists and state of its own; those of the machine are only read.
func (Provider) InSuite(ctx context.Context, dir, name string, age time.Duration, say func(string)) (
	provider.Provider, error,
) {
	if !validSuite.MatchString(name) {
		return nil, fmt.Errorf("%q is not the name of a suite", name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	unlock, err := cachedir.Lock(ctx, filepath.Join(dir, "lock"), func() {
		say("waiting for another run that reads the lists of " + name)
	})
	if err != nil {
		return nil, err
	}
	defer unlock()
	other := suite{name: name, dir: dir, say: say}
	if st, err := os.Stat(other.path("stamp")); err == nil && time.Since(st.ModTime()) < age {
		return other.provider(), nil
	}
	if err := other.update(ctx); err != nil {
		return nil, fmt.Errorf("read the package lists of %s: %w", name, err)
	}
	return other.provider(), nil
}

// suite is apt's state for one suite: apt.conf, sources.list, lists/, cache/, and
// stamp, whose time is that of the last update.
type suite struct {
	name string
	dir  string // absolute
	say  func(string)
}

func (s suite) path(name string) string { return filepath.Join(s.dir, name) }

func (s suite) provider() Provider {
	return Provider{Config: s.path("apt.conf"), Suite: s.name}
}

// update writes the configuration and downloads the lists.
func (s suite) update(ctx context.Context) error {
	sources, err := Sources(ctx, s.name)
	if err != nil {
		return err
	}
	if err := s.configure(ctx); err != nil {
		return err
	}

	// One at a time: a suite that is frozen has no updates any more, and one source
	// that fails would make the whole update fail.
	s.say("reading the package lists of " + s.name)
	var good strings.Builder
	for index, source := range sources {
		if err := os.WriteFile(s.path("sources.list"), []byte(source.Line()), 0o644); err != nil {
			return err
		}
		_, err := s.provider().apt(ctx, "", "apt-get", "-q", "-o", "APT::Get::List-Cleanup=false",
			"-o", "APT::Update::Error-Mode=any", "update")
		switch {
		case err == nil:
			good.WriteString(source.Line())
		case index == 0 || ctx.Err() != nil:
			return err
		}
	}
	if err := os.WriteFile(s.path("sources.list"), []byte(good.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(s.path("stamp"), nil, 0o644)
}

// configure writes an apt.conf that is complete: how the machine reaches its archives is
// taken over, what it runs after an update is not.
func (s suite) configure(ctx context.Context) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial", "none"} {
		if err := os.MkdirAll(s.path(d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.path("status"), nil, 0o644); err != nil {
		return err
	}
	acquire, err := Acquire(ctx)
	if err != nil {
		return err
	}
	conf := bytes.NewBuffer(acquire)
	for _, option := range [][2]string{
		{"Dir::State", s.dir}, {"Dir::State::lists", s.path("lists")}, {"Dir::State::status", s.path("status")},
		{"Dir::Cache", s.path("cache")}, {"Dir::Cache::srcpkgcache", ""},
		{"Dir::Etc::sourcelist", s.path("sources.list")},
		{"Dir::Etc::sourceparts", s.path("none")}, {"Dir::Etc::preferences", s.path("none/preferences")},
		{"Dir::Etc::preferencesparts", s.path("none")},
		{"Dir::Etc::main", s.path("none/apt.conf")}, {"Dir::Etc::parts", s.path("none")},
	} {
		fmt.Fprintf(conf, "%s \"%s\";\n", option[0], option[1])
	}
	return cachedir.WriteFile(s.path("apt.conf"), conf.Bytes())
}

// Acquire is the part of the machine's apt.conf that says how archives are reached, and
// that translations are not wanted.
func Acquire(ctx context.Context) ([]byte, error) {
	all, err := provider.Run(ctx, "", "apt-config", "dump", "Acquire")
	if err != nil {
		return nil, err
	}
	var conf bytes.Buffer
	for line := range bytes.Lines(all) {
		// What else than packages the machine reads of its sources.
		if !bytes.HasPrefix(line, []byte("Acquire::IndexTargets")) {
			conf.Write(line)
		}
	}
	conf.WriteString("Acquire::Languages:: \"none\";\n")
	return conf.Bytes(), nil
}

// Source is a package source.
type Source struct {
	Base, Suite string
	// Sources says that source packages are wanted too: those of lines that have
	// PREEMPT_RT as patches, see patchForRT.
	Sources bool
}

// keyring holds the keys of all of Debian's suites (package debian-archive-keyring).
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Line is the line of sources.list. Without the keyring apt takes the keys that are
// trusted for all sources.
func (s Source) Line() string {
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	rest := signed + s.Base + " " + s.Suite + " main\n"
	if s.Sources {
		return "deb " + rest + "deb-src " + rest
	}
	return "deb " + rest
}

// Sources are those of a suite, with its updates and security fixes where the archive keeps such,
// which it does not for all. The addresses are those of the machine's own package
// sources.
func Sources(ctx context.Context, suite string) ([]Source, error) {
	main, security, err := archives(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(suites, func(s knownSuite) bool { return s.name == suite })
	patches := i >= 0 && patchedForRT(suites[i].series+"-rt-")
	sources := []Source{{main, suite, patches}}
	if suite == "sid" || suite == "unstable" {
		return sources, nil
	}
	sources = append(sources, Source{main, suite + "-updates", patches})
	if security != "" {
		sources = append(sources, Source{security, suite + "-security", patches})
	}
	return sources, nil
}

// archives are the addresses of Debian's archive and of that of its security fixes, ""
// when there is none, as the machine's own package sources name them.
func archives(ctx context.Context) (main, security string, err error) {
	const sep = "\x1f"
	out, err := provider.Run(ctx, "", "apt-get", "indextargets", "--format",
		strings.Join([]string{"$(LABEL)", "$(CODENAME)", "$(REPO_URI)"}, sep), "Created-By: Packages")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), sep)
		if len(fields) != 3 || strings.Contains(fields[1], "backports") {
			continue
		}
		switch {
		case fields[0] == "Debian" && main == "":
			main = fields[2]
		case fields[0] == "Debian-Security" && security == "":
			security = fields[2]
		}
	}
	if main == "" {
		return "", "", errors.New("none of this machine's package sources is Debian's archive; run " +
			"apt-get update once, " +
			"or add a source of Debian")
	}
	return main, security, nil
}
