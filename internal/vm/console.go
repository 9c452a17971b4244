package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Panic is a kernel panic, or an oops after which the VM said nothing more.
type Panic struct {
	Text     string   // the first line of the report, such as "BUG: kernel NULL pointer dereference, address: 0000000000000000"
	Reason   string   // after "Kernel panic - not syncing: "; empty when that line did not come
	Function string   // at the instruction pointer; empty when it pointed to no function
	Module   string   // of Function; empty for vmlinux
	Trace    []string // functions of the first call trace, innermost first, without guesses ("?")
	Lines    []string // the whole report, at most guest.MaxLog lines, without time stamps
}

// String is one line that names the cause and the place.
func (p *Panic) String() string {
	text := p.Text
	if p.Function != "" {
		text += " in " + p.Function
	}
	if p.Module != "" {
		text += " [" + p.Module + "]"
	}
	if p.Reason != "" && !strings.Contains(p.Text, p.Reason) {
		text += " (" + p.Reason + ")"
	}
	return text
}

// The texts are those of kernel/panic.c, arch/x86/mm/fault.c,
// arch/x86/kernel/{traps,dumpstack}.c of v6.1.
var (
	ansiRE  = regexp.MustCompile(`\x1b(\[[0-9;?=]*[A-Za-z]|[@-Z\\-_a-z])`)
	stampRE = regexp.MustCompile(`^\[ *\d+\.\d+\](\[ *[TC]\d+\])? `)
	oopsRE  = regexp.MustCompile(`^(BUG: (kernel|unable)|Oops|general protection|kernel BUG at|invalid opcode|double fault|stack guard page|traps: PANIC|PANIC: |kernel tried to execute|int3: |divide error|watchdog: BUG)`)
	panicRE = regexp.MustCompile(`^Kernel panic - not syncing: (.*)`)
	ripRE   = regexp.MustCompile(`^RIP: 0010:([^\s+]+)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[(\w+)\])?`)
	traceRE = regexp.MustCompile(`^ +([^\s+?]+)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?`)
)

// collector makes a Result from the lines of a VM as they come. It is not
// safe for concurrent use.
type collector struct {
	res     Result
	log     strings.Builder
	oops    *Panic
	inOops  bool
	inTrace bool
	bad     error // first result line that cannot be understood
}

// line takes one line of either serial port, with or without its line end.
func (c *collector) line(l string) {
	l = strings.TrimRight(ansiRE.ReplaceAllString(l, ""), "\r\n")
	c.log.WriteString(l)
	c.log.WriteByte('\n')
	if event, ok := strings.CutPrefix(l, guest.Prefix); ok {
		var ev guest.Event
		if err := json.Unmarshal([]byte(event), &ev); err != nil {
			if c.bad == nil {
				c.bad = fmt.Errorf("decode result line: %w: %.200s", err, l)
			}
			return
		}
		c.event(ev)
		return
	}
	c.kernel(stampRE.ReplaceAllString(l, ""))
}

func (c *collector) event(ev guest.Event) {
	result := &c.res
	switch ev.Kind {
	case guest.EvStart:
		result.Kernel = ev.Kernel
	case guest.EvBegin:
		result.open = append(result.open, ev)
	case guest.EvEnd:
		if ev.Step != nil {
			result.Steps = append(result.Steps, *ev.Step)
		}
		for len(result.open) > 0 {
			last := result.open[len(result.open)-1]
			result.open = result.open[:len(result.open)-1]
			if last.ID == ev.ID {
				break
			}
		}
	case guest.EvModuleBegin:
		result.OpenModule = ev.Label
	case guest.EvModule:
		result.OpenModule = ""
		if ev.Module != nil {
			result.Modules = append(result.Modules, *ev.Module)
		}
	case guest.EvDone:
		result.Done = true
		result.guestOK = ev.OK
		result.guestErr = ev.Err
	}
}

func (c *collector) kernel(l string) {
	if match := panicRE.FindStringSubmatch(l); match != nil {
		if !c.inOops {
			c.oops = &Panic{Text: l} // a panic that no oops caused
		}
		c.inOops, c.inTrace = true, false
		if c.oops.Reason == "" {
			c.oops.Reason = match[1]
		}
		c.res.Panic = c.oops
	} else if oopsRE.MatchString(l) && !c.inOops {
		c.oops, c.inOops, c.inTrace = &Panic{Text: l}, true, false
	}
	if !c.inOops {
		return
	}
	oops := c.oops
	if len(oops.Lines) < guest.MaxLog {
		oops.Lines = append(oops.Lines, l)
	}
	switch {
	case strings.HasPrefix(l, "Call Trace:"):
		c.inTrace = oops.Trace == nil
	case strings.HasPrefix(l, " </TASK>") || strings.HasPrefix(l, "RIP:") || strings.HasPrefix(l, "Modules linked in"):
		c.inTrace = false
	case c.inTrace:
		if match := traceRE.FindStringSubmatch(l); match != nil {
			oops.Trace = append(oops.Trace, match[1])
		}
	}
	if match := ripRE.FindStringSubmatch(l); match != nil && oops.Function == "" {
		oops.Function, oops.Module = match[1], match[2]
	}
}

// finish returns the result once there will be no more lines.
func (c *collector) finish() (*Result, error) {
	result := c.res
	if result.Panic == nil && c.oops != nil && !result.Done {
		result.Panic = c.oops
	}
	result.Log = c.log.String()
	return &result, c.bad
}

// ParseLog makes a Result from a log that Run kept.
func ParseLog(rd io.Reader) (*Result, error) {
	var collect collector
	br := bufio.NewReader(rd)
	for {
		line, err := br.ReadString('\n')
		if line != "" {
			collect.line(line)
		}
		if err == io.EOF {
			return collect.finish()
		}
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
}
