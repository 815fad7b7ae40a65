// Package acme has certificates signed by a public authority (RFC 8555), which is shown
// by a record in the DNS that the name is ours (DNS-01): a hub has an address of its shop,
// where no authority can look.
package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/crypto/acme"

	"storehub/hq"
)

// Authority orders certificates under one account.
type Authority struct {
	client  *acme.Client
	account *acme.Account
	dns     *updater
	zone    string
}

// Open reads the files that the configuration names. Nothing is asked before the first
// order.
func Open(c hq.ACMEConfig, version string) (*Authority, error) {
	key, err := accountKey(c.AccountKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read acme.account_key_file: %w", err)
	}
	client, err := httpClient(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read acme.ca_file: %w", err)
	}
	dns, err := newUpdater(c.Zone, c.DNS)
	if err != nil {
		return nil, err
	}
	a := &Authority{dns: dns, zone: c.Zone, account: &acme.Account{}}
	if c.Contact != "" {
		a.account.Contact = []string{"mailto:" + c.Contact}
	}
	a.client = &acme.Client{Key: key, HTTPClient: client, DirectoryURL: c.Directory, UserAgent: "storehub-hq/" + version, RetryBackoff: again}
	return a, nil
}

// again is how long to wait with repeating a request that the authority could not take
// as it came. What is worth more than a few seconds is the order's to try again.
func again(n int, _ *http.Request, resp *http.Response) time.Duration {
	if n > 3 || resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		return -1
	}
	return time.Duration(n) * 500 * time.Millisecond
}

func httpClient(caFile string) (*http.Client, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       time.Minute,
	}
	if caFile != "" {
		b, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s: no certificate in it", caFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, Timeout: time.Minute}, nil
}

// accountKey reads what the account is known by at the authority.
func accountKey(file string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := key.(*ecdsa.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, errors.New("no ECDSA key in it; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
}

// Zone is where hubs have their names.
func (a *Authority) Zone() string { return a.zone }

// Issue orders a certificate and waits for it.
func (a *Authority) Issue(ctx context.Context, name string, csr []byte) ([]byte, error) {
	order, err := a.order(ctx, name)
	if err != nil {
		return nil, a.judge("order certificate", err)
	}
	for _, url := range order.AuthzURLs {
		if err := a.prove(ctx, url); err != nil {
			return nil, a.judge("prove the name", err)
		}
	}
	if order, err = a.client.WaitOrder(ctx, order.URI); err != nil {
		return nil, a.judge("await the order", err)
	}
	ders, err := a.finish(ctx, order, csr)
	if err != nil {
		return nil, err
	}
	var chain []byte
	for _, der := range ders {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return chain, nil
}

// order begins an order, under an account that is made at the first, or when the
// authority has forgotten it.
func (a *Authority) order(ctx context.Context, name string) (*acme.Order, error) {
	if a.client.KID != "" {
		order, err := a.client.AuthorizeOrder(ctx, acme.DomainIDs(name))
		var e *acme.Error
		if !errors.As(err, &e) || e.ProblemType != "urn:ietf:params:acme:error:accountDoesNotExist" {
			return order, err
		}
		a.client.KID = ""
	}
	if _, err := a.client.Register(ctx, a.account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, err
	}
	return a.client.AuthorizeOrder(ctx, acme.DomainIDs(name))
}

// finish hands the request over and fetches what was signed. Where the answer was lost, or
// does not say where the order is (the library looks for that; RFC 8555 does not ask for
// it), the order itself is asked.
func (a *Authority) finish(ctx context.Context, order *acme.Order, csr []byte) ([][]byte, error) {
	ders, _, err := a.client.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err == nil {
		return ders, nil
	}
	err = a.judge("have it signed", err)
	var refused *hq.AuthorityRefusal
	if errors.As(err, &refused) {
		return nil, err
	}
	done, werr := a.client.WaitOrder(ctx, order.URI)
	switch {
	case werr != nil:
		return nil, fmt.Errorf("%w; %w", a.judge("await the certificate", werr), hq.ErrCertificateUnknown)
	case done.Status != acme.StatusValid:
		return nil, err // it did not get there
	}
	if ders, err = a.client.FetchCert(ctx, done.CertURL, true); err != nil {
		return nil, fmt.Errorf("%w; %w", a.judge("fetch the certificate", err), hq.ErrCertificateUnknown)
	}
	return ders, nil
}

// prove shows the authority the record it asks for, and takes it away again.
func (a *Authority) prove(ctx context.Context, url string) error {
	z, err := a.client.GetAuthorization(ctx, url)
	if err != nil || z.Status == acme.StatusValid {
		return err
	}
	for _, ch := range z.Challenges {
		if ch.Type != "dns-01" {
			continue
		}
		value, err := a.client.DNS01ChallengeRecord(ch.Token)
		if err != nil {
			return err
		}
		record := "_acme-challenge." + z.Identifier.Value
		defer a.dns.remove(context.WithoutCancel(ctx), record)
		if err := a.dns.show(ctx, record, value); err != nil {
			return err
		}
		if _, err := a.client.Accept(ctx, ch); err != nil {
			return err
		}
		_, err = a.client.WaitAuthorization(ctx, z.URI)
		return err
	}
	return &hq.AuthorityRefusal{Why: "it does not take a record in the DNS (dns-01) as proof"}
}

// judge tells the authority's "no" from silence.
func (a *Authority) judge(what string, err error) error {
	var refused *hq.AuthorityRefusal
	var unproved *acme.AuthorizationError
	var unsigned *acme.OrderError
	var answer *acme.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &unproved):
		why := "it could not see the proof"
		for _, e := range unproved.Errors {
			if errors.As(e, &answer) {
				why = fmt.Sprintf("%q (%s)", answer.Detail, answer.ProblemType)
			}
		}
		return &hq.AuthorityRefusal{Why: why}
	case errors.As(err, &unsigned):
		return &hq.AuthorityRefusal{Why: fmt.Sprintf("the order is %s", unsigned.Status)}
	case errors.As(err, &answer) && answer.StatusCode >= 400 && answer.StatusCode < 500:
		after, limited := acme.RateLimit(answer)
		return &hq.AuthorityRefusal{Why: fmt.Sprintf("%q (%s)", answer.Detail, answer.ProblemType), After: after, All: limited}
	}
	return fmt.Errorf("%s: %w", what, err)
}
