package diagnostics

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var cet = time.FixedZone("CET", 3600)

// told is a moment, minutes after at, with these causes.
func told(minute float64, verdict Verdict, causes ...Cause) Moment {
	when := at.Add(time.Duration(minute * float64(time.Minute)))
	return Moment{At: when, Report: Report{Store: "0412", HubVersion: "1.4.0", Verdict: verdict, Causes: causes}}
}

func cause(code string, s Severity, sinceMinute float64) Cause {
	return Cause{Code: code, Severity: s, Confidence: 0.9, Since: at.Add(time.Duration(sinceMinute * float64(time.Minute))), Title: "It is " + code,
		Evidence: []string{"seen"}, RuledOut: []string{}, Remedy: []string{"Mend it."}, Targets: []string{}, Explains: []string{}, Doc: "docs/findings.md#" + code}
}

// morning is an outage with a warning beside it, a second outage that nobody saw
// the end of, and a hub that was off in between.
func pastMorning() []Moment {
	wan, lease := cause("wan_down", Critical, 10), cause("dhcp_lease_short", Warning, 0)
	wan.Explains = []string{"hq_unreachable"}
	wan.Evidence = []string{"the gateway answers: 192.168.1.1 is 02:00:00:00:00:01", "beyond it 1.1.1.1:443: silent"}
	hq := cause("hq_unreachable", Critical, 10)
	blocked := told(10.1, Blocked, wan, lease)
	blocked.Report.Symptoms = []Symptom{{Code: "hq_unreachable", Because: "wan_down"}}
	later := cause("wan_down", Critical, 40)
	return []Moment{
		told(0, Degraded, lease), told(5, Degraded, lease),
		told(10, Blocked, hq, lease), blocked, // headquarters' silence is seen first
		told(15, Blocked, wan, lease), told(20, Blocked, wan, lease), told(25.5, Degraded, lease),
		told(30, Degraded, lease), told(35, Degraded, lease), told(40, Blocked, later, lease), told(45, Blocked, later, lease),
		told(90, Ready), told(95, Ready), told(100, Ready),
	}
}

func minutes(n float64) time.Time { return at.Add(time.Duration(n * float64(time.Minute))) }

func TestRecallSaysWhatStoodAndWhatNobodyWatched(t *testing.T) {
	h := Recall(pastMorning(), minutes(-5), minutes(102), minutes(102))
	if h.Verdict != Blocked || len(h.Causes) != 2 || h.Causes[0].Code != "wan_down" || h.Causes[1].Code != "dhcp_lease_short" {
		t.Fatalf("%s %+v", h.Verdict, h.Causes)
	}
	spans := h.Causes[0].Spans
	want := []Span{
		{From: minutes(10), LastSeen: minutes(20), GoneBy: minutes(25.5)},
		{From: minutes(40), LastSeen: minutes(45)}, // its end was not watched
	}
	if !slices.Equal(spans, want) {
		t.Errorf("the outage stood\n%v, want\n%v", spans, want)
	}
	if gaps := []Gap{{minutes(-5), at}, {minutes(57), minutes(90)}}; !slices.Equal(h.Unwatched, gaps) {
		t.Errorf("not watched %v, want %v", h.Unwatched, gaps)
	}
	if d := h.Causes[0].LastDay; d == nil || d.Times != 2 || d.Seconds != 15*60+30+5*60 {
		t.Errorf("in the last day: %+v", d)
	}
}

func TestRecallOfOneMoment(t *testing.T) {
	now := minutes(102)
	for name, tt := range map[string]struct {
		minute  float64
		verdict Verdict
		causes  []string
		seen    time.Time
	}{
		"before anything":     {-1, Unwatched, nil, time.Time{}},
		"in the outage":       {17, Blocked, []string{"wan_down", "dhcp_lease_short"}, minutes(15)},
		"after it":            {26, Degraded, []string{"dhcp_lease_short"}, minutes(25.5)},
		"just before a gap":   {50, Blocked, []string{"wan_down", "dhcp_lease_short"}, minutes(45)},
		"in a gap":            {70, Unwatched, nil, time.Time{}},
		"now":                 {102, Ready, nil, minutes(100)},
		"a symptom's seconds": {10.05, Blocked, []string{"wan_down", "dhcp_lease_short"}, minutes(10)},
	} {
		t.Run(name, func(t *testing.T) {
			h := Recall(pastMorning(), minutes(tt.minute), minutes(tt.minute), now)
			valid(t, h)
			var codes []string
			for _, c := range h.Causes {
				codes = append(codes, c.Code)
			}
			if h.Verdict != tt.verdict || !slices.Equal(codes, tt.causes) || !h.SeenAt.Equal(tt.seen) {
				t.Errorf("%s %v seen %v, want %s %v seen %v", h.Verdict, codes, h.SeenAt, tt.verdict, tt.causes, tt.seen)
			}
		})
	}
}

