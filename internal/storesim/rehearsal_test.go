package storesim

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hub"
	"storehub/internal/rehearsal"
	"storehub/internal/sandbox"
)

var rehearsalKills = flag.Int("rehearsalkills", 3, "how often a hub is killed in the middle of a rehearsal")

// admin is the hub's own commands.
func (s *Store) admin() *hub.Admin {
	s.t.Helper()
	a, err := hub.DialAdmin(filepath.Join(filepath.Dir(s.System().ConfigFile), "hub"))
	s.must("reach the hub", err)
	return a
}

// wantNothingLeft fails unless every payment at Stripe was cancelled or given back
// whole, captured at most once, and no reader still waits.
func (s *Store) wantNothingLeft() (payments int) {
	s.t.Helper()
	return s.wantNothingLeftIn(s.Stripe())
}

// wantNothingLeftIn is wantNothingLeft for one mode of the account.
func (s *Store) wantNothingLeftIn(mode *sandbox.Sandbox) (payments int) {
	s.t.Helper()
	captured := map[string]int{}
	for _, e := range mode.Books() {
		if e.Effect == sandbox.EffectCaptured {
			captured[e.Intent]++
		}
	}
	ask := func(path string, q url.Values) (list []any) {
		for more := true; more; {
			page := s.atStripe(mode.SecretKey(), "", http.MethodGet, path+"?"+q.Encode(), nil)
			data, _ := page["data"].([]any)
			if more, _ = page["has_more"].(bool); more {
				q.Set("starting_after", data[len(data)-1].(map[string]any)["id"].(string))
			}
			list = append(list, data...)
		}
		return list
	}
	list := ask("/v1/payment_intents", url.Values{"limit": {"100"}, "expand[]": {"data.latest_charge"}})
	for _, v := range list {
		pi := v.(map[string]any)
		id, _ := pi["id"].(string)
		switch pi["status"] {
		case "canceled":
			if captured[id] != 0 {
				s.t.Errorf("%s was cancelled and captured", id)
			}
		case "succeeded":
			charge, _ := pi["latest_charge"].(map[string]any)
			if captured[id] != 1 || charge["amount_refunded"] != pi["amount_received"] {
				s.t.Errorf("%s: captured %d times, %v of %v given back", id, captured[id], charge["amount_refunded"], pi["amount_received"])
			}
		default:
			s.t.Errorf("%s is left as %v", id, pi["status"])
		}
	}
	for _, v := range ask("/v1/terminal/readers", url.Values{"limit": {"100"}}) {
		if action, _ := v.(map[string]any)["action"].(map[string]any); action != nil && action["status"] == "in_progress" {
			s.t.Errorf("reader %v is left with %v", v.(map[string]any)["id"], action)
		}
	}
	return len(list)
}

func wantWhole(t *testing.T, report rehearsal.Report) {
	t.Helper()
	for _, r := range report.Results {
		if r.State != rehearsal.Pass {
			t.Errorf("%s is %s: %s", r.Scene, r.State, r.Detail)
		}
	}
	if !report.Whole() {
		t.Errorf("the rehearsal was not whole: %d scenes", len(report.Results))
	}
}

// The hub rehearses: every scene passes, no money is left anywhere, and what was
// proved stands in the checklist, also after the hub was started anew.
func TestStory_Rehearsal(t *testing.T) {
	s := open(t)
	state := func(item string) diagnostics.ItemState {
		t.Helper()
		list, err := s.admin().Checklist(t.Context())
		s.must("ask for the checklist", err)
		for _, it := range list.Items {
			if it.ID == item {
				return it.State
			}
		}
		return ""
	}
	proved := []string{"end_to_end", "capture", "errors", "receipts"}
	for _, item := range proved {
		if got := state(item); got != diagnostics.ItemAttention {
			t.Errorf("before: %s is %s", item, got)
		}
	}
	told := 0
	report, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, func(rehearsal.Result) { told++ })
	s.must("rehearse", err)
	wantWhole(t, report)
	if told != len(report.Results) {
		t.Errorf("%d of %d results were told as they came", told, len(report.Results))
	}
	if n := s.wantNothingLeft(); n < 15 {
		t.Errorf("only %d payments were tried", n)
	}
	words := map[string]int{}
	for _, r := range report.Results {
		for _, w := range r.Words {
			words[w]++
			if strings.Contains(strings.ToLower(w), "lost") || strings.Contains(strings.ToLower(w), "stolen") {
				t.Errorf("the cashier is told %q", w)
			}
		}
	}
	if len(words) < 8 {
		t.Errorf("twelve declines have %d sentences", len(words))
	}
	s.PowerCut()
	s.Boot()
	for _, item := range proved {
		if got := state(item); got != diagnostics.ItemPass {
			t.Errorf("after: %s is %s", item, got)
		}
	}
}

