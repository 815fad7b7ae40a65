package hq_test

import (
	"crypto/ed25519"
	"io"
	"net/http"
	"strings"
	"testing"

	"storehub/doors"
	"storehub/hq"
)

// keyed enrols the shop's hub anew with a key of its own.
func (s *shop) keyed() ed25519.PrivateKey {
	s.t.Helper()
	code, _, err := s.server.AddStore(s.t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
	if err != nil {
		s.t.Fatal(err)
	}
	key, public := hq.NewKey()
	e, err := s.client.Enrol(s.t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1", Key: public})
	if err != nil {
		s.t.Fatal(err)
	}
	s.client.Credential, s.client.Key = func() string { return e.Credential }, func() ed25519.PrivateKey { return key }
	s.epoch, s.number, s.head = "", 0, ""
	return key
}

// The credential alone, out of a backup or a proxy's memory, is nothing: neither reads
// nor promises are taken without the key that was made on the machine.
func TestMoney_4_3_ACredentialIsNothingWithoutItsKey(t *testing.T) {
	s := newShop(t)
	key := s.keyed()
	s.submit(op(doors.Heartbeat, "beat_1", "", 0)) // with its key it is the hub
	if _, err := s.client.ConnectionToken(t.Context(), s.till); err != nil {
		t.Fatal(err)
	}
	stranger, _ := hq.NewKey()
	for name, k := range map[string]func() ed25519.PrivateKey{"no key": nil, "another key": func() ed25519.PrivateKey { return stranger }} {
		s.client.Key = k
		s.refusedEverything("credential_refused")
		sub := hq.Submission{Epoch: s.epoch, Head: s.head, Operations: []hq.Submitted{op(doors.Refund, "theft", "pi_1", 100)}}
		sub.Operations[0].Number = s.number + 1
		if _, err := s.client.Submit(t.Context(), sub); !isRefusal(err, "credential_refused") {
			t.Errorf("%s: a promise was taken: %v", name, err)
		}
	}
	if strings.Contains(s.server.Everything(t), "theft") {
		t.Error("what was not signed is in the ledger")
	}
	s.nothingFound("hub_duplicated")
	s.client.Key = func() ed25519.PrivateKey { return key }
	if _, err := s.client.Store(t.Context()); err != nil {
		t.Errorf("the hub itself: %v", err)
	}
	// Enrolled anew, the key before it is nothing.
	s.keyed()
	s.client.Key = func() ed25519.PrivateKey { return key }
	s.refusedEverything("credential_refused")
}

// altering changes a signed request on its way.
type altering struct {
	http.RoundTripper
	change func(*http.Request)
}

func (a altering) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	a.change(r)
	return a.RoundTripper.RoundTrip(r)
}

// A signature is good for its method, path, query, body and process alone.
func TestMoney_4_3_ASignatureIsForOneRequest(t *testing.T) {
	s := newShop(t)
	s.keyed()
	s.client.Run = "run 1"
	way := s.client.HTTP.Transport
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"nothing":          {func(*http.Request) {}, ""},
		"another query":    {func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "after=0", "after=1", 1) }, "credential_refused"},
		"another path":     {func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/store/v1/store", "" }, "credential_refused"},
		"another process":  {func(r *http.Request) { r.Header.Set("Storehub-Run", "run 2") }, "credential_refused"},
		"half a signature": {func(r *http.Request) { r.Header.Set("Storehub-Proof", r.Header.Get("Storehub-Proof")[:64]) }, "credential_refused"},
		"no signature":     {func(r *http.Request) { r.Header.Del("Storehub-Proof") }, "credential_refused"},
	} {
		s.client.HTTP = &http.Client{Transport: altering{way, c.change}}
		_, err := s.client.Feed(t.Context(), "", 0, 0)
		if c.want == "" && err != nil || c.want != "" && !isRefusal(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.client.HTTP = &http.Client{Transport: altering{way, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"tills":[]}`)), 12
	}}}
	if err := s.client.Tills(t.Context(), hq.TillBook{Tills: []hq.TillRecord{{Name: "lane-1", Scope: doors.ScopePOS, Mode: doors.Test, Hash: hashOf("shp_x")}}}); !isRefusal(err, "credential_refused") {
		t.Errorf("another body: %v", err)
	}
	s.client.HTTP = &http.Client{Transport: way}
}

// A hub that was enrolled by an earlier version works on without a key; what is no key
// is refused, and the code stays good.
func TestMoney_4_3_AKeyIsAKeyOrNone(t *testing.T) {
	s := newShop(t)
	if _, err := s.client.Store(t.Context()); err != nil {
		t.Errorf("without a key: %v", err)
	}
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	_, public := hq.NewKey()
	for _, bad := range []string{"x", public[:62], public + "00", strings.ToUpper(public[:32]) + strings.Repeat("F", 32)} {
		if _, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1", Key: bad}); !isRefusal(err, "invalid_field") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1", Key: public}); err != nil {
		t.Errorf("after those: %v", err)
	}
}

// FuzzCredential: whatever stands in a credential file, what is read is what was written.
func FuzzCredential(f *testing.F) {
	f.Add("shc_abc\nshk_" + strings.Repeat("0a", 32))
	f.Add("shk_\nshk_zz shc_x")
	f.Fuzz(func(t *testing.T, text string) {
		secret, key := hq.ParseCredential(text)
		if secret == "" {
			return
		}
		again, same := hq.ParseCredential(hq.CredentialText(secret, key))
		if again != secret || key == nil != (same == nil) || key != nil && !key.Equal(same) {
			t.Errorf("%q became %q", secret, again)
		}
	})
}
