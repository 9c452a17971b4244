package vm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// outline says what a script does, one word a step; rounds are one word.
func outline(s Script) string {
	var out []string
	for _, st := range s.Steps {
		w := string(st.Op)
		switch st.Op {
		case guest.OpModprobe, guest.OpDisable, guest.OpRmmod:
			w += ":" + st.Module
		case guest.OpInsmod:
			w += ":" + st.Path
		case guest.OpWriteFile:
			w = st.Label
		case guest.OpSync, guest.OpDropCaches, guest.OpVerifyFile, guest.OpWaitTransition, guest.OpExpectEnabled, guest.OpLivepatches, guest.OpLoopAttach:
			continue
		}
		if !strings.HasSuffix(w, ", after dropping caches") {
			out = append(out, w)
		}
	}
	return strings.Join(out, " | ")
}

func TestExt4Steps(t *testing.T) {
	ko := writeFile(t, "fix.ko", fakeModule("name=klp_fix"))
	const load = "insmod:/ko/fix.ko"
	tests := []struct {
		name string
		o    Ext4Options
		want string
	}{
		{"control", Ext4Options{}, "modprobe:ext4 | modprobe:loop | mount | round 1 | check-dmesg | check-taint | umount | loop-detach | check-dmesg"},
		{"after", Ext4Options{Livepatch: ko}, "modprobe:ext4 | " + load + " | modprobe:loop | mount | round 1 | round 2 | check-dmesg | check-taint | umount | loop-detach | disable:klp_fix | rmmod:klp_fix | check-dmesg"},
		{"before", Ext4Options{Livepatch: ko, Order: LivepatchFirst, Rounds: 1}, load + " | modprobe:ext4 | modprobe:loop | mount | round 1 | check-dmesg | check-taint | umount | loop-detach | disable:klp_fix | rmmod:klp_fix | check-dmesg"},
		{"unload", Ext4Options{Livepatch: ko, Unload: true}, "modprobe:ext4 | " + load + " | modprobe:loop | mount | round 1 | round 2 | check-dmesg | check-taint | disable:klp_fix | rmmod:klp_fix | round without the livepatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Ext4Steps(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, outline(s)); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
		})
	}
	if _, err := Ext4Steps(Ext4Options{Unload: true}); err == nil {
		t.Error("unloading nothing is accepted")
	}
	if _, err := Ext4Steps(Ext4Options{Livepatch: "/no/such.ko"}); err == nil {
		t.Error("a missing livepatch is accepted")
	}
}

func TestCheckExt4(t *testing.T) {
	ok := func(labels ...string) (out []guest.StepResult) {
		for _, l := range labels {
			out = append(out, guest.StepResult{Label: l, OK: true})
		}
		return out
	}
	there := &Panic{Text: "BUG", Function: Ext4PanicFunction}
	lp, unload := Ext4Options{Livepatch: "x.ko"}, Ext4Options{Livepatch: "x.ko", Unload: true}
	tests := []struct {
		name string
		r    Result
		o    Ext4Options
		good bool
	}{
		{"control panics", Result{Panic: there}, Ext4Options{}, true},
		{"control survives", Result{Done: true, guestOK: true}, Ext4Options{}, false},
		{"control panics elsewhere", Result{Panic: &Panic{Function: "g"}}, Ext4Options{}, false},
		{"cured", Result{Done: true, guestOK: true}, lp, true},
		{"not cured", Result{Panic: there}, lp, false},
		{"panic is back", Result{Steps: ok(Ext4LoadedLabel, Ext4SurvivedLabel, Ext4UnloadedLabel), Panic: there}, unload, true},
		{"panic too early", Result{Steps: ok(Ext4LoadedLabel), Panic: there}, unload, false},
		{"panic before unloading", Result{Steps: ok(Ext4LoadedLabel, Ext4SurvivedLabel), Panic: there}, unload, false},
		{"no panic after unloading", Result{Steps: ok(Ext4LoadedLabel, Ext4SurvivedLabel, Ext4UnloadedLabel), Done: true, guestOK: true}, unload, false},
	}
	for _, tt := range tests {
		if err := CheckExt4(&tt.r, tt.o); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
