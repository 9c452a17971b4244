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
func (r *Report) Print(out io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s on %s\n", r.Module, r.Release)
	for i := range r.Checks {
		check := &r.Checks[i]
		fmt.Fprintf(&text, "  %-8s%-28s", check.Outcome, check.Name)
		if check.Millis > 0 {
			fmt.Fprintf(&text, "%8.1f s", time.Duration(check.Millis*1e6).Seconds())
		}
		if check.Text != "" {
			fmt.Fprintf(&text, "  %s", check.Text)
		}
		text.WriteString("\n")

		// Details are for what failed or cannot be shown, and for who held a transition up.
		if check.Outcome == Passed && len(check.Holders) == 0 {
			continue
		}
		for n, l := range check.Detail {
			if n == most {
				fmt.Fprintf(&text, "      | ... %d more lines\n", len(check.Detail)-most)
				break
			}
			fmt.Fprintf(&text, "      | %s\n", l)
		}
	}

	verdict := "it passed"
	if !r.Passed {
		verdict = "it failed"
	} else if n := r.count(Unknown); n > 0 {
		verdict = fmt.Sprintf("it passed; %d could not be shown", n)
	}
	fmt.Fprintln(&text, verdict)
	_, err := io.WriteString(out, text.String())
	return err
}

func (r *Report) count(o Outcome) int {
	count := 0
	for i := range r.Checks {
		if r.Checks[i].Outcome == o {
			count++
		}
	}
	return count
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
func (r *Report) PrintJUnit(out io.Writer) error {
	suite := junitSuite{Name: "klpforge try " + r.Module, Tests: len(r.Checks), Failures: r.count(Failed),
		Skipped: r.count(Unknown)}
	total := int64(0)
	seconds := func(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }

	// JUnit has no third outcome: what could not be shown is a test that was skipped.
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
		suite.Cases = append(suite.Cases, jc)
	}

	suite.Time = seconds(total)
	if r.Console != "" {
		suite.Console = &junitText{r.Console}
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(out)
	e.Indent("", "  ")
	if err := e.Encode(suite); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(out, "\n")
	return err
}
