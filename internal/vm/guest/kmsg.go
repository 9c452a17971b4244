package guest

import (
	"fmt"
	"strconv"
	"strings"
)

// parseKmsg turns one record of /dev/kmsg into "[seconds.micros] text"
// (Documentation/ABI/testing/dev-kmsg). It reports false for what user space
// wrote and for what is not a record. Escaped bytes stay escaped;
// continuation lines (SUBSYSTEM=, DEVICE=) are dropped.
func parseKmsg(rec string) (string, bool) {
	head, text, ok := strings.Cut(rec, ";")
	if !ok {
		return "", false
	}
	f := strings.Split(head, ",")
	if len(f) < 3 {
		return "", false
	}
	prio, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || prio>>3 != 0 { // facility 0 is the kernel
		return "", false
	}
	us, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return "", false
	}
	text, _, _ = strings.Cut(text, "\n")
	return fmt.Sprintf("[%5d.%06d] %s", us/1e6, us%1e6, text), true
}
