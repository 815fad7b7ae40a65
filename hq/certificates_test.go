package hq

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"storehub/doors"
)

// handAuthority signs at once, or answers what a test says.
type handAuthority struct {
	key    *ecdsa.PrivateKey
	now    func() time.Time
	answer error
	orders []string
}

func (a *handAuthority) Zone() string { return "hubs.example.com" }

func (a *handAuthority) Issue(_ context.Context, name string, csr []byte) ([]byte, error) {
	a.orders = append(a.orders, name)
	if a.answer != nil {
		return nil, a.answer
	}
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: a.now(), NotAfter: a.now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, r.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t *testing.T, key crypto.Signer, r x509.CertificateRequest) CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &r, key)
	if err != nil {
		t.Fatal(err)
	}
	return CertificateRequest{CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}
}

// certified is a headquarters with an authority and a clock that a test moves.
func certified(t *testing.T) (*Server, record, *handAuthority, *time.Time) {
	t.Helper()
	now := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	a := &handAuthority{key: newECKey(t), now: func() time.Time { return now }}
	var o Options
	TestDatabase(t, &o)
	o.Authority, o.Now = a, a.now
	s, rec := ledgerOn(t, o)
	return s, rec, a, &now
}

func (s *Server) ordered(t *testing.T) {
	t.Helper()
	if err := s.orderCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) asked(t *testing.T, rec record, in CertificateRequest) Certificate {
	t.Helper()
	c, err := s.certificate(t.Context(), rec, in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const ownName = "0412.hubs.example.com"

func TestAStoreIsSignedForItsOwnNameAndNothingElse(t *testing.T) {
	s, rec, a, _ := certified(t)
	key := newECKey(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forged := request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}})
	block, _ := pem.Decode([]byte(forged.CSR))
	block.Bytes[len(block.Bytes)-1] ^= 1
	forged.CSR = string(pem.EncodeToMemory(block))
	for what, in := range map[string]CertificateRequest{
		"another store's name": request(t, key, x509.CertificateRequest{DNSNames: []string{"0413.hubs.example.com"}}),
		"its own and another":  request(t, key, x509.CertificateRequest{DNSNames: []string{ownName, "0413.hubs.example.com"}}),
		"the zone's":           request(t, key, x509.CertificateRequest{DNSNames: []string{"hubs.example.com"}}),
		"all of the zone":      request(t, key, x509.CertificateRequest{DNSNames: []string{"*.hubs.example.com"}}),
		"one below its own":    request(t, key, x509.CertificateRequest{DNSNames: []string{"a." + ownName}}),
		"no name":              request(t, key, x509.CertificateRequest{}),
		"another subject":      request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}, Subject: pkix.Name{CommonName: "hq.example.com"}}),
		"an address":           request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}, IPAddresses: []net.IP{net.IPv4(192, 168, 7, 2)}}),
		"a mailbox":            request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}, EmailAddresses: []string{"a@example.com"}}),
		"an Ed25519 key":       request(t, edKey, x509.CertificateRequest{DNSNames: []string{ownName}}),
		"an RSA key":           request(t, rsaKey, x509.CertificateRequest{DNSNames: []string{ownName}}),
		"another's key":        forged,
		"nothing":              {},
		"no request":           {CSR: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"},
		"two":                  {CSR: strings.Repeat(request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}}).CSR, 2)},
	} {
		if _, err := s.certificate(t.Context(), rec, in); !errors.Is(err, doors.ErrInvalidField) {
			t.Errorf("%s: %v, want invalid_field", what, err)
		}
	}
	s.ordered(t)
	if len(a.orders) != 0 {
		t.Fatalf("ordered: %v", a.orders)
	}
	in := request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}})
	if c := s.asked(t, rec, in); c.Chain != "" || c.AgainMS < 1000 || c.Why != "" {
		t.Errorf("asked for the first time: %+v", c)
	}
	s.ordered(t)
	chain := s.asked(t, rec, in).Chain
	block, _ = pem.Decode([]byte(chain))
	if block == nil {
		t.Fatal("it was not signed")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || leaf.VerifyHostname(ownName) != nil || !key.PublicKey.Equal(leaf.PublicKey) {
		t.Errorf("signed: %v, %v", leaf, err)
	}
}

func TestAHubThatMayAskNothingIsSignedNothing(t *testing.T) {
	s, rec, a, _ := certified(t)
	in := request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{ownName}})
	s.asked(t, rec, in)
	now := "now"
	if err := s.ConfigureStore(t.Context(), rec.ID, Change{Revoke: &now}); err != nil {
		t.Fatal(err)
	}
	s.ordered(t) // what it asked for before
	if len(a.orders) != 0 {
		t.Errorf("ordered for a revoked hub: %v", a.orders)
	}
	for _, r := range storeRoutes {
		if r.path == "/store/v1/certificate" && (r.open || r.promised) {
			t.Error("the route is open to hubs that may only hand over promises")
		}
	}
}

