package hub

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
)

func TestCommandsReachTheRunningHub(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	op := s.capture("pi_1", "k")
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()

	p, err := a.Pair(ctx, PairRequest{Name: "till-2"})
	if err != nil || p.Scope != doors.ScopePOS || p.POSURL != s.addr.URL+"/pos/"+p.Credential {
		t.Fatalf("pair: %+v, %v", p, err)
	}
	if status, _ := s.ask("GET", "/v1/status", p.Credential, ""); status != http.StatusOK {
		t.Errorf("the new till gets %d", status)
	}
	if tills, err := a.Tills(ctx); err != nil || len(tills) != 2 || tills[1].Name != "till-2" {
		t.Errorf("tills: %+v, %v", tills, err)
	}
	if err := a.Revoke(ctx, "till-2"); err != nil {
		t.Error(err)
	}
	if status, _ := s.ask("GET", "/v1/status", p.Credential, ""); status != http.StatusUnauthorized {
		t.Errorf("the revoked till gets %d", status)
	}
	if err := a.Revoke(ctx, "till-2"); !errors.Is(err, doors.ErrNotFound) {
		t.Errorf("revoking twice: %v", err)
	}
	if ops, err := a.Operations(ctx, "", 10); err != nil || len(ops) != 1 || ops[0].ID != op.ID {
		t.Errorf("queue: %+v, %v", ops, err)
	}
	if got, err := a.Operation(ctx, op.ID); err != nil || got.Ref != "pi_1" {
		t.Errorf("queue show: %+v, %v", got, err)
	}
	if _, err := a.Operation(ctx, "op_nothing"); !errors.Is(err, doors.ErrNotFound) {
		t.Errorf("an operation there is not: %v", err)
	}
	if st, err := a.Status(ctx); err != nil || st.Store != "0412" || st.Mode != doors.Test {
		t.Errorf("status: %+v, %v", st, err)
	}
	if r, err := a.Diagnosis(ctx); err != nil || r.Schema != 1 {
		t.Errorf("diagnosis: %+v, %v", r, err)
	}
	if facts, err := a.Facts(ctx); err != nil || facts.Queue == nil || facts.Hub == nil || facts.Hub.LastHQContact.IsZero() {
		t.Errorf("facts: %+v, %v", facts, err)
	}
	if r, err := a.Readers(ctx); err != nil || r.Readers == nil {
		t.Errorf("readers: %+v, %v", r, err)
	}
	link, err := a.Console(ctx)
	if err != nil || !strings.HasPrefix(link.URL, s.addr.URL+"/console/enter?code=") {
		t.Errorf("console: %+v, %v", link, err)
	}

	if err := a.Attest(ctx, Attestation{Item: "passcode", By: "Kim", Note: "set to a new one"}); err != nil {
		t.Error(err)
	}
	list, err := a.Checklist(ctx)
	if err != nil || len(list.Items) != 15 {
		t.Fatalf("checklist: %+v, %v", list, err)
	}
	states := map[string]diagnostics.ItemState{}
	for _, it := range list.Items {
		states[it.ID] = it.State
	}
	if states["connection_token"] != diagnostics.ItemPass {
		t.Errorf("connection_token is %s", states["connection_token"])
	}
	if states["passcode"] != diagnostics.ItemSignedOff {
		t.Errorf("passcode is %s after its sign-off", states["passcode"])
	}
	if states["network"] == diagnostics.ItemPass {
		t.Error("the network passes although nobody looked at it")
	}
	if f.tokens > 2 {
		t.Errorf("the self-test took %d tokens", f.tokens)
	}
}

