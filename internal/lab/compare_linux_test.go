package lab

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var compareAll = flag.Bool("compare", false, "with -run TestCompare: every row of the comparison, not two")

// TestCompare shows what others show of the same faults (docs/lab.md).
func TestCompare(t *testing.T) {
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	for _, tool := range compareTools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(err)
		}
	}
	task := Task{Hub: program(t), Labs: *examLabs, Rows: []string{"healthy", "dns-nxdomain"}, Compare: true}
	if *compareAll {
		task.Rows = compared
	}
	if *examRows != "" {
		task.Rows = strings.Split(*examRows, ",")
	}
	var got []Outcome
	err := Exam(t.Context(), task, func(o Outcome) {
		if o.Wrong != "" {
			t.Errorf("%s: %s", o.Row, o.Wrong)
		}
		for who, s := range map[string]Seen{"blackbox": o.Blackbox, "person": o.Person} {
			for _, p := range s.Probes {
				if p.Failed != "" {
					t.Logf("%s: %s: %s %s: %s:\n%.1500s", o.Row, who, p.Kind, p.Target, p.Failed, p.Said)
				}
			}
			if o.Row == "healthy" && s.String() != "all is well" {
				t.Errorf("%s fails in a sound shop, so it is asked unfairly: %s", who, s)
			}
		}
		got = append(got, o)
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := Find(Rows, task.Rows)
	text := sideBySide(rows, got)
	t.Log("\n" + text)
	if *examTable != "" {
		if err := os.WriteFile(*examTable, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func sideBySide(rows []Row, got []Outcome) string {
	var b strings.Builder
	b.WriteString("| row | `hub diagnose` | s | blackbox_exporter | s | `ping`, `dig`, `curl` | s |\n|---|---|--:|---|--:|---|--:|\n")
	var named [3]int
	faults := 0
	for _, r := range rows {
		i := slices.IndexFunc(got, func(o Outcome) bool { return o.Row == r.Name })
		if i < 0 {
			continue
		}
		o := got[i]
		said := "**" + strings.Join(o.Said, ", ") + "**"
		others := [2]string{o.Blackbox.String(), o.Person.String()}
		if r.Benign() {
			said = "no cause"
		} else {
			faults++
			if o.Wrong == "" {
				named[0]++
			}
			for i, s := range []Seen{o.Blackbox, o.Person} {
				if s.Names(r.Code) {
					named[i+1]++
					others[i] = "**" + others[i] + "**"
				}
			}
		}
		if o.Wrong != "" {
			said = "wrong: " + o.Wrong
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s | %.1f | %s | %.1f |\n", r.Name, said, o.Took.Seconds(),
			others[0], o.Blackbox.Took.Seconds(), others[1], o.Person.Took.Seconds())
	}
	fmt.Fprintf(&b, "\nCauses named, of %d: the doctor %d, blackbox_exporter %d, a person %d.\n", faults, named[0], named[1], named[2])
	return b.String()
}

// TestNames: what names a cause and what is a symptom only.
func TestNames(t *testing.T) {
	failed := func(kind, target, said string) Seen {
		return Seen{Probes: []Probe{{Kind: "ping", Target: gatewayIP}, {Kind: kind, Target: target, Failed: phrase(said)}, {Kind: "https", Target: "gator.stripe.com"}}}
	}
	for _, c := range []struct {
		code, kind, said string
		want             bool
	}{
		{"dns_blocks_stripe", "dns", ";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1", true},
		{"dns_blocks_stripe", "https", "curl: (6) Could not resolve host: api.stripe.com", false},
		{"tls_intercepted", "https", "curl: (60) SSL certificate problem: unable to get local issuer certificate", true},
		{"tls_intercepted", "https", `err="x509: certificate signed by unknown authority"`, true},
		{"stripe_failing", "https", "http_code 503", true},
		{"firewall_blocks_stripe", "https", "curl: (28) Connection timed out after 5001 milliseconds", false},
		{"mtu_black_hole", "https", "curl: (28) SSL connection timeout", false},
		{"wan_down", "ping", "From 192.168.50.1 icmp_seq=1 Destination Net Unreachable", true},
		{"wan_down", "ping", "2 packets transmitted, 0 received", false},
	} {
		s := failed(c.kind, "api.stripe.com", c.said)
		if got := s.Names(c.code); got != c.want {
			t.Errorf("%s by %q, which is seen as %q: %v", c.code, c.said, s, got)
		}
	}
	dark := Seen{Probes: []Probe{{Kind: "ping", Target: gatewayIP}, {Kind: "ping", Target: cloudDNS, Failed: "silence"},
		{Kind: "https", Target: "api.stripe.com", Failed: "silence"}, {Kind: "reader", Target: reader1IP}}}
	if !dark.Names("wan_down") || (Seen{}).Names("wan_down") {
		t.Error("a router that answers, and nothing beyond it, is a line that is down")
	}
}
