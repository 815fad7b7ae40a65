package doors

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowded is a shop whose headquarters takes its time.
type crowded struct {
	*shop
	release chan struct{}
}

func (c crowded) Readers(ctx context.Context, _ Till) (any, error) {
	select {
	case <-c.release:
	case <-ctx.Done():
	}
	return []string{}, nil
}

// One till that asks without end leaves the doors open to another, and to itself once
// its requests have ended.
func TestOneTillCannotTakeAllOfTheDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowded{newShop(), make(chan struct{})}
		h := Handler(c, Options{})
		var under sync.WaitGroup
		for range inFlightMost {
			under.Go(func() { call(h, get, "/v1/readers", "", asPOS) })
		}
		synctest.Wait()
		w := call(h, get, "/v1/status", "", asPOS)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("one too many: %d %s", w.Code, w.Body)
		}
		if w := call(h, get, "/v1/status", "", asManager); w.Code != http.StatusOK {
			t.Errorf("another till: %d %s", w.Code, w.Body)
		}
		close(c.release)
		under.Wait()
		if w := call(h, get, "/v1/status", "", asPOS); w.Code != http.StatusOK {
			t.Errorf("afterwards: %d %s", w.Code, w.Body)
		}
	})
}

// Unknown credentials at full speed are all refused and do not fill the log; other
// addresses' are still told, and so are these again later.
func TestUnknownCredentialsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := Handler(newShop(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		lines := func() int { n := strings.Count(log.String(), "till refused"); log.Reset(); return n }
		for range 500 {
			if w := call(h, get, "/v1/status", "", "Authorization: Bearer shp_guess"); w.Code != http.StatusUnauthorized {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if n := lines(); n != strangerLines {
			t.Errorf("500 unknown credentials made %d lines", n)
		}
		call(h, get, "/v1/operations/op_none", "", asPOS)
		if n := lines(); n != 1 {
			t.Errorf("a paired till's refusal from there made %d lines", n)
		}
		time.Sleep(strangerEvery)
		call(h, get, "/v1/status", "", "Authorization: Bearer shp_guess")
		if n := lines(); n != 1 {
			t.Errorf("later: %d lines", n)
		}
	})
}

func TestStrangersAreCountedByNetworkAndTakeBoundedMemory(t *testing.T) {
	l, now := newLimits(), time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	a := netip.MustParseAddr("fd00::1")
	for range strangerLines {
		l.worthALine(a, now)
		a = a.Next()
	}
	if l.worthALine(a, now) {
		t.Error("an IPv6 network has more addresses than lines")
	}
	if !l.worthALine(netip.MustParseAddr("fd00:0:0:1::1"), now) || !l.worthALine(netip.Addr{}, now) {
		t.Error("others are not counted with it")
	}
	for a := netip.MustParseAddr("10.0.0.0"); a != netip.MustParseAddr("10.1.0.0"); a = a.Next() {
		l.worthALine(a, now)
	}
	if n := len(l.strangers); n > strangersKept {
		t.Errorf("%d addresses are kept", n)
	}
}

// TestTheHubIsToldHowTillsUseTheirDoors: one line a request, with what it named and why
// it was refused; strangers are no till.
func TestTheHubIsToldHowTillsUseTheirDoors(t *testing.T) {
	var told []string
	h := Handler(newShop(), Options{OnSeen: func(s Seen) {
		told = append(told, fmt.Sprintf("%s token=%t location=%s code=%s", s.Till.Name, s.Token, s.Location, s.Code))
	}})
	call(h, post, "/connection_token", "", "Authorization: Bearer nobody")
	call(h, post, "/connection_token", "location=tml_2", asPOS, formBody)
	call(h, post, "/v1/connection_tokens", "", asPOS)
	call(h, post, "/register_reader", "registration_code=x&location=tml_3", asManager, formBody)
	call(h, post, "/register_reader", "registration_code=x", asPOS, formBody)
	call(h, post, "/capture_payment_intent", "payment_intent_id=ch_1", asPOS, formBody)
	want := []string{
		"till-1 token=true location=tml_2 code=", "till-1 token=true location= code=", "office token=false location=tml_3 code=",
		"till-1 token=false location= code=forbidden", "till-1 token=false location= code=invalid_field",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhoeverGuessesWaits: an address that has shown many credentials that nobody knows
// waits for its next 401, and no till waits with it.
func TestWhoeverGuessesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(newShop(), Options{StrangersWait: time.Second})
		guess := func() time.Duration {
			began := time.Now()
			if w := call(h, post, "/connection_token", "", "Authorization: Bearer nobody"); w.Code != http.StatusUnauthorized {
				t.Fatalf("a guess got %d", w.Code)
			}
			return time.Since(began)
		}
		for range strangerLines {
			if took := guess(); took != 0 {
				t.Fatalf("one of the first guesses took %s", took)
			}
		}
		if took := guess(); took != time.Second {
			t.Errorf("a guess after many took %s", took)
		}
		began := time.Now()
		if w := call(h, post, "/connection_token", "", asPOS); w.Code != http.StatusOK || time.Since(began) != 0 {
			t.Errorf("a till of the same address got %d after %s", w.Code, time.Since(began))
		}
	})
}
