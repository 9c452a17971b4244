package guest

import (
	"fmt"
	"regexp"
	"strings"
)

// complaintRE matches kernel messages that mean something went wrong. The
// texts are those of kernel/panic.c, kernel/livepatch/, kernel/module/,
// kernel/trace/ftrace.c, mm/ and lib/ of v6.1.
var complaintRE = regexp.MustCompile(strings.Join([]string{
	`\bBUG[: ]`, `\bWARNING: `, `\bOops\b`, `general protection`, `Call Trace:`, `[Uu]nable to handle`,
	`kernel BUG at`, `Kernel panic`, `invalid opcode`, `double fault`, `stack guard page`, `stack segment`,
	`\b[Ss]tall(s|ed)? (on|detected)`, `detected .*stalls?\b`, `soft lockup`, `hard LOCKUP`, `blocked for more than \d+ seconds`,
	`[Ss]leeping function called`, `scheduling while atomic`, `possible (circular|recursive) locking`, `suspicious RCU usage`,
	`[Bb]ad page`, `refcount_t: `, `list_(add|del) corruption`, `KASAN`, `UBSAN`, `KFENCE`, `DEADLOCK`, `[Uu]nwind.*(error|fail)`,
	`livepatch: .*(fail|error|not found|unresolvable|invalid|unsupported|[Cc]annot|[Cc]ould not|doesn't|isn't|not applied|conflict|mismatch|forc)`,
	`ftrace (bug|failed|faulted)`, `ftrace: .*fail`, `ftrace-powered .*fail`,
	`Unknown symbol`, `disagrees about version`, `no symbol version`, `version magic`, `Unknown rela relocation`, `overflow in relocation`,
	`[Ss]kipping invalid relocation`, `Invalid relocation target`, `Relocation .* (overflow|not)`, `jump_label: `, `static_call: .*(can't|fail|bad|unexpected)`,
	`alternatives: .*fail`, `orc: .*(bad|fail)`, `EXT4-fs error`, `I/O error`,
}, "|"))

// harmlessRE matches messages of loading a module that is not signed by the
// kernel's builder.
var harmlessRE = regexp.MustCompile(strings.Join([]string{
	`loading out-of-tree module taints kernel`,
	`module verification failed: signature and/or required key missing`,
	`tainting kernel with TAINT_LIVEPATCH`,
}, "|"))

// quotedRE matches the names that livepatch messages quote: a livepatch called
// net_failover does not fail.
var quotedRE = regexp.MustCompile(`'[^']*'`)

// Complaints returns the messages that mean trouble and match no expression of
// allow. It errs when an expression does not compile.
func Complaints(msgs []string, allow []string) ([]string, error) {
	res := make([]*regexp.Regexp, 0, len(allow))
	for _, a := range allow {
		re, err := regexp.Compile(a)
		if err != nil {
			return nil, fmt.Errorf("compile allowed message: %w", err)
		}
		res = append(res, re)
	}
	var out []string
next:
	for _, m := range msgs {
		text := m
		if strings.Contains(m, "livepatch: ") {
			text = quotedRE.ReplaceAllString(m, "''")
		}
		if !complaintRE.MatchString(text) || harmlessRE.MatchString(m) {
			continue
		}
		for _, re := range res {
			if re.MatchString(m) {
				continue next
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// taintLetters gives the letter of each taint bit (Documentation/admin-guide/tainted-kernels.rst, v6.1).
const taintLetters = "PFSRMBUDAWCIOELKXTN"

// CheckTaintBits errs when taint has bits outside allowed, naming them.
func CheckTaintBits(taint, allowed uint64) error {
	bad := taint &^ allowed
	if bad == 0 {
		return nil
	}
	var names []string
	for b := range 64 {
		if bad&(1<<b) == 0 {
			continue
		}
		n := fmt.Sprintf("bit %d", b)
		if b < len(taintLetters) {
			n = string(taintLetters[b]) + fmt.Sprintf(" (bit %d)", b)
		}
		names = append(names, n)
	}
	return fmt.Errorf("kernel is tainted: %s", strings.Join(names, ", "))
}