// The hub is killed in the middle of a rehearsal, at any moment: the next one cleans
// up what was left.
func TestStory_RehearsalKilled(t *testing.T) {
	s := open(t)
	s.must("stop the hub in this process", s.System().StopHub())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	process := s.serve(t)
	for range *rehearsalKills {
		ended := make(chan error, 1)
		scenes := random.IntN(14)
		reached := make(chan struct{}, 64)
		go func() {
			_, err := s.admin().Rehearse(context.Background(), hub.RehearseRequest{}, func(rehearsal.Result) { reached <- struct{}{} })
			ended <- err
		}()
		for range scenes {
			select {
			case <-reached:
			case err := <-ended:
				t.Fatalf("the rehearsal ended by itself: %v", err)
			case <-time.After(2 * time.Minute):
				t.Fatal("the rehearsal stands still")
			}
		}
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond) // anywhere in the scene
		process.kill()
		<-ended
		process = s.serve(t)
	}
	report, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil)
	s.must("rehearse", err)
	wantWhole(t, report)
	s.wantNothingLeft()
}

// A person ends it: the hub cleans up at once.
func TestStory_RehearsalEndedByHand(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.admin().Rehearse(ctx, hub.RehearseRequest{}, func(r rehearsal.Result) {
		if r.Scene == "approved" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	report, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil)
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); {
		report, err = s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil) // the first is still cleaning up
	}
	s.must("rehearse", err)
	wantWhole(t, report)
	s.wantNothingLeft()
}

// bent is a hub that answers otherwise.
type bent struct {
	doors.Backend
	token json.RawMessage
	call  func(c doors.Call, raw json.RawMessage) json.RawMessage
}

func (b bent) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	if b.token != nil {
		return b.token, nil
	}
	return b.Backend.ConnectionToken(ctx, t)
}

func (b bent) Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	raw, err := b.Backend.Stripe(ctx, t, c, key, params)
	if err == nil && b.call != nil {
		raw = b.call(c, raw)
	}
	return raw, err
}