// A store's id is no name of another store, however it is written.
func TestNoTwoStoresHaveOneName(t *testing.T) {
	s, _, _, _ := certified(t)
	seen := map[string]string{}
	for _, id := range []string{"0412", "a", "A", "a.b", "a-b", "a_b", "-a", "a-", "Shop", "shop", strings.Repeat("a", 64), strings.Repeat("a", 63)} {
		n := s.hubName(id)
		if other, taken := seen[n]; taken {
			t.Errorf("%q and %q are both %s", id, other, n)
		}
		seen[n] = id
		if label := strings.TrimSuffix(n, ".hubs.example.com"); !hubLabel.MatchString(label) {
			t.Errorf("%q is %s, no name", id, n)
		}
	}
	// The hash of one id as another's id: the database lets the second have nothing.
	squatted := strings.TrimSuffix(s.hubName("A"), ".hubs.example.com")
	for _, id := range []string{squatted, "A"} {
		if _, _, err := s.AddStore(t.Context(), Store{ID: id, Location: "tml_1", Mode: doors.Test}); err != nil {
			t.Fatal(err)
		}
		_, err := s.certificate(t.Context(), record{Store: Store{ID: id}}, request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{s.hubName(id)}}))
		if (err != nil) != (id == "A") {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// The authority counts; headquarters counts before it does.
func TestTheAuthorityIsNotAskedTooOften(t *testing.T) {
	s, rec, a, now := certified(t)
	began := *now
	key := newECKey(t)
	in := request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}})
	s.asked(t, rec, in)
	s.ordered(t)
	s.asked(t, rec, request(t, key, x509.CertificateRequest{DNSNames: []string{ownName}, Subject: pkix.Name{CommonName: ownName}})) // the same key
	s.ordered(t)
	if len(a.orders) != 1 {
		t.Fatalf("the same key was signed %d times", len(a.orders))
	}

	a.answer = &AuthorityRefusal{Why: "no"}
	in = request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{ownName}})
	var waits []time.Duration
	for range 9 {
		s.asked(t, rec, in)
		s.ordered(t)
		s.ordered(t) // not again before its time
		c := s.asked(t, rec, in)
		if !strings.Contains(c.Why, "refuses: no") || c.Since.IsZero() || c.Chain != "" {
			t.Fatalf("refused: %+v", c)
		}
		waits = append(waits, time.Duration(c.AgainMS)*time.Millisecond)
		*now = now.Add(waits[len(waits)-1])
	}
	want := []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour}
	for i := range want {
		if waits[i] != want[i] {
			t.Fatalf("tried again after %v, want %v", waits, want)
		}
	}
	if len(a.orders) != 10 {
		t.Errorf("%d orders, want 10", len(a.orders))
	}

	// A new key each time is signed four times in seven days, refusals not counted; the
	// first was above.
	a.answer = nil
	for range 6 {
		in = request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{ownName}})
		s.asked(t, rec, in)
		s.ordered(t)
	}
	if len(a.orders) != 13 {
		t.Errorf("%d orders, want 13", len(a.orders))
	}
	c := s.asked(t, rec, in)
	if again := time.Duration(c.AgainMS) * time.Millisecond; c.Chain != "" || again != began.Add(7*24*time.Hour).Sub(*now) || !strings.Contains(c.Why, "4 times within a week") {
		t.Errorf("the fifth: %+v", c)
	}
	*now = now.Add(7 * 24 * time.Hour)
	s.ordered(t)
	if c := s.asked(t, rec, in); c.Chain == "" {
		t.Errorf("a week later: %+v", c)
	}
}

// Silence is asked about sooner than a refusal; what may have been signed is counted, and
// a bound of the whole account holds for every store.
func TestSilenceIsNoRefusalOfTheAuthority(t *testing.T) {
	s, rec, a, now := certified(t)
	in := request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{ownName}})
	a.answer = errors.New("dial tcp: no route to host")
	s.asked(t, rec, in)
	s.ordered(t)
	c := s.asked(t, rec, in)
	if c.AgainMS != time.Minute.Milliseconds() || strings.Contains(c.Why, "refuses") {
		t.Errorf("silence: %+v", c)
	}
	for range 3 {
		a.answer = errors.Join(errors.New("the answer was lost"), ErrCertificateUnknown)
		*now = now.Add(time.Duration(c.AgainMS) * time.Millisecond)
		s.ordered(t)
		c = s.asked(t, rec, in)
	}
	var n int
	if err := s.db.r.QueryRow(`SELECT count(*) FROM certificate_orders`).Scan(&n); err != nil || n != 3 {
		t.Errorf("%d orders are counted, want the three whose end is not known: %v", n, err)
	}

	*now = now.Add(time.Duration(c.AgainMS) * time.Millisecond)
	a.answer = &AuthorityRefusal{Why: "too many", After: 3 * time.Hour, All: true}
	if _, _, err := s.AddStore(t.Context(), Store{ID: "0413", Location: "tml_2", Mode: doors.Test}); err != nil {
		t.Fatal(err)
	}
	s.asked(t, record{Store: Store{ID: "0413"}}, request(t, newECKey(t), x509.CertificateRequest{DNSNames: []string{"0413.hubs.example.com"}}))
	before := len(a.orders)
	s.ordered(t)
	if len(a.orders) != before+1 {
		t.Errorf("%d more orders, want one: the authority said that it takes no more", len(a.orders)-before)
	}
	*now = now.Add(4 * time.Hour) // the fourth doubling of its own wait
	a.answer = nil
	s.ordered(t)
	if len(a.orders) != before+3 {
		t.Errorf("%d more orders, want three in all", len(a.orders)-before)
	}
}
