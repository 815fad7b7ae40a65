package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/offlinequeue"
)

func TestWhetherPaymentsWork(t *testing.T) {
	wan := diagnostics.Cause{Code: "wan_down", Severity: diagnostics.Critical, Title: "The line is cut", Operator: "The internet is down."}
	plain := wan
	plain.Operator = ""
	slow := diagnostics.Cause{Code: "wan_slow", Severity: diagnostics.Warning, Title: "The line is slow"}
	for _, tc := range []struct {
		what    string
		report  diagnostics.Report
		link    string
		can     bool
		message string
	}{
		{"a healthy store", diagnostics.Report{Verdict: diagnostics.Ready}, "online", true, "Card payments work."},
		{"a warning", diagnostics.Report{Verdict: diagnostics.Degraded, Causes: []diagnostics.Cause{slow}}, "online", true, "Card payments work. IT should look at the hub's findings."},
		{"blocked", diagnostics.Report{Verdict: diagnostics.Blocked, Causes: []diagnostics.Cause{slow, wan}}, "online", false, "The internet is down."},
		{"blocked, without a sentence", diagnostics.Report{Verdict: diagnostics.Blocked, Causes: []diagnostics.Cause{plain}}, "offline", false, "Card payments are down: the line is cut."},
		{"headquarters silent, not yet diagnosed", diagnostics.Report{Verdict: diagnostics.Ready}, "offline", false, doors.ErrHQUnreachable.OperatorMessage},
		{"credential refused", diagnostics.Report{Verdict: diagnostics.Ready}, "refused", false, "Card payments are down: headquarters does not accept this store's hub."},
		{"just started", diagnostics.Report{Verdict: diagnostics.Ready}, "unknown", false, "The hub has just started and does not know yet whether card payments work."},
	} {
		if can, message := canTake(tc.report, tc.link); can != tc.can || message != tc.message {
			t.Errorf("%s: %t %q", tc.what, can, message)
		}
	}
}

func TestTheLinkTellsNoFromSilence(t *testing.T) {
	var told []bool
	l := &link{changed: func(up bool) { told = append(told, up) }}
	if s := connectivity(l.state()); s.State != "unknown" || !s.LastContact.IsZero() || !s.Since.IsZero() {
		t.Errorf("at first: %+v", s)
	}
	silence := l.silence()
	for _, step := range []struct {
		err  error
		want string
	}{
		{nil, "online"},
		{doors.ErrRateLimited, "online"},
		{errCut, "offline"},
		{errCut, "offline"},
		{doors.ErrCredential, "refused"},
		{nil, "online"},
	} {
		l.note(step.err)
		if s := connectivity(l.state()); s.State != step.want {
			t.Errorf("after %v: %+v", step.err, s)
		}
	}
	select {
	case <-silence:
	default:
		t.Error("whoever waits on the line was not told of the silence")
	}
	if len(told) != 2 || told[0] || !told[1] {
		t.Errorf("told %v, want down and then up", told)
	}
	since := l.state().Failing
	l.note(fmt.Errorf("ask: %w", context.Canceled))
	if l.state().Failing != since {
		t.Error("a request that was called off was taken for silence")
	}
}

func TestTheQueueIsCountedWithoutHeartbeats(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	q := queueStatus(offlinequeue.Stats{
		Operations: map[string]map[offlinequeue.State]int{
			"capture":   {offlinequeue.Pending: 2, offlinequeue.Accepted: 1, offlinequeue.Succeeded: 9},
			"refund":    {offlinequeue.Pending: 1, offlinequeue.Failed: 3},
			"heartbeat": {offlinequeue.Pending: 7, offlinequeue.Accepted: 7, offlinequeue.Failed: 7},
		},
		OldestPending: at, Bytes: 5,
	})
	if q.Pending != 3 || q.Accepted != 1 || q.Failed != 3 || !q.OldestPending.Equal(at) || q.Bytes != 5 {
		t.Errorf("%+v", q)
	}
}

func TestStatusHasWhatTheContractNames(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	status, body := s.ask("GET", "/v1/status", s.credential, "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"can_take_payments", "operator_message", "connectivity", "causes", "queue", "readers"} {
		if v, ok := got[key]; !ok || string(v) == "null" {
			t.Errorf("%s is %s", key, v)
		}
	}
	for _, path := range []string{"/v1/diagnosis", "/v1/checklist", "/v1/readers"} {
		if status, body := s.ask("GET", path, s.credential, ""); status != http.StatusOK || strings.Contains(strings.Replace(body, `"while_open":null`, "", 1), ":null") { // no opening hours: not known
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestADiagnosisThatChangesIsTold(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	events := s.listen("")
	f.cut()
	s.ask("POST", "/v1/connection_tokens", s.credential, "")
	e := await(t, events, func(e sse) bool { return e.Type == eventDiagnosis })
	if !strings.Contains(e.Data, `"hq_unreachable"`) {
		t.Errorf("event: %s", e.Data)
	}
	f.mend()
	await(t, events, func(e sse) bool { return e.Type == eventDiagnosis && !strings.Contains(e.Data, `"hq_unreachable"`) })
}

func TestTheStatusSpeaksTheTillsLanguage(t *testing.T) {
	h := bare(t)
	for lang, want := range map[string]string{
		"":   "The hub has just started and does not know yet whether card payments work.",
		"de": "Der Store Hub ist gerade gestartet und weiß noch nicht, ob Kartenzahlung geht.",
	} {
		got, err := h.Status(t.Context(), doors.Till{Language: lang})
		if s, ok := got.(Status); err != nil || !ok || s.OperatorMessage != want {
			t.Errorf("%q: %+v, %v", lang, got, err)
		}
	}
}