// No scene passes whatever happens: a hub that hands out one token for all and tells
// wrongly how payments stand fails each, and still no money is left.
func TestStory_RehearsalThatGoesWrong(t *testing.T) {
	s := open(t)
	stage := rehearsal.Stage{Till: doors.Till{Name: "rehearsal", Scope: doors.ScopeManager, Mode: doors.Test}, Patience: 20 * time.Second,
		LastEvent: func() time.Time { return time.Time{} }}
	stage.Doors = bent{Backend: s.System().Doors(), token: json.RawMessage(`{"secret":"pst_test_1"}`), call: func(c doors.Call, raw json.RawMessage) json.RawMessage {
		if c != doors.RetrievePaymentIntent {
			return raw
		}
		var v map[string]any
		s.must("read a payment", json.Unmarshal(raw, &v))
		v["status"] = "processing"
		b, err := json.Marshal(v)
		s.must("bend a payment", err)
		return b
	}}
	report, err := rehearsal.Run(t.Context(), stage, nil)
	s.must("rehearse", err)
	want := map[string]rehearsal.State{"reader": rehearsal.Pass, "registration": rehearsal.Pass, "events": rehearsal.Unknown, "left": rehearsal.Pass}
	for _, r := range report.Results {
		state, ok := want[r.Scene]
		if !ok {
			state = rehearsal.Fail
		}
		if r.State != state {
			t.Errorf("%s is %s (%s), want %s", r.Scene, r.State, r.Detail, state)
		}
	}
	for _, item := range []string{"end_to_end", "capture", "errors", "receipts"} {
		if state, note := report.Of(item); state != rehearsal.Fail || note == "" {
			t.Errorf("%s is %s: %s", item, state, note)
		}
	}
	s.wantNothingLeft()

	stage.Doors = bent{Backend: s.System().Doors(), call: func(c doors.Call, raw json.RawMessage) json.RawMessage {
		if c == doors.ListReaders {
			return json.RawMessage(`"none"`)
		}
		return raw
	}}
	report, err = rehearsal.Run(t.Context(), stage, nil)
	s.must("rehearse", err)
	if n := len(report.Results); n != 2 || report.Whole() || report.Results[1].State != rehearsal.Fail {
		t.Errorf("without readers: %+v", report.Results)
	}
	// What was not played is not known; what failed is known.
	for item, want := range map[string]rehearsal.State{"end_to_end": rehearsal.Fail, "capture": rehearsal.Unknown, "errors": rehearsal.Unknown, "receipts": rehearsal.Unknown} {
		if state, note := report.Of(item); state != want {
			t.Errorf("without readers %s is %s: %s", item, state, note)
		}
	}

	stage.Till.Mode = doors.Live
	if _, err := rehearsal.Run(t.Context(), stage, nil); !errors.Is(err, rehearsal.ErrLive) {
		t.Errorf("a live till: %v", err)
	}
}

// Headquarters is silent: the rehearsal could not be told, and the checklist says of
// no item that it failed.
func TestStory_RehearsalInSilence(t *testing.T) {
	s := open(t)
	s.CutInternet()
	report, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil)
	s.must("rehearse", err)
	for _, r := range report.Results {
		if r.State != rehearsal.Unknown {
			t.Errorf("%s is %s: %s", r.Scene, r.State, r.Detail)
		}
	}
	list, err := s.admin().Checklist(t.Context())
	s.must("ask for the checklist", err)
	for _, it := range list.Items {
		if slices.Contains([]string{"end_to_end", "capture", "errors", "receipts"}, it.ID) && it.State != diagnostics.ItemAttention {
			t.Errorf("%s is %s: %v", it.ID, it.State, it.Evidence)
		}
	}
}

// The hub was killed with a promise of the rehearsal on its disk: cleaning up waits for
// what becomes of it. A cancel behind that capture would fail, a refund beside another
// would wait for a person.
func TestStory_RehearsalKilledWithAPromise(t *testing.T) {
	s := open(t)
	hub := s.System().Doors()
	stage := rehearsal.Stage{Till: doors.Till{Name: "rehearsal", Scope: doors.ScopeManager, Mode: doors.Test},
		LastEvent: func() time.Time { return time.Now().Add(time.Hour) }}
	pi := s.Till().Authorise(1800)
	s.CutInternet()
	op, err := hub.Put(t.Context(), stage.Till, "before", doors.Operation{Kind: doors.Capture, Ref: pi})
	s.must("promise a capture", err)
	stage.Before = rehearsal.Notes{Run: "before", Intents: []string{pi}}
	looked := false
	stage.Doors = bent{Backend: hub, call: func(c doors.Call, raw json.RawMessage) json.RawMessage {
		if c == doors.RetrievePaymentIntent && !looked {
			looked = true
			op, err := hub.Operation(t.Context(), stage.Till, op.ID)
			s.must("ask for the capture", err)
			if !op.State.Final() {
				t.Errorf("the payment was looked at while the capture was %s", op.State)
			}
		}
		return raw
	}}
	s.MendInternet()
	report, err := rehearsal.Run(t.Context(), stage, nil)
	s.must("rehearse", err)
	wantWhole(t, report)
	s.WantCapturedOnce(pi, 1800)
	s.wantNothingLeft()
}
