package guest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplaints(t *testing.T) {
	bad := []string{
		"[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000",
		"[    1.000000] BUG kmalloc-64 (Tainted: G): Redzone overwritten",
		"[    1.000000] WARNING: CPU: 0 PID: 96 at fs/x.c:21 f+0x11/0x1000 [m]",
		"[    1.000000] Call Trace:",
		"[    1.000000] general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
		"[    1.000000] rcu: INFO: rcu_preempt self-detected stall on CPU",
		"[    1.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
		"[    1.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]",
		"[    1.000000] INFO: task init:1 blocked for more than 120 seconds.",
		"[    1.000000] livepatch: failed to enable patch 'x'",
		"[    1.000000] livepatch: symbol 'f' not found in symbol table",
		"[    1.000000] livepatch: unresolvable symbol for object 'ext4', name 'f'",
		"[    1.000000] livepatch: 'x': something failed",
		"[    1.000000] x: Unknown symbol foo (err -2)",
		"[    1.000000] x: disagrees about version of symbol module_layout",
		"[    1.000000] x: version magic '6.1.192 SMP' should be '6.1.0-55 SMP'",
		"[    1.000000] refcount_t: underflow; use-after-free.",
		"[    1.000000] EXT4-fs error (device loop0): ext4_lookup:1: x",
	}
	good := []string{
		"[    1.000000] livepatch: enabling patch 'net_failover'",
		"[    1.000000] livepatch: 'klp_error_force': starting patching transition",
		"[    1.000000] livepatch: 'x': patching complete",
		"[    1.000000] livepatch: signaling remaining tasks",
		"[    1.000000] livepatch: applying patch 'x' to loading module 'ext4'",
		"[    1.000000] x: loading out-of-tree module taints kernel.",
		"[    1.000000] x: module verification failed: signature and/or required key missing - tainting kernel",
		"[    1.000000] x: tainting kernel with TAINT_LIVEPATCH",
		"[    1.000000] EXT4-fs (loop0): mounted filesystem with ordered data mode. Quota mode: none.",
		"[    1.000000] loop: module loaded",
		"[    1.000000] loop0: detected capacity change from 0 to 32768",
	}
	got, err := Complaints(append(append([]string{}, bad...), good...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(bad, got); d != "" {
		t.Errorf("complaints (-want +got):\n%s", d)
	}
	got, err = Complaints(bad[:3], []string{`^\S+ +\S+ BUG`})
	if err != nil || len(got) != 1 {
		t.Errorf("with an allowed message: %q, %v", got, err)
	}
	if _, err := Complaints(nil, []string{"("}); err == nil {
		t.Error("a broken expression is accepted")
	}
}

func TestCheckTaintBits(t *testing.T) {
	tests := []struct {
		taint, allowed uint64
		want           string
	}{
		{0, 0, ""},
		{TaintAllowed, TaintAllowed, ""},
		{TaintAllowed | 1<<9, TaintAllowed, "W (bit 9)"},
		{1<<7 | 1<<15, 0, "D (bit 7), K (bit 15)"},
		{1 << 40, TaintAllowed, "bit 40"},
	}
	for _, tt := range tests {
		err := CheckTaintBits(tt.taint, tt.allowed)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want)) {
			t.Errorf("%#x of %#x: got %v, want %q", tt.taint, tt.allowed, err, tt.want)
		}
	}
}

func TestParseKmsg(t *testing.T) {
	tests := []struct {
		rec, want string
		ok        bool
	}{
		{"6,339,5140900,-;NET: Registered protocol family 10\n", "[    5.140900] NET: Registered protocol family 10", true},
		{"4,340,1234567890,c;text; with semicolon\n SUBSYSTEM=pci\n", "[ 1234.567890] text; with semicolon", true},
		{"12,341,1,-;from user space\n", "", false},
		{"6,1;short", "", false},
		{"no record", "", false},
		{"x,1,2,-;bad priority", "", false},
		{"6,1,x,-;bad time", "", false},
	}
	for _, tt := range tests {
		if got, ok := parseKmsg(tt.rec); got != tt.want || ok != tt.ok {
			t.Errorf("%q gives %q, %v", tt.rec, got, ok)
		}
	}
}
