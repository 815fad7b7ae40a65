package hq

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
)

// maxAnswer bounds what a hub reads of one answer.
const maxAnswer = 16 << 20

// Client is the hub's end. Every method returns a *doors.Error when headquarters
// answered "no"; any other error means silence: nobody knows.
type Client struct {
	URL        string        // base, without a trailing slash
	Credential func() string // read anew for each request, so that it can be rotated
	// Key is what requests are signed with, read anew for each; nil: they are not.
	Key     func() ed25519.PrivateKey
	HTTP    *http.Client // nil: one with sane timeouts of its own
	Version string
	Machine string // fingerprint of this machine; "": not told
	Run     string // tells this process from a copy of it; "": not told
	// Rehearsal asks in the name of the live store's stand-in, which alone knows the test
	// key and never the live one.
	Rehearsal bool
}

// Headers by which headquarters tells a store's hub from a copy of it (money.md 4.3).
const (
	machineHeader = "Storehub-Machine"
	runHeader     = "Storehub-Run"
)

// defaultHTTP has no timeout over all, since a long poll takes as long as it
// takes: callers bound each request by its context.
var defaultHTTP = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 4 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   4 * time.Second,
		ResponseHeaderTimeout: maxWait + 10*time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   256, // as many as tills may ask at once
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Enrol trades a one-time code for a credential.
func (c *Client) Enrol(ctx context.Context, r EnrolRequest) (Enrolment, error) {
	var e Enrolment
	return e, c.ask(ctx, http.MethodPost, "/store/v1/enrol", r, &e)
}

// Store asks for headquarters' record of this store.
func (c *Client) Store(ctx context.Context) (Store, error) {
	var st Store
	return st, c.ask(ctx, http.MethodGet, "/store/v1/store", nil, &st)
}

// ConnectionToken returns Stripe's object as sent. It holds a secret: it is
// never logged, kept, or asked for again behind the till's back beyond one
// fresh connection.
func (c *Client) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	return c.raw(ctx, "/store/v1/connection_tokens", TillRequest{Till: t})
}

// Stripe passes one call on.
func (c *Client) Stripe(ctx context.Context, t doors.Till, call doors.Call, key string, params url.Values) (json.RawMessage, error) {
	return c.raw(ctx, "/store/v1/stripe/"+url.PathEscape(string(call)), StripeRequest{Till: t, Key: key, Params: params})
}

// Submit offers operations; nil means headquarters has all of them on its disk.
// The receipt may still name another epoch, or an earlier number than the last
// one offered: then headquarters wants the submit chain offered again from there.
func (c *Client) Submit(ctx context.Context, s Submission) (Receipt, error) {
	var r Receipt
	return r, c.ask(ctx, http.MethodPost, "/store/v1/operations", s, &r)
}

// Feed waits up to wait for lines after the given one.
func (c *Client) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (Feed, error) {
	q := url.Values{"epoch": {epoch}, "after": {strconv.FormatUint(after, 10)}, "wait": {strconv.Itoa(int(wait / time.Second))}}
	var f Feed
	return f, c.ask(ctx, http.MethodGet, "/store/v1/feed?"+q.Encode(), nil, &f)
}

// Chain asks for the signed head of the submit chain, and for its links after a number.
func (c *Client) Chain(ctx context.Context, epoch string, after uint64, nonce string) (ChainPage, error) {
	q := url.Values{"epoch": {epoch}, "after": {strconv.FormatUint(after, 10)}, "nonce": {nonce}}
	var p ChainPage
	return p, c.ask(ctx, http.MethodGet, "/store/v1/chain?"+q.Encode(), nil, &p)
}

// Readers asks for the store's readers as Stripe last told.
func (c *Client) Readers(ctx context.Context) (ReaderList, error) {
	var l ReaderList
	return l, c.ask(ctx, http.MethodGet, "/store/v1/readers", nil, &l)
}

// Tills tells headquarters which tills the store has, so that they may come to its
// own doors when the hub is dead.
func (c *Client) Tills(ctx context.Context, b TillBook) error {
	return c.ask(ctx, http.MethodPut, "/store/v1/tills", b, &TillBook{})
}

// Resolve tells headquarters what persons in the shop have seen to.
func (c *Client) Resolve(ctx context.Context, r Resolutions) error {
	return c.ask(ctx, http.MethodPost, "/store/v1/resolutions", r, &Resolutions{})
}

// Evidence asks for what the store's checklist wants to know. One that does not know of
// it answers 404, which is no fault.
func (c *Client) Evidence(ctx context.Context) (Evidence, error) {
	var e Evidence
	return e, c.ask(ctx, http.MethodGet, "/store/v1/evidence", nil, &e)
}

// Report tells headquarters how the store does. One that does not know of reports
// answers 404, which is no fault.
func (c *Client) Report(ctx context.Context, r Report) (Reported, error) {
	var a Reported
	return a, c.ask(ctx, http.MethodPut, "/store/v1/report", r, &a)
}

// Certificate asks to have a key signed for the hub's public name, or what became of it.
func (c *Client) Certificate(ctx context.Context, r CertificateRequest) (Certificate, error) {
	var a Certificate
	return a, c.ask(ctx, http.MethodPut, "/store/v1/certificate", r, &a)
}

// ask decodes the answer. A field that this hub does not know is passed over:
// headquarters may be newer.
func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	b, err := c.exchange(ctx, method, path, in)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read headquarters' answer: %w", err)
	}
	return nil
}

// raw hands the answer on byte for byte, once it is known to be JSON.
func (c *Client) raw(ctx context.Context, path string, in any) (json.RawMessage, error) {
	b, err := c.exchange(ctx, http.MethodPost, path, in)
	if err != nil {
		return nil, err
	}
	if !json.Valid(b) {
		return nil, errors.New("read headquarters' answer: it is not JSON")
	}
	return b, nil
}

func (c *Client) exchange(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	var sent []byte
	if in != nil {
		var err error
		if sent, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("ask headquarters: %w", err)
		}
		body = bytes.NewReader(sent)
	}
	if c.Rehearsal {
		path = strings.Replace(path, wirePath, rehearsalPath, 1)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask headquarters: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Credential != nil {
		if secret := c.Credential(); secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
	}
	req.Header.Set("User-Agent", "storehub-hub/"+c.Version)
	for name, v := range map[string]string{machineHeader: c.Machine, runHeader: c.Run} {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	if c.Key != nil {
		if key := c.Key(); key != nil {
			req.Header.Set(proofHeader, hex.EncodeToString(ed25519.Sign(key, proven(method, path, c.Run, sent))))
		}
	}
	client := c.HTTP
	if client == nil {
		client = defaultHTTP
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask headquarters: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read headquarters' answer: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, errors.New("read headquarters' answer: it is too long")
	}
	if resp.StatusCode/100 == 2 {
		return b, nil
	}
	return nil, refusalIn(resp, b)
}

// refusalIn tells a "no" of headquarters from the noise of whatever stands
// between (a proxy's page, a portal): only our own form is a "no".
func refusalIn(resp *http.Response, b []byte) error {
	mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mt == "application/json" {
		if e := doors.ParseError(resp.StatusCode, b); e != nil {
			return e
		}
	}
	return &StatusError{resp.StatusCode}
}

// StatusError is an answer that is not in headquarters' own words: it broke, or
// something between has answered. It is no "no": nobody knows.
type StatusError struct{ Status int }

// Error says so.
func (e *StatusError) Error() string {
	return fmt.Sprintf("ask headquarters: it answered %d, not in its own words", e.Status)
}
