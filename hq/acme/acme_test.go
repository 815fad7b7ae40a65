package acme_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"storehub/hq"
	"storehub/hq/acme"
	"storehub/internal/acmelab"
)

const name = "0412." + acmelab.Zone

func lab(t *testing.T) *acmelab.Lab {
	t.Helper()
	l, err := acmelab.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func issue(t *testing.T, a *acme.Authority, name string) ([]byte, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return a.Issue(t.Context(), name, csr)
}

// One authority, as it is met over time: it signs, is away, comes back without the
// account, refuses; and the name server refuses a key.
func TestAgainstARealAuthorityAndARealNameServer(t *testing.T) {
	l := lab(t)
	a, err := acme.Open(l.Config, "test")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(what string) {
		t.Helper()
		chain, err := issue(t, a, name)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		block, rest := pem.Decode(chain)
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		root, err := l.Root()
		if err != nil {
			t.Fatal(err)
		}
		between := x509.NewCertPool()
		between.AppendCertsFromPEM(rest)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: root, Intermediates: between, DNSName: name}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	signed("the first order")
	signed("with an account that is there")

	if err := l.StopCA(); err != nil {
		t.Fatal(err)
	}
	var refused *hq.AuthorityRefusal
	if _, err := issue(t, a, name); err == nil || errors.As(err, &refused) {
		t.Errorf("an authority that is away: %v, want silence", err)
	}

	blocked := "blocked." + acmelab.Zone
	if err := l.StartCA(blocked); err != nil {
		t.Fatal(err)
	}
	signed("after the authority lost the account")
	if _, err := issue(t, a, blocked); !errors.As(err, &refused) || !strings.Contains(err.Error(), "rejectedIdentifier") {
		t.Errorf("a name that the authority refuses: %v", err)
	}
	if _, err := issue(t, a, "0412.elsewhere.example"); err == nil || !strings.Contains(err.Error(), "NOTZONE") {
		t.Errorf("a name outside the zone: %v", err)
	}

	forged := l.Config
	forged.DNS.KeyFile = t.TempDir() + "/other.key"
	if err := os.WriteFile(forged.DNS.KeyFile, []byte(`key "hq" { algorithm hmac-sha256; secret "b3RoZXI="; };`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := acme.Open(forged, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, b, name); err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "update zone") {
		t.Errorf("a key that the name server does not know: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Issue(over, name, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}
