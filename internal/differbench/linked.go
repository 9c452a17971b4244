package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// eachPair measures every pair by itself, one process each, and all in one.
func (b *bench) eachPair(ctx context.Context, out io.Writer, pairs []pair) error {
	type total struct {
		sample
		outcomes map[string]int
	}
	ours, theirs := total{outcomes: map[string]int{}}, total{outcomes: map[string]int{}}
	slower := 0
	for _, p := range pairs {
		s, err := b.ours(ctx, 1, p)
		if err != nil {
			return err
		}
		ours.cpu += s.cpu
		ours.outcomes[s.outcome]++
		if b.peer == "" {
			continue
		}
		t, err := b.theirs(ctx, p)
		if err != nil {
			return err
		}
		theirs.cpu += t.cpu
		theirs.outcomes[t.outcome]++
		if s.cpu > t.cpu {
			slower++
		}
	}
	fmt.Fprintf(out, "%-44s %10s\n", "all pairs", "CPU s")
	row := func(what string, s sample, outcomes map[string]int) {
		fmt.Fprintf(out, "%-44s %10.3f", what, s.cpu.Seconds())
		for _, o := range []string{done, refused, crashed, timedOut} {
			if outcomes[o] > 0 {
				fmt.Fprintf(out, "  %d %s", outcomes[o], o)
			}
		}
		fmt.Fprintln(out)
	}
	row("klpforge, one process for each pair", ours.sample, ours.outcomes)
	for _, cpus := range []int{1, 2} {
		s, err := b.ours(ctx, cpus, pairs...)
		if err != nil {
			return err
		}
		row(fmt.Sprintf("klpforge, one process, GOMAXPROCS=%d (%.3f s)", cpus, s.wall.Seconds()), s, nil)
	}
	if b.peer != "" {
		row("peer, one process for each pair", theirs.sample, theirs.outcomes)
		fmt.Fprintf(out, "klpforge takes more processor time than the peer on %d of %d pairs\n", slower, len(pairs))
	}
	fmt.Fprintln(out)
	return nil
}

// linkedPairs measures pairs that are linked of the others, taken in order and
// as often as the size needs.
func (b *bench) linkedPairs(ctx context.Context, out io.Writer, pairs []pair) error {
	fmt.Fprintf(out, "%-10s %10s | %10s %8s %8s | %10s %8s | %10s %8s  %s\n", "linked", "both sides", "CPU s", "ns/B", "memory", "s, 1 CPU", "2 CPUs", "peer CPU s", "memory", "")
	late := false
	b.runs = 1
	for _, n := range parts {
		var some []pair
		for i, rest := 0, b.size<<20/int64(n); rest > 0; i++ {
			p := pairs[i%len(pairs)]
			some = append(some, p)
			rest -= sizeOf(p) / 2
		}
		big := pair{filepath.Join(b.dir, "big.orig.o"), filepath.Join(b.dir, "big.patched.o")}
		if err := b.link(ctx, some, big); err != nil {
			return err
		}
		size := sizeOf(big)
		one, err := b.ours(ctx, 1, big)
		if err != nil {
			return err
		}
		two, err := b.ours(ctx, 2, big)
		if err != nil {
			return err
		}
		if one.outcome != done || two.outcome != done {
			return fmt.Errorf("klpforge on a linked pair of %s: %s, %s", mib(size), one.outcome, two.outcome)
		}
		fmt.Fprintf(out, "1/%-8d %10s | %10.2f %8.1f %7.1fx | %10.2f %8.2f", n, mib(size), one.cpu.Seconds(), float64(one.cpu)/float64(size),
			float64(one.memory)/float64(size), one.wall.Seconds(), two.wall.Seconds())
		if late {
			fmt.Fprint(out, " | not tried: a smaller pair was not done in time")
		} else if b.peer != "" {
			t, err := b.theirs(ctx, big)
			if err != nil {
				return err
			}
			late = t.outcome == timedOut
			fmt.Fprintf(out, " | %10.2f %7.1fx  %s", t.cpu.Seconds(), float64(t.memory)/float64(size), t.outcome)
		}
		fmt.Fprintln(out)
	}
	return nil
}

// link makes one pair of many. Another process does it: this one must stay
// small, for a child's peak memory counts from where its parent was.
func (b *bench) link(ctx context.Context, pairs []pair, to pair) error {
	for _, side := range []struct {
		out  string
		file func(pair) string
	}{{to.orig, func(p pair) string { return p.orig }}, {to.patched, func(p pair) string { return p.patched }}} {
		args := []string{"-worker", "link", "-o", side.out}
		for i, p := range pairs {
			args = append(args, side.file(p), strconv.Itoa(i))
		}
		if text, err := exec.CommandContext(ctx, b.self, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("link a pair: %w: %s", err, text)
		}
	}
	return nil
}

// link links objects as vmlinux.o is linked of all objects: tables and strings
// are merged, functions and variables keep their sections. args are objects, each
// with the number that its names get.
func link(out string, args []string) error {
	var text bytes.Buffer
	var in []string
	for i := 0; i < len(args); i += 2 {
		f, err := elfobj.ReadFile(args[i])
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s.%s.o", strings.TrimSuffix(out, ".o"), args[i+1])
		distinct(f, args[i+1])
		if err := writeObject(name, f); err != nil {
			return err
		}
		in = append(in, name)
	}
	cmd := exec.Command("ld", append([]string{"-r", "-z", "muldefs", "-o", out}, in...)...)
	cmd.Stderr = &text
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ld -r: %w: %s", err, text.String())
	}
	return removeAll(in)
}
