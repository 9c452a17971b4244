package kmod

import (
	"bytes"
	"strings"
)

// Modinfo holds the key=value strings of .modinfo, in order.
type Modinfo []struct{ Key, Value string }

// Get returns the first value of a key, "" when there is none.
func (m Modinfo) Get(key string) string {
	for _, kv := range m {
		if kv.Key == key {
			return kv.Value
		}
	}
	return ""
}

// All returns all values of a key.
func (m Modinfo) All(key string) []string {
	var out []string
	for _, kv := range m {
		if kv.Key == key {
			out = append(out, kv.Value)
		}
	}
	return out
}

// ParseModinfo reads the content of a .modinfo section: strings that end in a
// zero byte. What has no "=" is left out.
func ParseModinfo(b []byte) Modinfo {
	var out Modinfo
	for _, e := range bytes.Split(b, []byte{0}) {
		if k, v, ok := strings.Cut(string(e), "="); ok {
			out = append(out, struct{ Key, Value string }{k, v})
		}
	}
	return out
}
