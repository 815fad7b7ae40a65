package diagnostics

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"storehub/netcheck"
)

// sample has one of everything a report can hold.
func sample() Report {
	return Report{
		Schema: 1, Store: "0412", HubVersion: "1.4.0", StartedAt: at, TookMS: 2134, Verdict: Blocked,
		Causes: []Cause{{Code: "dns_private_filtered", Severity: Critical, Confidence: 0.97, Since: at.Add(-time.Hour),
			Title:    "The router hides private addresses from DNS answers",
			Evidence: []string{"192.168.1.1 answers public names, but not Stripe's test name: no address (want 10.42.42.42)", "1.1.1.1 answers it"},
			RuledOut: []string{"dead DNS: api.stripe.com and gator.stripe.com resolve"},
			Remedy:   []string{"Allow stripe-terminal-local-reader.net in the router's DNS rebind protection."},
			Targets:  []string{"10-42-42-42.test.device.stripe-terminal-local-reader.net"}, Explains: []string{"reader_offline"}, Doc: "docs/findings.md#dns_private_filtered"}},
		Symptoms: []Symptom{{Code: "reader_offline", Because: "dns_private_filtered", Targets: []string{"tmr_1", "tmr_2"}}},
		Probes: []netcheck.Result{
			{Name: "link", Status: netcheck.Pass, Detail: "eth0 up"},
			{Name: "dhcp", Status: netcheck.Unknown, Detail: "ask for DHCP offers: needs CAP_NET_RAW; run as root or ask the running hub"},
			{Name: "dns/private", Status: netcheck.Fail, Code: "dns_private_filtered"},
			{Name: "hq", Status: netcheck.Skip, Because: "dns"},
		},
	}
}

func TestWriteText(t *testing.T) {
	for name, o := range map[string]TextOptions{"text_wide.txt": {Width: 120}, "text_narrow.txt": {Width: 40}, "text_color.txt": {Color: true}} {
		var b bytes.Buffer
		if err := WriteText(&b, sample(), o); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// A phone's terminal has 40 columns. What can be broken stays within them.
func TestNothingIsWiderThanAPhone(t *testing.T) {
	flapping := sample()
	flapping.Causes[0].Flapping = &Flapping{Times: 5, Since: at.Add(-30 * time.Hour), LastSeen: at.Add(-5 * time.Minute), Severity: Critical}
	flapping.Causes[0].LastDay = &Recurrence{Times: 4, Seconds: 3000}
	var b bytes.Buffer
	if err := WriteText(&b, flapping, TextOptions{Width: 40}); err != nil {
		t.Fatal(err)
	}
	golden(t, "text_phone.txt", b.Bytes())
	now := minutes(102)
	if err := WriteHistoryText(&b, Recall(pastMorning(), minutes(-5), now, now), TextOptions{Width: 40, Zone: cet}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 40 && strings.Contains(strings.TrimSpace(line[10:]), " ") {
			t.Errorf("%q", line)
		}
	}
}

func TestWriteHTML(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	r.Causes[0].Evidence = append(r.Causes[0].Evidence, `issued by "<script>alert(1)</script>"`)
	if err := WriteHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b.Bytes(), []byte("<script")) {
		t.Error("what came from outside became part of the page")
	}
	if bytes.Contains(b.Bytes(), []byte("http://")) || bytes.Contains(b.Bytes(), []byte("https://")) {
		t.Error("the page needs something from elsewhere")
	}
	golden(t, "report.html", b.Bytes())
}

func TestTextFromOutsideCannotMoveTheCursor(t *testing.T) {
	r := sample()
	r.Store = "04\x1b[2J12"
	r.Causes[0].Title = "evil\r\ntitle\x07"
	r.Causes[0].Evidence = []string{"issued by \"\u202eAC\x1b]0;owned\x07\"", "bad \xff bytes"}
	r.Probes[1].Detail = "\x9b31m"
	var b bytes.Buffer
	if err := WriteText(&b, r, TextOptions{Width: 60}); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b.Bytes()) {
		t.Error("not UTF-8")
	}
	for _, r := range b.String() {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e) {
			t.Errorf("control character %U in %q", r, b.String())
		}
	}
}

func TestWrapLosesNoWord(t *testing.T) {
	const s = "Allow stripe-terminal-local-reader.net in the router's DNS rebind protection."
	for width := range 60 {
		if got := strings.Join(wrap(s, width), " "); got != s {
			t.Errorf("width %d: %q", width, got)
		}
	}
}
