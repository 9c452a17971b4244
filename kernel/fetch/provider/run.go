package provider

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// CommandError is a failed subprocess.
type CommandError struct {
	Args   []string
	Err    error
	Output string // what it printed to stderr, complete
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", strings.Join(e.Args[:min(3, len(e.Args))], " "), e.Err, cause(e.Output))
}

// cause is the line that says most: apt's first error, since its last one says only that
// there were some; of other programs the last line.
func cause(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "E: ") {
			return l
		}
	}
	return lines[len(lines)-1]
}

func (e *CommandError) Unwrap() error { return e.Err }

// Run runs a program in dir ("" for here), with messages in English, and returns
// what it printed. The error is a [CommandError]; it wraps exec.ErrNotFound
// when the program is not installed, and the context's error when that ended it.
func Run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return RunEnv(ctx, dir, nil, args...)
}

// RunEnv is Run with more variables in the environment, as NAME=value.
func RunEnv(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"), env...)
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, &CommandError{Args: args, Err: err, Output: errb.String()}
	}
	return out.Bytes(), nil
}

// Pipe runs two programs in dir, the first one's output being the other's input.
func Pipe(ctx context.Context, dir string, from, to []string) error {
	var messages [2]bytes.Buffer
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the other one when one cannot be started
	first, second := exec.CommandContext(ctx, from[0], from[1:]...), exec.CommandContext(ctx, to[0], to[1:]...)
	for i, cmd := range []*exec.Cmd{first, second} {
		cmd.Dir, cmd.Stderr, cmd.Env = dir, &messages[i], append(os.Environ(), "LC_ALL=C")
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	first.Stdout, second.Stdin = writer, reader
	err1, err2 := first.Start(), second.Start()
	writer.Close()
	reader.Close()
	if err1 == nil && err2 != nil {
		cancel()
	}
	if err1 == nil {
		err1 = first.Wait()
	}
	if err2 == nil {
		err2 = second.Wait()
	}
	// The second fails when the first does: that one's words say why.
	if err1 != nil {
		return &CommandError{Args: from, Err: err1, Output: messages[0].String()}
	}
	if err2 != nil {
		return &CommandError{Args: to, Err: err2, Output: messages[1].String()}
	}
	return nil
}
