package hq_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/hq"
	"storehub/internal/sandbox"
)

const (
	ourPasscode = "48151"
	ourPassword = "correct horse"
)

// readersWanted is a window, offline mode, a passcode and a network.
func readersWanted(t *testing.T) hq.Wanted {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"code": ourPasscode, "password": ourPassword,
		"readers.yaml": "update_window: {start_hour: 2, end_hour: 5}\noffline: on\npasscode_file: code\nwifi: {type: personal_psk, ssid: Shop, password_file: password}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(filepath.Join(dir, "readers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := hq.ParseWanted(f, f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (s *shop) compare(w hq.Wanted) hq.ConfigurationDiff {
	s.t.Helper()
	d, err := s.server.CompareConfiguration(s.t.Context(), "0412", w)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// applied is what a person's apply said: an error's text, or "".
func (s *shop) applied(w hq.Wanted, shared bool) string {
	s.t.Helper()
	_, err := s.server.ApplyConfiguration(hq.By(s.t.Context(), "A. Meyer"), "0412", w, shared)
	if err != nil {
		return err.Error()
	}
	return ""
}

// configurations is how many Configurations there are beside the account's default.
func (s *shop) configurations() int {
	s.t.Helper()
	return len(s.stripe("GET", "/v1/terminal/configurations?is_account_default=false", "")["data"].([]any))
}

func parts(list []hq.Difference) string {
	var names []string
	for _, d := range list {
		names = append(names, d.Part)
	}
	return strings.Join(names, " ")
}

// records is a log that a test can read.
type records struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// What readers are told is compared before it is changed, changed with a name, compared
// each day, and a difference is told until it is gone. No secret of it is kept or said.
func TestAConfigurationIsComparedAppliedAndWatched(t *testing.T) {
	var log records
	s := newShop(t, func(o *hq.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w := readersWanted(t)
	d := s.compare(w)
	if d.Configuration != "" || parts(d.Differences) != "update_window offline passcode wifi" || s.configurations() != 0 {
		t.Fatalf("before: %+v, %d configurations", d, s.configurations())
	}
	_, last := s.acts(0)
	if said := s.applied(w, false); said != "" {
		t.Fatal(said)
	}
	acts, _ := s.acts(last)
	if len(acts) != 1 || !strings.HasPrefix(acts[0], "A. Meyer | configuration.apply | 0412 | update_window: 02:00 to 05:00 is wanted") {
		t.Errorf("audit: %q", acts)
	}
	if d = s.compare(w); d.Configuration == "" || len(d.Differences) != 0 {
		t.Errorf("after: %+v", d)
	}
	if st, err := s.client.Store(t.Context()); err != nil || st.Offline != hq.OfflineOn || st.UpdateWindow != "02-05" {
		t.Errorf("the hub hears %q, %q, %v", st.Offline, st.UpdateWindow, err)
	}
	if said := s.applied(w, false); said != "" || s.configurations() != 1 {
		t.Errorf("once more: %q, %d configurations", said, s.configurations())
	}
	r := blocked("dns_down", time.Now())
	r.Checklist = []hq.ReportItem{{Number: 9, ID: "reader_updates", Title: "Readers update", State: "pass", Evidence: []string{"2.43"}, Owner: "shop", NextDue: nine.AddDate(1, 0, 0)},
		{Number: 14, ID: "passcode", Title: "Passcode", State: "attention", Evidence: []string{"no machine can see it"}}}
	s.report(r)
	item := func(i int) string {
		list, _ := s.fleet(0)
		it := list[0].Report.Checklist[i]
		return it.State + ": " + strings.Join(it.Evidence, "; ") + " | due " + it.Due()
	}
	if got := item(1); !strings.HasPrefix(got, "pass: readers are told a passcode of your own") {
		t.Errorf("the passcode's item: %s", got)
	}
	if got := item(0); !strings.HasPrefix(got, "pass: 2.43; the update window is as wanted") || !strings.HasSuffix(got, " | due 2027-11-26") {
		t.Errorf("the updates' item: %s", got)
	}

	// Somebody changes it in the Dashboard.
	path := "/v1/terminal/configurations/" + d.Configuration
	s.stripe("POST", path, "reboot_window[start_hour]=12&reboot_window[end_hour]=13")
	s.pass(30 * time.Hour)
	f := s.finding("configuration_drift", s.loc)
	if f.Note != "update_window: 02:00 to 05:00 is wanted, Stripe has 12:00 to 13:00" {
		t.Errorf("finding: %q", f.Note)
	}
	list, _ := s.fleet(0)
	if c := list[0].Configuration; c == nil || c.By != "A. Meyer" || c.CheckedAt == nil || parts(c.Differences) != "update_window" {
		t.Errorf("fleet: %+v", c)
	}
	if got := item(0); !strings.HasPrefix(got, "attention: 2.43; update_window: 02:00 to 05:00 is wanted, Stripe has 12:00 to 13:00") || !strings.HasSuffix(got, " | due now") {
		t.Errorf("the updates' item: %s", got)
	}
	s.stripe("POST", path, "reboot_window[start_hour]=2&reboot_window[end_hour]=5")
	s.pass(30 * time.Hour)
	waitFor(t, "the drift to be gone", func() bool {
		list, err := s.server.Findings(t.Context(), "0412")
		return err == nil && !slices.ContainsFunc(list, func(f hq.Finding) bool { return f.Code == "configuration_drift" })
	})

	all, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the log": log.String(), "the database": s.server.Everything(t), "the fleet": string(all), "differences": fmt.Sprintf("%+v", d)} {
		for _, secret := range []string{ourPasscode, ourPassword} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q", where, secret)
			}
		}
	}
}

// A hub hears what its readers are told, also where nothing is wanted of it, and nothing of
// a Location that is not the store's any more.
func TestAHubHearsWhatItsReadersAreTold(t *testing.T) {
	s := newShop(t)
	hears := func() string {
		st, err := s.client.Store(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Offline + " " + st.UpdateWindow
	}
	if got := hears(); got != " " {
		t.Errorf("before anybody looked: %q", got)
	}
	id := s.stripe("POST", "/v1/terminal/configurations", "offline[enabled]=true&reboot_window[start_hour]=23&reboot_window[end_hour]=4")["id"].(string)
	s.stripe("POST", "/v1/terminal/locations/"+s.loc, "configuration_overrides="+id)
	s.pass(30 * time.Hour)
	waitFor(t, "the hub to hear of it", func() bool { return hears() == "on 23-04" })
	idle := ready() // its readers take payments offline: only a hub that speaks can say that none waits
	idle.Queue.Pending = 0
	s.report(idle)
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0412", Location: s.place()}); err != nil {
		t.Fatal(err)
	}
	if got := hears(); got != " " {
		t.Errorf("of another Location: %q", got)
	}
	s.pass(24 * time.Hour)
	waitFor(t, "the hub to hear of the new one", func() bool { return hears() == "off " })
}

// What nobody can tell is neither drift nor none.
func TestAConfigurationThatCannotBeReadIsNotKnown(t *testing.T) {
	s := newShop(t)
	w := readersWanted(t)
	if said := s.applied(w, false); said != "" {
		t.Fatal(said)
	}
	if err := os.Remove(w.PasscodeFile); err != nil {
		t.Fatal(err)
	}
	s.pass(30 * time.Hour)
	waitFor(t, "a look that cannot tell", func() bool {
		list, _ := s.fleet(0)
		return strings.HasPrefix(list[0].Configuration.Unknown, "read passcode")
	})
	s.nothingFound("configuration_drift")
}

// A Configuration that other shops have too is not changed for one.
func TestASharedConfigurationIsChangedOnlyWhenThatIsSaid(t *testing.T) {
	s := newShop(t)
	w := readersWanted(t)
	zone := s.stripe("POST", "/v1/terminal/configurations", "name=West&offline[enabled]=false")["id"].(string)
	other := s.place()
	for _, place := range []string{s.loc, other} {
		s.stripe("POST", "/v1/terminal/locations/"+place, "configuration_overrides="+zone)
	}
	d := s.compare(w)
	if d.Configuration != zone || !slices.Equal(d.SharedWith, []string{other}) {
		t.Fatalf("%+v", d)
	}
	_, err := s.server.ApplyConfiguration(t.Context(), "0412", w, false)
	if !errors.Is(err, hq.ErrShared) || !strings.Contains(err.Error(), other) || len(s.compare(w).Differences) != 4 {
		t.Errorf("%v", err)
	}
	if said := s.applied(w, true); said != "" || len(s.compare(w).Differences) != 0 || s.configurations() != 1 {
		t.Errorf("%q, %d configurations", said, s.configurations())
	}
}

// Whatever Stripe does in the middle of it, the same command again ends with one
// Configuration, and no message quotes a secret.
func TestAConfigurationIsAppliedOnceWhateverIsLost(t *testing.T) {
	const made, given = "/v1/terminal/configurations", "/v1/terminal/locations"
	for _, c := range []struct{ kind, path string }{{"429", made}, {"503", made}, {"500", made}, {"lost", made}, {"reset", given}, {"lost", given}} {
		t.Run(c.kind+" at "+filepath.Base(c.path), func(t *testing.T) {
			s := newShop(t)
			w := readersWanted(t)
			_, last := s.acts(0)
			s.box.Inject(sandbox.Fault{Method: "POST", Path: c.path, Kind: c.kind, Times: 1})
			first := s.applied(w, false)
			if !strings.Contains(first, "at Stripe: ") || strings.Contains(first, ourPasscode) || strings.Contains(first, ourPassword) {
				t.Errorf("first: %q", first)
			}
			acts, _ := s.acts(last)
			if len(acts) != 2 || !strings.HasPrefix(acts[1], "A. Meyer | configuration.failed | 0412 | ") {
				t.Errorf("audit: %q", acts)
			}
			if c.kind == "500" {
				// Stripe replays it under the same key for a day.
				s.pass(25 * time.Hour)
			}
			if said := s.applied(w, false); said != "" || len(s.compare(w).Differences) != 0 {
				t.Errorf("again: %q", said)
			}
			if n := s.configurations(); n != 1 {
				t.Errorf("%d configurations", n)
			}
		})
	}
}
