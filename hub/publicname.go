package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
)

// This file is the certificate that needs no CA on a till: for tls.name, where that is the
// name that headquarters gave the store. The hub makes the key, headquarters has it signed.

const (
	// publicLook is how soon a certificate that is due is asked for, publicSilent how soon
	// again after silence.
	publicLook    = 3 * time.Second
	publicSilent  = 15 * time.Second
	publicTimeout = 10 * time.Second
	// publicRefused: what was refused for good is asked for again after that.
	publicRefused = time.Hour
	// publicGrace: a finding is not worth what is over within the hour; half of a
	// certificate's life is left.
	publicGrace = time.Hour
	// publicAtLeast and publicAtMost bound the time that headquarters says to wait.
	publicAtLeast = time.Second
	publicAtMost  = time.Hour
)

// publicName keeps the certificate of the hub's public name.
type publicName struct {
	hub     *Hub
	dir     string
	current atomic.Pointer[tls.Certificate]
	news    chan struct{} // headquarters is heard again, or fell silent

	mu    sync.Mutex
	why   string    // the newest is not to be had; "": it is, or none is due
	since time.Time // when that began
}

func newPublicName(h *Hub) *publicName {
	p := &publicName{hub: h, dir: filepath.Join(h.cfg.StateDir, "tls"), news: make(chan struct{}, 1)}
	text, err := os.ReadFile(p.file())
	if err == nil {
		err = p.serve(text)
	}
	if err != nil && !notExist(err) {
		h.log.Error("read the certificate of the hub's public name", "err", err)
	}
	return p
}

// file holds key and certificates together: one rename puts both in force.
func (p *publicName) file() string { return filepath.Join(p.dir, "public.pem") }

// nextFile holds the key that is to be signed next.
func (p *publicName) nextFile() string { return filepath.Join(p.dir, "public-next.key") }

// serve puts a key with its certificates in force, if they are of the hub's name.
func (p *publicName) serve(text []byte) error {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	if err := pair.Leaf.VerifyHostname(p.hub.cfg.TLS.Name); err != nil {
		return err
	}
	p.current.Store(&pair)
	return nil
}

// offer is the certificate for a till that asks for that name; nil: the hub's own has to
// do. One that is over is no better than that.
func (p *publicName) offer(name string) *tls.Certificate {
	if c := p.current.Load(); c != nil && name == p.hub.cfg.TLS.Name && p.hub.now().Before(c.Leaf.NotAfter) {
		return c
	}
	return nil
}

// ends is when the certificate ends; zero: there is none.
func (p *publicName) ends() time.Time {
	if c := p.current.Load(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// wanted reports whether headquarters gave the store this very name.
func (p *publicName) wanted() bool {
	s := p.hub.store.Load()
	return s != nil && s.HubName != "" && s.HubName == p.hub.cfg.TLS.Name && p.hub.cfg.TLS.CertFile == ""
}

// due reports whether there is no certificate, or it has passed half of its life.
func (p *publicName) due() bool {
	c := p.current.Load()
	if c == nil {
		return true
	}
	half := c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) / 2)
	return !p.hub.now().Before(half)
}

// keep asks for a certificate when one is due, until ctx ends. The one before is served
// until there is another.
func (p *publicName) keep(ctx context.Context) {
	for ctx.Err() == nil {
		wait := publicLook
		if p.wanted() && p.due() {
			wait = p.renew(ctx)
		} else {
			p.note("")
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.news:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// renew asks once, and says when to ask again.
func (p *publicName) renew(ctx context.Context) time.Duration {
	if now, built := p.hub.now(), buildTime(); now.Before(built) {
		p.note(fmt.Sprintf("this machine's clock says %s, which is before this program was made; set the clock", now.UTC().Format(time.RFC3339)))
		return publicLook
	}
	key, err := p.nextKey()
	if err != nil {
		p.note("make its key: " + err.Error())
		return publicSilent
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{p.hub.cfg.TLS.Name}}, key)
	if err != nil {
		p.note("make its request: " + err.Error())
		return publicSilent
	}
	asking, cancel := context.WithTimeout(ctx, publicTimeout)
	defer cancel()
	got, err := p.hub.hq.Certificate(asking, hq.CertificateRequest{CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	var refused *doors.Error
	switch {
	case ctx.Err() != nil:
		return publicLook
	case errors.As(err, &refused):
		p.note("headquarters refuses: " + refused.Message)
		return publicRefused
	case err != nil:
		p.note("headquarters does not answer: " + err.Error())
		return publicSilent
	case got.Chain != "":
		if err := p.take(key, got.Chain); err != nil {
			p.note("what headquarters sent cannot be served: " + err.Error())
			return publicRefused
		}
		p.note("")
		return publicLook
	}
	p.note(got.Why) // "": it is being ordered
	return min(max(time.Duration(got.AgainMS)*time.Millisecond, publicAtLeast), publicAtMost)
}

// nextKey is the key to be signed next. It stays the same until it is, so that asking
// again is the same request.
func (p *publicName) nextKey() (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(p.nextFile())
	if err == nil {
		if block, _ := pem.Decode(text); block != nil {
			if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				if key, ok := key.(*ecdsa.PrivateKey); ok {
					return key, nil
				}
			}
		}
		p.hub.log.Warn("the key of the next certificate was damaged and is made anew")
	} else if !notExist(err) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	return key, writeFile(p.nextFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// take serves what was signed, once it is on the disk.
func (p *publicName) take(key *ecdsa.PrivateKey, chain string) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), chain...)
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	if old := p.current.Load(); old != nil && !pair.Leaf.NotAfter.After(old.Leaf.NotAfter) {
		return fmt.Errorf("it ends %s, no later than the one before", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := pair.Leaf.VerifyHostname(p.hub.cfg.TLS.Name); err != nil {
		return err
	}
	if err := writeFile(p.file(), text); err != nil {
		return err
	}
	if err := p.serve(text); err != nil {
		return err
	}
	if err := os.Remove(p.nextFile()); err != nil {
		p.hub.log.Warn("forget the key that is signed now", "err", err)
	}
	p.hub.log.Info("a certificate for the hub's public name is served", "name", p.hub.cfg.TLS.Name, "until", pair.Leaf.NotAfter)
	return nil
}

// note keeps why the newest certificate is not to be had, and since when.
func (p *publicName) note(why string) {
	p.mu.Lock()
	was := p.why
	p.why = why
	if why != "" && was == "" {
		p.since = p.hub.now()
	}
	p.mu.Unlock()
	if was == why {
		return
	}
	if why != "" {
		p.hub.log.Warn("the hub's public name has no new certificate", "name", p.hub.cfg.TLS.Name, "why", why)
	}
	p.hub.monitor.judge()
}

// findings says since when no certificate is to be had, and until when the old one holds.
func (p *publicName) findings() []diagnostics.Known {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == "" || p.hub.now().Sub(p.since) < publicGrace {
		return nil
	}
	holds := "there is none yet: tills need the hub's own CA"
	if c := p.current.Load(); c != nil {
		holds = "the one before holds until " + c.Leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST")
		if p.offer(p.hub.cfg.TLS.Name) == nil {
			holds = "the one before ended " + c.Leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST") + ": tills need the hub's own CA"
		}
	}
	return []diagnostics.Known{{Code: "hub_certificate_due", Since: p.since, Targets: []string{p.hub.cfg.TLS.Name}, Evidence: []string{p.why, holds}}}
}
