package hub

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"storehub/doors"
)

func (s *shop) pair(name string, scope doors.Scope) Pairing {
	s.t.Helper()
	a, err := DialAdmin(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := a.Pair(s.t.Context(), PairRequest{Name: name, Scope: scope})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *shop) trade(code string) (int, Pairing, string) {
	s.t.Helper()
	status, body := s.ask(http.MethodPost, "/v1/pairings", "", `{"code":"`+code+`"}`)
	var p Pairing
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			s.t.Errorf("%s: %v", body, err)
		}
	}
	return status, p, body
}

func TestACodeIsTradedForACredentialOnce(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	shown := s.pair("lane-2", doors.ScopePOS)
	if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(shown.Code) || !shown.CodeExpires.After(time.Now()) {
		t.Errorf("code %q until %v", shown.Code, shown.CodeExpires)
	}
	status, got, body := s.trade(" " + strings.ToLower(strings.ReplaceAll(shown.Code, "0", "o")))
	if status != http.StatusOK || got.Name != "lane-2" || got.Scope != doors.ScopePOS || got.POSURL != s.addr.URL+"/pos/"+got.Credential || got.Code != "" {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := s.ask(http.MethodPost, "/connection_token", got.Credential, ""); status != http.StatusOK {
		t.Errorf("the credential it gave: %d", status)
	}
	if status, _ := s.ask(http.MethodPost, "/connection_token", shown.Credential, ""); status != http.StatusUnauthorized {
		t.Errorf("the credential that was shown with the code: %d", status)
	}
	if status, _, body := s.trade(shown.Code); status != http.StatusForbidden || !strings.Contains(body, `"pairing_code_refused"`) {
		t.Errorf("a second time: %d %s", status, body)
	}
	if strings.Contains(s.log.String(), shown.Code) || strings.Contains(s.log.String(), got.Credential) {
		t.Error("the log holds the code or the credential")
	}
}

func TestACodeIsRefusedThatIsWrongUsedOrPast(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	refused := func(what, code string) {
		t.Helper()
		if status, _, body := s.trade(code); status != http.StatusForbidden || !strings.Contains(body, `"pairing_code_refused"`) {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	refused("never shown", "0000-0000")
	first := s.pair("lane-3", doors.ScopePOS)
	second := s.pair("lane-3", doors.ScopePOS)
	refused("the till was paired again since", first.Code)
	s.ask(http.MethodGet, "/v1/status", second.Credential, "")
	refused("the address beside it was used", second.Code)
	third := s.pair("lane-4", doors.ScopePOS)
	if err := s.hub.tills.Revoke("lane-4"); err != nil {
		t.Fatal(err)
	}
	refused("the till is revoked", third.Code)
	if status, _, body := s.trade(""); status != http.StatusBadRequest || !strings.Contains(body, `"missing_field"`) {
		t.Errorf("no code: %d %s", status, body)
	}
}

func TestCodesExpireAndCannotBeGuessedAtSpeed(t *testing.T) {
	p, now := newPairings(), time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	code, expires := p.invite(PairRequest{Name: "a"}, "u", now)
	if expires.Sub(now) != pairingLife {
		t.Errorf("expires %v", expires)
	}
	if _, err := p.trade(code, expires); err != doors.ErrPairingCode {
		t.Errorf("past its time: %v", err)
	}
	code, _ = p.invite(PairRequest{Name: "a"}, "u", now)
	tried := 0
	for ; tried < 100; tried++ {
		if _, err := p.trade("GUESS000", now); err != doors.ErrPairingCode {
			break
		}
	}
	if tried > pairingBurst {
		t.Errorf("%d codes were tried at once", tried)
	}
	if _, err := p.trade(code, now); err == nil {
		t.Error("the right one is not held up with the wrong ones: guessing costs nothing")
	}
	if i, err := p.trade(code, now.Add(time.Second)); err != nil || i.request.Name != "a" {
		t.Errorf("a moment later: %+v, %v", i, err)
	}
	for range 2 * pairingsMost {
		p.invite(PairRequest{Name: newCredential()}, "u", now)
	}
	if len(p.open) > pairingsMost {
		t.Errorf("%d codes are open", len(p.open))
	}
}
