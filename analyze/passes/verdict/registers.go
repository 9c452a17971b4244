package verdict

import (
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/analyze"
)

// reader matches calls that may read a register of a device, which some devices
// take as an order. In compiled code such a read is one of memory like any other.
var reader = regexp.MustCompile(`(?i)\b(\w*(?:read|read[bwlq]|read(?:8|16|32|64)|rd(?:8|16|32|64)?|er32|rreg\w*|in[bwl])(?:_relaxed|_be|_p)?)\s*\(`)

// plain are functions of such names that read memory.
var plain = map[string]bool{"atomic_read": true, "atomic64_read": true, "atomic_long_read": true,
	"refcount_read": true, "kref_read": true, "local_read": true,
	"down_read": true, "up_read": true, "percpu_counter_read": true, "percpu_down_read": true, "percpu_up_read": true}

// registers lists what the patches newly read that may be a register of a device.
func registers(p *analyze.Pass) []string {
	var out []string
	for _, f := range p.Files {
		lines := strings.Split(string(f.New), "\n")
		for _, h := range f.Hunks {
			for i := h.NewStart - 1; i >= 0 && i < h.NewStart-1+h.NewLines && i < len(lines); i++ {
				for _, m := range reader.FindAllStringSubmatch(lines[i], -1) {
					if !plain[m[1]] {
						out = append(out, f.Path+": the patch calls "+m[1]+", which may read a register of a device; devices may take that as an order")
					}
				}
			}
		}
	}
	return out
}
