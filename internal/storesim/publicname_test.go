package storesim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
	"storehub/hq/acme"
	"storehub/hub"
	"storehub/internal/acmelab"
)

// shopName is what headquarters calls the one store of the system.
const shopName = "0001." + acmelab.Zone

// publicShop is a store whose hub has a name that every till trusts, a certificate
// authority, and a hand on the hub's clock.
type publicShop struct {
	*Store
	lab   *acmelab.Lab
	ahead atomic.Int64
}

func openPublicShop(t *testing.T) *publicShop {
	t.Helper()
	lab, err := acmelab.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := acme.Open(lab.Config, "test")
	if err != nil {
		t.Fatal(err)
	}
	p := &publicShop{lab: lab}
	p.Store = Open(t, Parts(func(c *hub.Config, parts *hub.Parts) {
		c.Listen, c.TLS.Name = "0.0.0.0:0", shopName
		parts.Now = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
	}, func(o *hq.Options) { o.Authority = authority }))
	return p
}

// passAtHub lets time go by on the hub's clock alone: the authority's is the machine's.
func (p *publicShop) passAtHub(d time.Duration) { p.ahead.Add(int64(d)) }

// clockRight ends what passed.
func (p *publicShop) clockRight() { p.ahead.Store(0) }

// shown is the certificate that a till is shown which trusts the public authorities
// root holds and nothing else; nil: none that it takes.
func (p *publicShop) shown(root *x509.CertPool) *x509.Certificate {
	p.t.Helper()
	u, err := url.Parse(p.sys.HubURL)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: root},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+u.Port())
		}}}
	resp, err := c.Get("https://" + net.JoinHostPort(shopName, u.Port()) + "/healthz")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("healthz: %s, %v", resp.Status, err)
	}
	return resp.TLS.PeerCertificates[0]
}

// awaitAnother waits for a certificate that is not this one.
func (p *publicShop) awaitAnother(root *x509.CertPool, than *x509.Certificate) *x509.Certificate {
	p.t.Helper()
	var c *x509.Certificate
	p.await("another certificate", func() bool { c = p.shown(root); return c != nil && !c.Equal(than) })
	return c
}

func (p *publicShop) await(what string, so func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited for %s", what)
		}
	}
}

func (p *publicShop) root() *x509.CertPool {
	p.t.Helper()
	pool, err := p.lab.Root()
	if err != nil {
		p.t.Fatal(err)
	}
	return pool
}

// awaitFinding waits until the hub says why there is no new certificate.
func (p *publicShop) awaitFinding(words ...string) {
	p.t.Helper()
	var said string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the hub says: %s", said)
		}
	}()
	p.await("the finding", func() bool {
		p.passAtHub(10 * time.Minute) // it is no finding in its first hour
		said = p.said()
		for _, w := range words {
			if !strings.Contains(said, w) {
				return false
			}
		}
		return true
	})
}

// said is what the hub's diagnosis holds of its certificate; "": nothing.
func (p *publicShop) said() string {
	v, err := p.sys.Doors().Diagnosis(p.t.Context(), doors.Till{})
	r, ok := v.(diagnostics.Report)
	if err != nil || !ok {
		p.t.Fatalf("diagnosis: %T, %v", v, err)
	}
	for _, c := range r.Causes {
		if c.Code == "hub_certificate_due" {
			return strings.Join(c.Evidence, "; ")
		}
	}
	return ""
}

// The life of a name that every till trusts: signed, renewed, kept while headquarters is
// out of reach and while the authority refuses, and never without a key of its own.
func TestThePublicNameHoldsThroughEverythingThatMayFail(t *testing.T) {
	p := openPublicShop(t)
	root := p.root()
	first := p.awaitAnother(root, nil)
	if err := first.VerifyHostname(shopName); err != nil {
		t.Fatal(err)
	}
	p.await("nothing to say", func() bool { return p.said() == "" })

	// The line is cut when half of its life is over: it is served on, and the hub says so.
	p.CutInternet()
	p.passAtHub(50 * 24 * time.Hour)
	p.awaitFinding("headquarters does not answer", "holds until "+first.NotAfter.UTC().Format("2006-01-02 15:04"))
	if !p.shown(root).Equal(first) {
		t.Error("the old certificate is not served while headquarters is silent")
	}
	p.MendInternet()
	second := p.awaitAnother(root, first)
	p.clockRight()
	if second.NotAfter.Before(first.NotAfter) || string(second.RawSubjectPublicKeyInfo) == string(first.RawSubjectPublicKeyInfo) {
		t.Error("renewed with the old key, or to no later end")
	}
	p.await("nothing to say", func() bool { return p.said() == "" })

	// The authority refuses: headquarters tells why, and asks again after its time.
	p.must("stop authority", p.lab.StopCA())
	p.must("start authority", p.lab.StartCA(shopName))
	p.passAtHub(50 * 24 * time.Hour)
	p.awaitFinding("the certificate authority refuses", "rejectedIdentifier")
	if !p.shown(root).Equal(second) {
		t.Error("the old certificate is not served while the authority refuses")
	}
	p.must("stop authority", p.lab.StopCA())
	p.must("start authority", p.lab.StartCA())
	p.Pass(13 * time.Hour) // at headquarters
	p.must("stop hub", p.sys.StopHub())
	p.Boot() // on its disk are the certificate and the key that waits to be signed
	p.awaitAnother(p.root(), nil)
}