func TestBadInputAtTheSocketIsRefused(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", AdminSocket(s.dir))
		},
	}}
	before := len(s.hub.tills.List())
	for _, tc := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"POST", "/pair", "application/json", ``, 400},
		{"POST", "/pair", "application/json", `{"name":"a"`, 400},
		{"POST", "/pair", "application/json", `{"name":"a"} {}`, 400},
		{"POST", "/pair", "application/json", `{"nom":"a"}`, 400},
		{"POST", "/pair", "application/json", `{"name":7}`, 0},
		{"POST", "/pair", "application/json", `{"name":""}`, 422},
		{"POST", "/pair", "application/json", `{"name":"hub"}`, 422},
		{"POST", "/pair", "application/json", `{"name":"a","scope":"root"}`, 422},
		{"POST", "/pair", "application/json", `{"name":"a","mode":"prod"}`, 422},
		{"POST", "/pair", "application/json", "{\"name\":\"\xff\"}", 400},
		{"POST", "/pair", "text/plain", `{"name":"a"}`, 415},
		{"POST", "/pair", "application/json", `{"name":"` + strings.Repeat("a", 70<<10) + `"}`, 413},
		{"GET", "/pair", "", ``, 0},
		{"POST", "/revoke", "application/json", `{"name":"nobody"}`, 404},
		{"POST", "/attest", "application/json", `{"item":"nothing","by":"a","note":"b"}`, 422},
		{"POST", "/attest", "application/json", `{"item":"sdk","by":"","note":"b"}`, 422},
		{"POST", "/attest", "application/json", `{"item":"sdk","by":"a","note":" "}`, 422},
		{"GET", "/queue?limit=0", "", ``, 422},
		{"GET", "/queue?limit=x", "", ``, 422},
		{"GET", "/queue?state=done", "", ``, 422},
		{"GET", "/queue/op_x", "", ``, 404},
		{"GET", "/nothing", "", ``, 404},
		{"DELETE", "/tills", "", ``, 0},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://hub"+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		if tc.contentType != "" {
			req.Header.Set("Content-Type", tc.contentType)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode < 400 || resp.StatusCode >= 500 || tc.status != 0 && resp.StatusCode != tc.status || !strings.Contains(string(body), `"code"`) {
			t.Errorf("%s %s %.40q: %d %s", tc.method, tc.path, tc.body, resp.StatusCode, body)
		}
	}
	if after := len(s.hub.tills.List()); after != before {
		t.Errorf("%d tills, then %d", before, after)
	}
}

func TestTheSocketIsTheOwnersAlone(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	info, err := os.Stat(AdminSocket(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := DialAdmin(s.dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestALongStateDirectoryHasAShortSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 90), strings.Repeat("e", 60))
	path := AdminSocket(dir)
	if len(path) > socketMax {
		t.Fatalf("%d bytes: %s", len(path), path)
	}
	if AdminSocket(dir) != path || AdminSocket(dir+"x") == path {
		t.Error("the name does not follow from the directory alone")
	}
	s := open(t, newFakeHQ(), dir)
	a, err := DialAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Tills(t.Context()); err != nil {
		t.Error(err)
	}
	s.stop()
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the socket's directory is left behind: %v", err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(AdminSocket(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, newFakeHQ(), dir)
	if _, err := DialAdmin(dir); err != nil {
		t.Error(err)
	}
}

func TestAttestWithoutARunningHub(t *testing.T) {
	dir := t.TempDir()
	if err := Attest(dir, Attestation{Item: "sdk", By: "Kim", Note: "5.5.0 on all tills"}); err != nil {
		t.Fatal(err)
	}
	m, err := openMarks(dir)
	if err != nil {
		t.Fatal(err)
	}
	var in diagnostics.ChecklistInput
	m.fill(&in)
	if in.SignOffs["sdk"].By != "Kim" {
		t.Errorf("sign-offs: %+v", in.SignOffs)
	}
	until := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	if err := Attest(dir, Attestation{Item: "passcode", By: "Kim", Note: "set", Until: until}); err != nil {
		t.Fatal(err)
	}
	if err := Attest(dir, Attestation{Item: "passcode", By: "Kim", Note: "set", Until: time.Now().Add(-time.Hour)}); err == nil {
		t.Error("a sign-off was taken that is over")
	}
	if m, err = openMarks(dir); err != nil {
		t.Fatal(err)
	}
	m.fill(&in)
	if got := in.SignOffs["passcode"].Until; !got.Equal(until) {
		t.Errorf("the sign-off counts until %s, want %s", got, until)
	}
	if err := os.WriteFile(filepath.Join(dir, "checklist.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Attest(dir, Attestation{Item: "sdk", By: "Kim", Note: "x"}); err == nil {
		t.Error("a damaged file was overwritten")
	}
}
