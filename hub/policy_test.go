package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// decide puts a policy into headquarters' feed.
func (f *fakeHQ) decide(text string) {
	f.set(func(f *fakeHQ) {
		f.items = append(f.items, hq.Item{Seq: uint64(len(f.items) + 1), Type: "policy", At: time.Now(), Policy: json.RawMessage(text)})
	})
}

// held is what the last report said of policies; "none" when it said nothing.
func (f *fakeHQ) held() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reports) == 0 || f.reports[len(f.reports)-1].Policy == nil {
		return "none"
	}
	b, _ := json.Marshal(f.reports[len(f.reports)-1].Policy)
	return string(b)
}

const decided1 = `{"version":1,"by":"A. Meyer","at":"2026-11-26T09:00:00Z","workday":"8h","opening_hours":["mon-sat 08:00-22:00"],"refund_limit":700}`

// What headquarters decides is in force when its line of the feed has come, goes before
// hub.yaml and the store's record, outlives a restart, and is reported.
func TestAPolicyOfHeadquartersIsInForce(t *testing.T) {
	f := newFakeHQ()
	f.store.RefundLimit = 500
	dir := t.TempDir()
	s := open(t, f, dir)
	if s.hub.workday() != 12*time.Hour || s.hub.reportPolicy() != nil {
		t.Fatalf("before: workday %s, %+v", s.hub.workday(), s.hub.reportPolicy())
	}
	f.decide(decided1)
	op := s.capture("pi_1", "k1") // money in the same feed
	eventually(t, "the policy", func() bool { return s.hub.workday() == 8*time.Hour })
	if s.hub.refundLimit() != 700 || s.hub.monitor.input().Workday != 8*time.Hour || s.hub.targets().Workday != 8*time.Hour {
		t.Errorf("limit %d, diagnosed with %s", s.hub.refundLimit(), s.hub.monitor.input().Workday)
	}
	eventually(t, "the capture's end", func() bool {
		_, body := s.ask("GET", "/v1/operations/"+op.ID, s.credential, "")
		return strings.Contains(body, string(doors.Succeeded))
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = open(t, f, dir)
	if s.hub.workday() != 8*time.Hour || s.hub.refundLimit() != 700 || s.hub.reportPolicy().Version != 1 {
		t.Errorf("after a restart: workday %s, %+v", s.hub.workday(), s.hub.reportPolicy())
	}
	cfg, err := testConfig(dir).WithPolicy()
	if err != nil || cfg.Checks.Workday != 8*time.Hour || len(cfg.OpeningHours) != 1 {
		t.Errorf("for commands of their own: %s, %q, %v", cfg.Checks.Workday, cfg.OpeningHours, err)
	}
	eventually(t, "a report of it", func() bool { return f.held() == `{"version":1}` })
	// It is decided no more.
	f.decide(`{"version":2,"by":"A. Meyer","at":"2026-11-26T09:00:00Z"}`)
	eventually(t, "what was before it", func() bool { return s.hub.workday() == 12*time.Hour && s.hub.refundLimit() == 500 })
}

// What is no policy leaves the one before in force, and is said.
func TestAPolicyThatCannotBeTakenLeavesTheOneBefore(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		version uint64
	}{
		"a workday of a minute":     {`{"version":2,"by":"x","at":"2026-11-26T09:00:00Z","workday":"1m"}`, 2},
		"hours that are none":       {`{"version":2,"by":"x","at":"2026-11-26T09:00:00Z","opening_hours":["always"]}`, 2},
		"a limit below nothing":     {`{"version":2,"by":"x","at":"2026-11-26T09:00:00Z","refund_limit":-1}`, 2},
		"a part that is not known":  {`{"version":2,"by":"x","at":"2026-11-26T09:00:00Z","dress_code":"black tie"}`, 2},
		"a part of another type":    {`{"version":2,"by":"x","at":"2026-11-26T09:00:00Z","workday":8}`, 2},
		"something else altogether": {`[1,2]`, 0},
		"nothing":                   {``, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHQ()
			dir := t.TempDir()
			s := open(t, f, dir)
			f.decide(decided1)
			eventually(t, "the first policy", func() bool { return s.hub.workday() == 8*time.Hour })
			f.decide(c.text)
			eventually(t, "a word about it", func() bool {
				return strings.Contains(s.log.String(), "take policy of headquarters; the one before stays in force")
			})
			r := s.hub.reportPolicy()
			if s.hub.workday() != 8*time.Hour || s.hub.refundLimit() != 700 || r.Version != 1 || r.Refused != c.version || c.version > 0 && !strings.Contains(r.Why, "read policy: ") {
				t.Errorf("workday %s, limit %d, %+v", s.hub.workday(), s.hub.refundLimit(), r)
			}
			kept, err := rememberedPolicy(dir)
			if err != nil || kept.Policy.Version != 1 || kept.Refused != c.version {
				t.Errorf("kept %+v, %v", kept, err)
			}
		})
	}
}

// What cannot be written down is not in force, does not hold up money, and is not
// reported as held.
func TestAPolicyThatCannotBeKeptIsNotInForce(t *testing.T) {
	f := newFakeHQ()
	dir := t.TempDir()
	s := open(t, f, dir)
	if err := os.MkdirAll(filepath.Join(dir, "policy.json", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.decide(decided1)
	op := s.capture("pi_1", "k1")
	eventually(t, "the capture's end", func() bool {
		_, body := s.ask("GET", "/v1/operations/"+op.ID, s.credential, "")
		return strings.Contains(body, string(doors.Succeeded))
	})
	if s.hub.workday() != 12*time.Hour || s.hub.reportPolicy() != nil || !strings.Contains(s.log.String(), "keep policy of headquarters") {
		t.Errorf("workday %s, %+v", s.hub.workday(), s.hub.reportPolicy())
	}
	if err := os.RemoveAll(filepath.Join(dir, "policy.json")); err != nil {
		t.Fatal(err)
	}
	f.decide(decided1)
	eventually(t, "the policy, told again", func() bool { return s.hub.workday() == 8*time.Hour })
}

func TestADamagedPolicyFileIsSaid(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"{", `{"policy":{"version":1,"workday":"1m"}}`} {
		if err := os.WriteFile(filepath.Join(dir, "policy.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := testConfig(dir).WithPolicy()
		if err == nil || cfg.Checks.Workday != 12*time.Hour {
			t.Errorf("%s: workday %s, %v", text, cfg.Checks.Workday, err)
		}
	}
}