func TestACauseThatStandsIsToldAsStanding(t *testing.T) {
	moments := []Moment{told(0, Blocked, cause("wan_down", Critical, -3)), told(5, Blocked, cause("wan_down", Critical, -3))}
	if s := Recall(moments, at, minutes(6), minutes(6)).Causes[0].Spans; len(s) != 1 || !s[0].Stands || !s[0].From.Equal(minutes(-3)) {
		t.Errorf("six minutes later: %+v", s)
	}
	if s := Recall(moments, at, minutes(60), minutes(60)).Causes[0].Spans; len(s) != 1 || s[0].Stands {
		t.Errorf("an hour later, unwatched: %+v", s)
	}
	if d := LastDay(moments, minutes(6))["wan_down"]; d.Times != 1 || d.Seconds != 9*60 {
		t.Errorf("in the last day: %+v", d)
	}
}

func TestWriteHistory(t *testing.T) {
	now := minutes(102)
	whole := Recall(pastMorning(), minutes(-5), now, now)
	whole.Damaged = []string{"000001: 512 bytes cannot be read"}
	one := Recall(pastMorning(), minutes(17), minutes(17), now)
	none := Recall(pastMorning(), minutes(70), minutes(70), now)
	for name, h := range map[string]History{"history_since": whole, "history_at": one, "history_unknown": none} {
		valid(t, h)
		var text, raw, page bytes.Buffer
		if err := WriteHistoryText(&text, h, TextOptions{Zone: cet}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", text.Bytes())
		e := json.NewEncoder(&raw)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(h); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", raw.Bytes())
		if err := WriteHistoryHTML(&page, h, cet); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".html", page.Bytes())
	}
}

// TestRecallOfAnyPast holds for all pasts: no stretch of a cause overlaps
// another, the verdicts' times add up, and what stands at a moment is what the
// whole says of that moment.
func TestRecallOfAnyPast(t *testing.T) {
	codes := []string{"wan_down", "hq_unreachable", "reader_offline"}
	rapid.Check(t, func(t *rapid.T) {
		var moments []Moment
		minute := 0
		for range rapid.IntRange(0, 30).Draw(t, "moments") {
			minute += rapid.IntRange(0, 20).Draw(t, "later")
			m := told(float64(minute), Ready)
			for _, code := range codes {
				switch rapid.IntRange(0, 2).Draw(t, code) {
				case 1:
					m.Report.Causes = append(m.Report.Causes, cause(code, Critical, float64(minute-rapid.IntRange(0, 30).Draw(t, "since"))))
					m.Report.Verdict = Blocked
				case 2:
					m.Report.Symptoms = append(m.Report.Symptoms, Symptom{Code: code, Because: "link_down"})
				}
			}
			moments = append(moments, m)
		}
		now := minutes(float64(minute + rapid.IntRange(0, 20).Draw(t, "now")))
		from := minutes(float64(rapid.IntRange(-30, minute+1).Draw(t, "from")))
		h := Recall(moments, from, now, now)
		var sum int64
		for _, s := range h.Seconds {
			sum += s
		}
		if want := max(int64(now.Sub(from)/time.Second), 0); sum != want {
			t.Fatalf("the verdicts stood %d s of %d s: %v", sum, want, h.Seconds)
		}
		for _, c := range h.Causes {
			for i, s := range c.Spans {
				if s.LastSeen.Before(s.From) && !s.LastSeen.Equal(s.From) || !s.GoneBy.IsZero() && s.GoneBy.Before(s.LastSeen) || s.Stands && !s.GoneBy.IsZero() {
					t.Fatalf("%s: a stretch that cannot be: %+v", c.Code, s)
				}
				if i > 0 && s.From.Before(c.Spans[i-1].end(now)) {
					t.Fatalf("%s: %+v overlaps %+v", c.Code, s, c.Spans[i-1])
				}
			}
		}
		if _, err := json.Marshal(h); err != nil {
			t.Fatal(err)
		}
	})
}
