package trial

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// most is how many lines of a check's detail are printed as text.
const most = 12

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s\n", r.Module, r.Release)
	for i := range r.Checks {
		c := &r.Checks[i]
		fmt.Fprintf(&b, "  %-8s%-28s", c.Outcome, c.Name)
		if c.Millis > 0 {
			fmt.Fprintf(&b, "%8.1f s", time.Duration(c.Millis*1e6).Seconds())
		}
		if c.Text != "" {
			fmt.Fprintf(&b, "  %s", c.Text)
		}
		b.WriteString("\n")
		if c.Outcome == Passed && len(c.Holders) == 0 {
			continue
		}
		for n, l := range c.Detail {
			if n == most {
				fmt.Fprintf(&b, "      | ... %d more lines\n", len(c.Detail)-most)
				break
			}
			fmt.Fprintf(&b, "      | %s\n", l)
		}
	}
	verdict := "it passed"
	if !r.Passed {
		verdict = "it failed"
	} else if n := r.count(Unknown); n > 0 {
		verdict = fmt.Sprintf("it passed; %d could not be shown", n)
	}
	fmt.Fprintln(&b, verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) count(o Outcome) int {
	n := 0
	for i := range r.Checks {
		if r.Checks[i].Outcome == o {
			n++
		}
	}
	return n
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	Console  *junitText  `xml:"system-out"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitFail `xml:"failure"`
	Skipped *junitFail `xml:"skipped"`
}

type junitFail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitText struct {
	Text string `xml:",chardata"`
}

// PrintJUnit writes the report as JUnit's XML, one test case a check.
func (r *Report) PrintJUnit(w io.Writer) error {
	s := junitSuite{Name: "klpforge try " + r.Module, Tests: len(r.Checks), Failures: r.count(Failed), Skipped: r.count(Unknown)}
	total := int64(0)
	seconds := func(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
	for i := range r.Checks {
		c := &r.Checks[i]
		total += c.Millis
		jc := junitCase{Class: r.Release, Name: c.Name, Time: seconds(c.Millis)}
		fail := &junitFail{Message: c.Text, Text: strings.Join(c.Detail, "\n")}
		switch c.Outcome {
		case Failed:
			jc.Failure = fail
		case Unknown:
			jc.Skipped = fail
		}
		s.Cases = append(s.Cases, jc)
	}
	s.Time = seconds(total)
	if r.Console != "" {
		s.Console = &junitText{r.Console}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
