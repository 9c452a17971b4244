// Package kconfig reads what a kernel was configured with: its .config, and
// the compiler that the .config records.
package kconfig

import (
	"sort"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/internal/unpack"
)

// Config is a kernel's .config.
type Config struct {
	Path string
	vals map[string]string // without the CONFIG_ prefix, unquoted
}

// Parse reads the text of a .config; path is for messages only. Options
// may be named with or without the CONFIG_ prefix in every method.
func Parse(path, text string) (*Config, error) {
	config := &Config{Path: path, vals: make(map[string]string, 8192)}
	line := 0
	for raw := range strings.Lines(text) {
		line++
		raw = strings.TrimSpace(raw)
		if raw == "" || raw[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(raw, "=")
		if !ok || !strings.HasPrefix(key, "CONFIG_") {
			return nil, syntax.Errorf(path, line, "want CONFIG_NAME=value, have %q", syntax.Clip(raw))
		}
		if strings.HasPrefix(value, `"`) {
			u, ok := unquoteConfig(value)
			if !ok {
				return nil, syntax.Errorf(path, line, "unterminated string in %q", syntax.Clip(raw))
			}
			value = u
		}
		config.vals[key[len("CONFIG_"):]] = value
	}
	return config, nil
}

// unquoteConfig undoes Kconfig's quoting: a backslash escapes the next byte.
func unquoteConfig(value string) (string, bool) {
	var out strings.Builder
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '"':
			return out.String(), i == len(value)-1
		case '\\':
			i++
			if i == len(value) {
				return "", false
			}
		}
		out.WriteByte(value[i])
	}
	return "", false
}

// Read reads a .config file.
func Read(path string) (*Config, error) {
	b, err := regular.Read(path, unpack.MaxFile)
	if err != nil {
		return nil, err
	}
	return Parse(path, string(b))
}

// Value returns an option's value: "y", "m", a number, or the text of a string
// option without quotes; "" when the option is not set.
func (c *Config) Value(name string) string {
	return c.vals[strings.TrimPrefix(name, "CONFIG_")]
}

// Bool reports whether an option is =y.
func (c *Config) Bool(name string) bool { return c.Value(name) == "y" }

// Module reports whether an option is =m.
func (c *Config) Module(name string) bool { return c.Value(name) == "m" }

// Enabled reports whether an option is =y or =m.
func (c *Config) Enabled(name string) bool { return c.Bool(name) || c.Module(name) }

// Names returns the names of all set options, sorted, without CONFIG_.
func (c *Config) Names() []string {
	out := make([]string, 0, len(c.vals))
	for k := range c.vals {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Compiler is the compiler recorded in CONFIG_CC_VERSION_TEXT. Its Text is
// empty for kernels before 5.8, which did not record one.
func (c *Config) Compiler() Compiler { return ParseCompiler(c.Value("CC_VERSION_TEXT")) }

// GCCMajor is the major version of the gcc that built the kernel, 0 when it
// was not gcc or is not recorded (CONFIG_GCC_VERSION is 10000*major + …).
func (c *Config) GCCMajor() int {
	n, err := strconv.Atoi(c.Value("GCC_VERSION"))
	if err != nil {
		return 0
	}
	return n / 10000
}
