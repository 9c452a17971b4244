package report

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium starts a headless browser, and returns a context of one tab.
func chromium(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("KLPFORGE_E2E") == "" {
		t.Skip("needs a browser; run make test")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("install chromium: %v", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// layout is what a page looks like.
type layout struct {
	Sections []string // from the top
	Verdicts int      // boxes
	Overflow int      // pixels beyond the window
	Wide     []string // texts that leave the window
	Asks     []string // for more than the page
	Nodes    int      // of the call graph
	Bad      []string // texts that leave their box of the graph, boxes that overlap
}

// TestHTMLInChromium shows the page to a browser: it asks for nothing,
// begins with the verdicts, and fits into a desk's and a phone's window.
func TestHTMLInChromium(t *testing.T) {
	ctx := chromium(t)
	var page bytes.Buffer
	if err := HTML(&page, sample()); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/report.html" {
			http.NotFound(w, r)
			return
		}
		w.Write(page.Bytes())
	}))
	defer srv.Close()

	for _, width := range []int64{1400, 390} {
		t.Run(fmt.Sprintf("%d pixels", width), func(t *testing.T) {
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(srv.URL+"/report.html")); err != nil {
				t.Fatal(err)
			}
			got, err := chromedp.Run(ctx, chromedp.Evaluate[layout](`(() => {
	const r = e => e.getBoundingClientRect();
	const nodes = [...document.querySelectorAll(".graph .node")];
	const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
	const sections = [...document.querySelectorAll("section")].sort((a, b) => r(a).top - r(b).top);
	return {
		Sections: sections.map(s => s.id),
		Verdicts: document.querySelectorAll("#verdicts .box").length,
		Overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
		Nodes: nodes.length,
		Bad: nodes.filter(n => r(n.querySelector("text")).right > r(n.querySelector("rect")).right).map(n => n.textContent)
			.concat(nodes.flatMap((a, i) => nodes.slice(i + 1).filter(b => overlap(r(a), r(b))).map(b => a.textContent + " over " + b.textContent))),
		Asks: performance.getEntriesByType("resource").map(e => e.name).concat([...document.scripts].map(e => "script " + e.src)),
		Wide: [...document.querySelectorAll("p, li, .box, h2, summary")].filter(e => r(e).width > 0 && r(e).right > innerWidth).map(e => e.textContent.slice(0, 60)),
	};
})()`))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Sections) == 0 || got.Sections[0] != "verdicts" || got.Verdicts == 0 {
				t.Errorf("%d verdicts; sections from the top: %q, want verdicts first", got.Verdicts, got.Sections)
			}
			if got.Overflow > 0 || len(got.Wide) > 0 {
				t.Errorf("wider than the window by %d pixels: %q", got.Overflow, got.Wide)
			}
			if want := len(sample().Graph.Nodes); got.Nodes != want || len(got.Bad) > 0 {
				t.Errorf("the graph shows %d functions, want %d; %q", got.Nodes, want, got.Bad)
			}
			if len(got.Asks) > 0 {
				t.Errorf("the page asks for %q", got.Asks)
			}
		})
	}
}
