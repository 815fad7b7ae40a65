package lab

import (
	"archive/zip"
	"encoding/json"

	"io"
	"slices"
	"testing"

	"storehub/diagnostics"
)

// TestRecordedShops judges again, on every system, what the doctor saw in the
// lab on the day of the recording: with rules alone, without a network.
func TestRecordedShops(t *testing.T) {
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
			f, err := z.Open(r.Name + ".facts.json")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			in, err := diagnostics.LoadFacts(f)
			if err != nil {
				t.Fatal(err)
			}
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
