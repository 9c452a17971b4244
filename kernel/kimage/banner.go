package kimage

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/kernel/kconfig"
)

// Banner is the kernel's linux_banner (init/version-timestamp.c), taken apart.
type Banner struct {
	Text     string // the whole line, without the newline
	Release  string // "6.1.0-55-cloud-amd64"
	Builder  string // "debian-kernel@lists.debian.org"
	Compiler kconfig.Compiler
	Linker   string // "GNU ld (GNU Binutils for Debian) 2.40"; "" on kernels before 5.8
	Build    string // UTS_VERSION: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)"
	Package  string // Debian source version, "6.1.192-1"; "" elsewhere
}

// Upstream is the kernel.org version: of the Debian package when there is
// one, else of the release when that has three components; otherwise "".
func (b Banner) Upstream() string {
	if b.Package != "" {
		v, _, _ := strings.Cut(b.Package, "-")
		v, _, _ = strings.Cut(v, "~")
		return strings.TrimSuffix(v, "+")
	}
	m := upstreamVersion.FindString(b.Release)
	if debianABI.MatchString(b.Release) {
		return ""
	}
	return m
}

var (
	upstreamVersion = regexp.MustCompile(`^\d+\.\d+\.\d+`)
	debianABI       = regexp.MustCompile(`^\d+\.\d+\.0-\d+`) // 6.1.0-55-amd64 says nothing of the SUBLEVEL
	debianPackage   = regexp.MustCompile(` Debian (\S+) \(`)
)

// ErrNoBanner means that no kernel banner was found.
var ErrNoBanner = errors.New("no linux_banner")

// ParseBanner reads a line like that of /proc/version.
func ParseBanner(text string) (Banner, error) {
	text = strings.TrimRight(text, "\n")
	banner := Banner{Text: text}
	rest, ok := strings.CutPrefix(text, "Linux version ")
	if !ok {
		return banner, fmt.Errorf("parse banner %q: %w", syntax.Clip(text), ErrNoBanner)
	}
	banner.Release, rest, _ = strings.Cut(rest, " ")
	fields := []*string{&banner.Builder, new(string)}
	for _, field := range fields {
		rest = strings.TrimLeft(rest, " ")
		if !strings.HasPrefix(rest, "(") {
			return banner, fmt.Errorf("parse banner %q: %w", syntax.Clip(text), ErrNoBanner)
		}
		if *field, rest, ok = kconfig.CutParens(rest); !ok {
			return banner, fmt.Errorf("parse banner %q: unbalanced parentheses: %w", syntax.Clip(text), ErrNoBanner)
		}
	}
	cc := strings.TrimPrefix(*fields[1], "gcc version ")
	// LINUX_COMPILER is CC_VERSION_TEXT ", " LD_VERSION since 5.8; the text
	// of the compiler may itself hold commas within parentheses.
	depth := 0
	for i := range len(cc) {
		switch cc[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 && banner.Linker == "" {
				banner.Linker = strings.TrimSpace(cc[i+1:])
				cc = cc[:i]
			}
		}
		if banner.Linker != "" {
			break
		}
	}
	banner.Compiler = kconfig.ParseCompiler(cc)
	banner.Build = strings.TrimSpace(rest)
	if m := debianPackage.FindStringSubmatch(" " + banner.Build); m != nil {
		banner.Package = m[1]
	}
	return banner, nil
}

// Banner looks for the banner by symbol, else by text; syms may be nil. The image holds
// several like strings; only the real one has a build number.
func (im *Image) Banner(syms *Symbols) (Banner, error) {
	if syms != nil {
		for _, s := range syms.Lookup("linux_banner") {
			if text, err := im.String(s.Addr, 4096); err == nil {
				if b, err := ParseBanner(text); err == nil {
					return b, nil
				}
			}
		}
	}

	// Without symbols the text is searched for; what only looks like a banner has no build
	// number.
	for _, sg := range im.segs {
		data := sg.data
		for {
			i := bytes.Index(data, []byte("Linux version "))
			if i < 0 {
				break
			}
			data = data[i:]
			end := bytes.IndexByte(data[:min(len(data), 4096)], 0)
			if end < 0 {
				end = min(len(data), 4096)
			}
			if b, err := ParseBanner(string(data[:end])); err == nil && buildNumber.MatchString(b.Build) {
				return b, nil
			}
			data = data[1:]
		}
	}
	return Banner{}, fmt.Errorf("%s: %w", im.Path, ErrNoBanner)
}

var buildNumber = regexp.MustCompile(`^#\d`)
