package lab

import (
	"archive/zip"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"storehub/diagnostics"
	"storehub/netcheck"
)

// TestRecordedShops judges again, on every system, what the doctor saw in the
// lab on the day of the recording: with rules alone, without a network.
func TestRecordedShops(t *testing.T) {
	recorded(t, func(t *testing.T, r Row, in diagnostics.Input) {
		report := diagnostics.Diagnose(in)
		exit := 0
		if len(loud(report)) > 0 {
			exit = 1
		}
		if wrong := judge(r, report, exit); wrong != "" {
			t.Error(wrong)
		}
	})
}

// TestRecordedShopsAsWindowsSeesThem: what that system cannot be asked yet is
// unknown there. Less may be named then, and nothing wrong.
func TestRecordedShopsAsWindowsSeesThem(t *testing.T) {
	cannot := []string{"dhcp", "arp", "gateway", "mask", "ways", "mtu", "host_firewall", "hops"}
	recorded(t, func(t *testing.T, r Row, in diagnostics.Input) {
		for i, p := range in.Net.Results {
			if p.Name == "gateway" && p.Code != "" || strings.HasPrefix(p.Name, "reader/") && p.Evidence["arp"] != nil {
				t.Skip("all that follows would have been asked otherwise")
			}
			if slices.Contains(cannot, p.Name) {
				in.Net.Results[i].Status, in.Net.Results[i].Code, in.Net.Results[i].Evidence = "unknown", "", nil
				in.Net.Results[i].Detail = "not supported on windows; a hub on Linux can tell"
			}
		}
		report := diagnostics.Diagnose(in)
		if wrong := judgeNobody(r, report); wrong != "" && len(loud(report)) > 0 {
			t.Error(wrong)
		}
	})
}

// recorded calls f with each recorded shop.
func recorded(t *testing.T, f func(*testing.T, Row, diagnostics.Input)) {
	t.Helper()
	z, err := zip.OpenReader(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var rows []Row
	decode(t, &z.Reader, "rows.json", &rows)
	if len(rows) < 72 {
		t.Errorf("%d shops are recorded", len(rows))
	}
	for _, r := range rows {
		t.Run(r.Name, func(t *testing.T) {
			facts, err := z.Open(r.Name + ".facts.json")
			if err != nil {
				t.Fatal(err)
			}
			defer facts.Close()
			in, err := diagnostics.LoadFacts(facts)
			if err != nil {
				t.Fatal(err)
			}
			f(t, r, in)
		})
	}
}

const recording = "testdata/recorded.zip"

func decode(t *testing.T, z *zip.Reader, name string, into any) {
	t.Helper()
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func cause(code string, s diagnostics.Severity, targets ...string) diagnostics.Cause {
	return diagnostics.Cause{Code: code, Severity: s, Evidence: []string{"seen"}, Remedy: []string{"do"}, Targets: targets}
}

// TestJudgeTellsRightFromWrong: the exam itself must be able to fail.
func TestJudgeTellsRightFromWrong(t *testing.T) {
	row := Row{Name: "x", Code: "wan_down", Target: "line", Beside: []string{"ntp_blocked"}}
	pair := Row{Name: "xy", Both: []string{"wan_down", "reader_offline"}}
	down, reader := cause("wan_down", diagnostics.Critical, "line"), cause("reader_offline", diagnostics.Warning)
	bare := down
	bare.Remedy = nil
	for _, c := range []struct {
		name   string
		row    Row
		causes []diagnostics.Cause
		exit   int
		wrong  string
	}{
		{"right", row, []diagnostics.Cause{down}, 1, ""},
		{"info is not loud", row, []diagnostics.Cause{down, cause("double_nat", diagnostics.Info)}, 1, ""},
		{"allowed beside", row, []diagnostics.Cause{down, cause("ntp_blocked", diagnostics.Warning)}, 1, ""},
		{"one too many", row, []diagnostics.Cause{down, reader}, 1, "blames reader_offline as well"},
		{"wrong order", row, []diagnostics.Cause{reader, down}, 1, "blames reader_offline, wan_down first"},
		{"nothing", row, nil, 0, "blames nothing"},
		{"wrong target", row, []diagnostics.Cause{cause("wan_down", diagnostics.Critical, "moon")}, 1, "names [moon], not line"},
		{"no remedy", row, []diagnostics.Cause{bare}, 1, "wan_down without evidence or remedy"},
		{"exit", row, []diagnostics.Cause{down}, 0, "ends with exit 0"},
		{"both", pair, []diagnostics.Cause{down, reader}, 1, ""},
		{"one of both", pair, []diagnostics.Cause{down}, 1, "blames wan_down and not reader_offline"},
		{"sound", Row{}, nil, 0, ""},
		{"false alarm", Row{}, []diagnostics.Cause{reader}, 1, "blames reader_offline in a sound shop"},
		{"sound and failing", Row{}, nil, 3, "verdict ready, exit 3 in a sound shop"},
		{"must be mentioned", Row{Info: "double_nat"}, nil, 0, "does not mention double_nat"},
	} {
		if got := judge(c.row, diagnostics.Report{Verdict: diagnostics.Ready, Causes: c.causes}, c.exit); got != c.wrong {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
	}
}

// TestJudgeNobody: a doctor without rights may say less, and must say who knows.
func TestJudgeNobody(t *testing.T) {
	row := Row{Name: "x", Code: "host_firewall", Nobody: []string{"dns_down"}}
	shy := []netcheck.Result{{Name: "arp", Status: netcheck.Unknown, Detail: "needs CAP_NET_RAW; run as root or ask the running hub"}}
	for _, c := range []struct {
		name   string
		row    Row
		causes []diagnostics.Cause
		probes []netcheck.Result
		wrong  string
	}{
		{"exact", row, []diagnostics.Cause{cause("host_firewall", diagnostics.Critical)}, nil, ""},
		{"less exact", row, []diagnostics.Cause{cause("dns_down", diagnostics.Critical)}, nil, ""},
		{"false", row, []diagnostics.Cause{cause("wan_down", diagnostics.Critical)}, shy, "blames wan_down"},
		{"nothing, and says who knows", row, nil, shy, ""},
		{"nothing", row, nil, nil, "blames nothing, and does not say who could tell"},
		{"sound", Row{}, nil, nil, ""},
	} {
		if got := judgeNobody(c.row, diagnostics.Report{Causes: c.causes, Probes: c.probes}); got != c.wrong {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
	}
}

func TestReaderNamesAreAnsweredWithTheirAddress(t *testing.T) {
	for name, want := range map[string]string{
		"10-42-42-42.test.device.stripe-terminal-local-reader.net.": "10.42.42.42",
		"API.stripe.com":    "198.19.1.10",
		"nobody.stripe.com": "",
		"300-1-1-1.test.device.stripe-terminal-local-reader.net": "",
	} {
		got := ""
		if a := lookup(name); len(a) > 0 {
			got = a[0].String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFindNamesTheUnknownRow(t *testing.T) {
	rows := []Row{{Name: "a"}, {Name: "b"}}
	got, unknown := Find(rows, []string{"b", "c"})
	if got != nil || unknown != "c" {
		t.Errorf("%v, %q", got, unknown)
	}
	if all, _ := Find(rows, nil); !slices.EqualFunc(all, rows, func(a, b Row) bool { return a.Name == b.Name }) {
		t.Errorf("no names: %v", all)
	}
}
