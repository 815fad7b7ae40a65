package hub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"storehub/readers"
)

// A till's word of a mobile reader is all there is of it; the timeline has it after
// the hub has stopped.
func TestATillsReportsAreTheReadersStateAndPast(t *testing.T) {
	f := newFakeHQ()
	f.readers = []json.RawMessage{[]byte(`{"id":"tmr_1","serial_number":"CHB1","label":"Lane 1","device_type":"stripe_m2","status":"offline"}`)}
	s := open(t, f, t.TempDir())
	eventually(t, "the reader is known", func() bool { _, known := s.hub.fleet.reader("CHB1"); return known })
	report := func(body string) (r TillReader) {
		t.Helper()
		status, answer := s.ask("POST", "/v1/readers/CHB1/reports", s.credential, body)
		if err := json.Unmarshal([]byte(answer), &r); status != http.StatusOK || err != nil {
			t.Fatalf("report %s: %d %s", body, status, answer)
		}
		return r
	}
	if r := report(`{"connected":true,"battery":0.25,"charging":false}`); r.State != readers.StateOnline || r.HeldBy != "till-1" || r.Battery == nil || *r.Battery != 0.25 || r.Charging != readers.No {
		t.Errorf("connected: %+v", r)
	}
	if r := report(`{"update":0.4}`); r.Why != readers.WhyUpdating || !strings.Contains(r.Reason, "40 %") || *r.Battery != 0.25 {
		t.Errorf("updating: %+v", r)
	}
	if r := report(`{"update":1,"software":"2.1"}`); r.Why != "" || r.Updating != nil || r.Software != "2.1" {
		t.Errorf("updated: %+v", r)
	}
	if r := report(`{"connected":false,"code":"BLUETOOTH_DISCONNECTED"}`); r.State != readers.StateUnknown || r.HeldBy != "" || r.LastError != "BLUETOOTH_DISCONNECTED" || r.LastErrorAt.IsZero() {
		t.Errorf("let go: %+v", r)
	}
	if status, answer := s.ask("POST", "/v1/readers/WSC9/reports", s.credential, `{"connected":true}`); status != http.StatusNotFound {
		t.Errorf("of a stranger's reader: %d %s", status, answer)
	}

	status, answer := s.ask("GET", "/v1/readers/tmr_1/timeline?since="+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), s.credential, "")
	var tl ReaderTimeline
	if err := json.Unmarshal([]byte(answer), &tl); status != http.StatusOK || err != nil {
		t.Fatalf("timeline: %d %s", status, answer)
	}
	told := func(tl ReaderTimeline) (n int) {
		for _, l := range tl.Lines {
			if l.Report != nil && l.Report.Till == "till-1" {
				n++
			}
		}
		return n
	}
	if told(tl) != 4 || len(tl.Spans) == 0 || tl.Unread != 0 {
		t.Errorf("timeline: %s", answer)
	}
	if status, answer := s.ask("GET", "/v1/readers/WSC9/timeline", s.credential, ""); status != http.StatusNotFound {
		t.Errorf("of a stranger's reader: %d %s", status, answer)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if tl, err := ReadReaderTimeline(s.dir, "CHB1", time.Time{}, time.Now()); err != nil || told(tl) != 4 {
		t.Errorf("after the hub has stopped: %+v, %v", tl, err)
	}
}
