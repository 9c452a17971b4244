package verdict

import (
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/kfuncs"
)

// reader matches calls that may read a register of a device, which some devices
// take as an order. In compiled code such a read is one of memory like any other.
var reader = regexp.MustCompile(`(?i)\b(\w*(?:read|read[bwlq]|read(?:8|16|32|64)|rd(?:8|16|32|64)?|er32|rreg\w*|in[bwl])(?:_relaxed|_be|_p)?)\s*\(`)

// registers lists what the patches newly read that may be a register of a device.
func registers(p *analyze.Pass) []string {
	var out []string
	for _, file := range p.Files {
		lines := strings.Split(string(file.New), "\n")
		for _, h := range file.Hunks {
			for i := h.NewStart - 1; i >= 0 && i < h.NewStart-1+h.NewLines && i < len(lines); i++ {
				for _, m := range reader.FindAllStringSubmatch(lines[i], -1) {
					if !kfuncs.ReadsMemory(m[1]) {
						out = append(out, file.Path+": the patch calls "+m[1]+
							", which may read a register of a device; devices may take that as an order")
					}
				}
			}
		}
	}
	return out
}
