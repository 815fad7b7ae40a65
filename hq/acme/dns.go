package acme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"

	"storehub/hq"
)

const (
	dnsTimeout = 10 * time.Second
	// dnsSettles is how long secondaries may take to have what their primary has.
	dnsSettles = 2 * time.Minute
	dnsLook    = 500 * time.Millisecond
	recordTTL  = 1 // a second: the next record takes its place
)

// updater changes records of one zone on the operator's own name server (RFC 2136),
// signed with a key that may do no more (RFC 8945).
type updater struct {
	zone    string
	server  string
	servers []string // those that have to show a record
	key     tsigKey
}

func newUpdater(zone string, c hq.ACMEDNSConfig) (*updater, error) {
	b, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read acme.dns.key_file: %w", err)
	}
	key, err := parseKey(string(b))
	if err != nil {
		return nil, fmt.Errorf("read acme.dns.key_file: %w", err)
	}
	u := &updater{zone: dns.Fqdn(zone), server: c.Server, servers: c.Servers, key: key}
	if len(u.servers) == 0 {
		u.servers = []string{c.Server}
	}
	return u, nil
}

// tsigKey is what updates are signed with.
type tsigKey struct{ name, algorithm, secret string }

var (
	keyName      = regexp.MustCompile(`(?m)^\s*key\s+"?([A-Za-z0-9._-]+)"?\s*\{`)
	keyAlgorithm = regexp.MustCompile(`\balgorithm\s+"?(hmac-sha(?:256|384|512))"?\s*;`)
	keySecret    = regexp.MustCompile(`\bsecret\s+"([A-Za-z0-9+/]+={0,2})"\s*;`)
)

// parseKey reads what tsig-keygen writes: key "hq" { algorithm hmac-sha256; secret "…"; };
func parseKey(text string) (tsigKey, error) {
	name, algorithm, secret := keyName.FindAllStringSubmatch(text, 2), keyAlgorithm.FindAllStringSubmatch(text, 2), keySecret.FindAllStringSubmatch(text, 2)
	if len(name) != 1 || len(algorithm) != 1 || len(secret) != 1 {
		return tsigKey{}, errors.New("want one key as tsig-keygen writes it, of hmac-sha256, -384 or -512")
	}
	if _, ok := dns.IsDomainName(name[0][1]); !ok {
		return tsigKey{}, fmt.Errorf("%q is not a key's name", name[0][1])
	}
	return tsigKey{name: dns.CanonicalName(name[0][1]), algorithm: algorithm[0][1] + ".", secret: secret[0][1]}, nil
}

// show puts a record into the zone, in place of any other of that name, and returns when
// every server that was named has it.
func (u *updater) show(ctx context.Context, name, value string) error {
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: []string{value}}
	m := new(dns.Msg).SetUpdate(u.zone)
	m.RemoveRRset([]dns.RR{rr})
	m.Insert([]dns.RR{rr})
	if err := u.change(ctx, m); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, dnsSettles)
	defer cancel()
	for _, server := range u.servers {
		for !shows(ctx, server, rr) {
			select {
			case <-time.After(dnsLook):
			case <-ctx.Done():
				return fmt.Errorf("ask %s for %s: it does not show the record: %w", server, name, ctx.Err())
			}
		}
	}
	return nil
}

// remove takes what show put there. What stays is replaced by the next.
func (u *updater) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	m := new(dns.Msg).SetUpdate(u.zone)
	m.RemoveRRset([]dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET}}})
	_ = u.change(ctx, m)
}

func (u *updater) change(ctx context.Context, m *dns.Msg) error {
	m.SetTsig(u.key.name, u.key.algorithm, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", Timeout: dnsTimeout, TsigSecret: map[string]string{u.key.name: u.key.secret}}
	r, _, err := c.ExchangeContext(ctx, m, u.server)
	if err != nil {
		return fmt.Errorf("update zone %s at %s: %w", strings.TrimSuffix(u.zone, "."), u.server, err)
	}
	if r.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("update zone %s at %s: the server refuses with %s", strings.TrimSuffix(u.zone, "."), u.server, dns.RcodeToString[r.Rcode])
	}
	return nil
}

// shows reports whether a server has the record.
func shows(ctx context.Context, server string, want *dns.TXT) bool {
	m := new(dns.Msg).SetQuestion(want.Hdr.Name, dns.TypeTXT)
	m.RecursionDesired = false
	c := &dns.Client{Net: "tcp", Timeout: dnsTimeout}
	r, _, err := c.ExchangeContext(ctx, m, server)
	if err != nil {
		return false
	}
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok && strings.Join(txt.Txt, "") == want.Txt[0] {
			return true
		}
	}
	return false
}
