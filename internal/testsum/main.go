// Command testsum runs go test and says what became of it: a line for each
// package, the output of what failed, and at the end how many tests passed,
// failed and were skipped.
//
// A test counts once. A test with subtests does not count by itself, unless it
// fails while they all pass.
//
//	testsum [-record FILE] [-strict] [-again] [-slow D] -- [go test arguments]
//	testsum -total [-strict] FILE...
//
// The first form runs go test -json with the arguments. With -strict a test
// that is skipped without an entry in allowed.txt is a failure: on a machine
// that has everything, nothing may stay out silently. With -again the tests that
// failed, in packages that must be named by the last arguments, run a second
// time, and that run decides: virtual machines without KVM on a busy host miss
// limits now and then. Both runs are printed. The second form adds up what
// earlier runs recorded; of a test that ran in several the best counts unless
// one failed. With -strict a test that no run has run is a failure there, too. In
// CI, that is with CI=true in the environment, -total is always strict.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	record := flag.String("record", "", "write the outcome of every test to `FILE`")
	strict := flag.Bool("strict", false, "count skipped tests as failed unless allowed.txt names them")
	again := flag.Bool("again", false, "run what failed once more, which decides")
	slow := flag.Duration("slow", 5*time.Second, "tell of top-level tests that take longer")
	total := flag.Bool("total", false, "add up the recorded files given as arguments")
	flag.Parse()
	code, err := 0, error(nil)
	if *total {
		code, err = sum(os.Stdout, flag.Args(), *strict || os.Getenv("CI") == "true")
	} else {
		o := options{args: flag.Args(), record: *record, strict: *strict, again: *again, slow: *slow}
		code, err = o.run(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		code = 1
	}
	os.Exit(code)
}

// options are those of the first form.
type options struct {
	args          []string // of go test
	record        string
	strict, again bool
	slow          time.Duration
}

// run runs go test, with again a second time for what failed, and returns the
// exit code.
func (o *options) run(out io.Writer) (int, error) {
	r, err := o.once(out, o.args)
	if err != nil {
		return 0, err
	}
	if failed := r.failed(); o.again && len(failed) > 0 {
		fmt.Fprintf(out, "\n=== FAILED ONCE; a second run decides:\n")
		r.Failed = false
		flags := slices.DeleteFunc(slices.Clone(o.args), func(a string) bool { return strings.HasPrefix(a, "./") })
		for _, f := range failed {
			fmt.Fprintf(out, "    %s %s\n", f.pkg, strings.Join(f.tests, " "))
			second, err := o.once(out, append(slices.Clone(flags), f.args()...))
			if err != nil {
				return 0, err
			}
			r.replace(second)
		}
	}
	if o.record != "" {
		if err := write(o.record, r); err != nil {
			return 0, err
		}
	}
	return report(out, r), nil
}

// once runs go test.
func (o *options) once(out io.Writer, args []string) (Record, error) {
	allowed, err := allowList()
	if err != nil {
		return Record{}, err
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	// A signal goes to the whole group from a terminal; from elsewhere it is
	// passed on, so that no test is left behind.
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(sig)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return Record{}, err
	}
	if err := cmd.Start(); err != nil {
		return Record{}, fmt.Errorf("start go test: %w", err)
	}
	go func() {
		for s := range sig {
			_ = cmd.Process.Signal(s) // it may just have ended
		}
	}()
	c := newCollector(out, o.slow)
	if o.strict {
		c.allowed = allowed
		c.strict = true
	}
	readErr := c.read(pipe)
	waitErr := cmd.Wait()
	if readErr != nil {
		return Record{}, readErr
	}
	r := c.finish()
	r.Failed = r.Failed || waitErr != nil
	return r, nil
}

// sum adds up recorded outcomes. With strict, what was skipped in all of them
// without being in allowed.txt has failed.
func sum(out io.Writer, files []string, strict bool) (int, error) {
	allowed, err := allowList()
	if err != nil {
		return 0, err
	}
	var all Record
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		var r Record
		if err := json.Unmarshal(b, &r); err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		all.add(r)
	}
	if strict {
		all.refuseSkips(out, allowed)
	}
	return report(out, all), nil
}

func write(file string, r Record) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// report prints what failed and what was skipped, then the closing line. It
// returns the exit code.
func report(out io.Writer, r Record) int {
	var passed, failed, skipped int
	var names, skips []string
	for _, t := range r.sorted() {
		switch t.Outcome {
		case Pass:
			passed++
		case Fail:
			failed++
			names = append(names, t.Name())
		case Skip:
			skipped++
			skips = append(skips, fmt.Sprintf("%s: %s", t.Name(), t.Why))
		}
	}
	for _, s := range skips {
		fmt.Fprintln(out, "skipped:", s)
	}
	if failed > 0 {
		fmt.Fprintf(out, "failed:\n  %s\n", strings.Join(names, "\n  "))
	}
	if r.Failed && failed == 0 {
		fmt.Fprintln(out, "go test failed although no test did; see above")
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped in %v\n", passed, failed, skipped, time.Duration(r.Seconds*float64(time.Second)).Round(time.Second))
	if failed > 0 || r.Failed {
		return 1
	}
	return 0
}
