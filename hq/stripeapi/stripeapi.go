// Package stripeapi is headquarters' way to Stripe. It alone imports stripe-go,
// of which it takes the request's making and the errors' decoding, and leaves
// the rest: no retries (they do not know what an operation is), no telemetry,
// no logger, and no re-encoding of Stripe's objects, which it would alter.
package stripeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v82"

	"storehub/doors"
	"storehub/hq"
)

// versionWithLocation is the oldest API version whose charges name the Location
// they were made at (card_present.location), the proof of ownership.
const versionWithLocation = "2026-02-25.clover"

// Key is a secret API key. It has no printable form.
type Key string

// String hides the key.
func (Key) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (Key) GoString() string { return "[redacted]" }

// LogValue hides the key from logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the key from encoders.
func (Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Mode is read from the key's prefix.
func (k Key) Mode() (doors.Mode, error) {
	switch {
	case strings.HasPrefix(string(k), "sk_test_"), strings.HasPrefix(string(k), "rk_test_"):
		return doors.Test, nil
	case strings.HasPrefix(string(k), "sk_live_"), strings.HasPrefix(string(k), "rk_live_"):
		return doors.Live, nil
	default:
		return "", errors.New("it begins neither with sk_test_, rk_test_, sk_live_ nor rk_live_")
	}
}

// ReadKey reads a key from a file that others may not read.
func ReadKey(file string) (Key, error) {
	text, err := hq.ReadSecret("Stripe key", file)
	if err != nil {
		return "", err
	}
	k := Key(text)
	if _, err := k.Mode(); err != nil {
		return "", fmt.Errorf("read Stripe key %s: %w", file, err)
	}
	return k, nil
}

// Options tell New what is not the default.
type Options struct {
	Key     Key
	KeyFile string       // instead of Key
	BaseURL string       // "": Stripe's own
	HTTP    *http.Client // nil: one with sane timeouts of its own
	Version string       // Stripe-Version of what is passed through; "": stripe-go's
	// Limit waits for the right to make a request, or refuses; nil: no limit.
	// endpoint is the method and the path with its ids taken out.
	Limit func(ctx context.Context, account, endpoint string) error
}

// API is one Stripe account in one mode. It implements hq.Stripe.
type API struct {
	backend *stripe.BackendImplementation
	http    *http.Client
	key     Key
	mode    doors.Mode
	version string
	limit   func(ctx context.Context, account, endpoint string) error
	read    atomic.Pointer[func(account string)]
}

var _ hq.Stripe = (*API)(nil)

// New checks the key's form; it asks Stripe nothing.
func New(o Options) (*API, error) {
	if o.Key == "" && o.KeyFile != "" {
		var err error
		if o.Key, err = ReadKey(o.KeyFile); err != nil {
			return nil, err
		}
	}
	mode, err := o.Key.Mode()
	if err != nil {
		return nil, fmt.Errorf("use Stripe key: %w", err)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 4 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   4 * time.Second,
			ResponseHeaderTimeout: 25 * time.Second, // callers bound each request by its context
			MaxIdleConnsPerHost:   128,              // Stripe speaks HTTP/2 over one; what stands before it may not
			IdleConnTimeout:       60 * time.Second,
		}}
	}
	if o.BaseURL == "" {
		o.BaseURL = stripe.APIURL
	}
	if u, err := url.Parse(o.BaseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("use Stripe at %q: want an http or https URL", o.BaseURL)
	}
	if o.Limit == nil {
		o.Limit = func(context.Context, string, string) error { return nil }
	}
	b := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:               stripe.String(strings.TrimSuffix(o.BaseURL, "/")),
		HTTPClient:        o.HTTP,
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	impl, ok := b.(*stripe.BackendImplementation)
	if !ok {
		return nil, errors.New("use stripe-go: its backend has another type than expected")
	}
	return &API{backend: impl, http: o.HTTP, key: o.Key, mode: mode, version: o.Version, limit: o.Limit}, nil
}

// CloseIdleConnections closes connections that are kept for later requests.
func (a *API) CloseIdleConnections() { a.http.CloseIdleConnections() }

// CountReads has f called before each request that only reads.
func (a *API) CountReads(f func(account string)) { a.read.Store(&f) }

// Mode is the key's.
func (a *API) Mode() doors.Mode { return a.mode }

// request is one call to Stripe.
type request struct {
	method, path string
	account      string
	key          string // Idempotency-Key of a POST
	version      string // "": stripe-go's
	form         url.Values
}

// raw receives an answer without decoding it.
type raw struct {
	stripe.APIResource
}

// do makes the request once. A *hq.StripeError is Stripe's answer.
func (a *API) do(ctx context.Context, r request) (json.RawMessage, error) {
	if err := a.limit(ctx, r.account, r.method+" "+endpoint(r.path)); err != nil {
		return nil, err
	}
	if f := a.read.Load(); f != nil && r.method == http.MethodGet {
		(*f)(r.account)
	}
	p := &stripe.Params{Context: ctx}
	if r.method == http.MethodPost {
		p.IdempotencyKey = stripe.String(r.key)
	}
	if r.account != "" {
		p.SetStripeAccount(r.account)
	}
	if r.version != "" {
		p.Headers = http.Header{"Stripe-Version": {r.version}}
	}
	var out raw
	err := a.backend.CallRaw(r.method, r.path, string(a.key), []byte(r.form.Encode()), p, &out)
	if err != nil {
		return nil, answerOf(r, err)
	}
	if out.LastResponse == nil || !json.Valid(out.LastResponse.RawJSON) {
		return nil, fmt.Errorf("ask Stripe for %s: the answer is not JSON", endpoint(r.path))
	}
	return json.RawMessage(out.LastResponse.RawJSON), nil
}

// answerOf tells Stripe's answers from silence. stripe-go's text of an answer that
// is not Stripe's JSON (a proxy's page) may hold anything and is left out.
func answerOf(r request, err error) error {
	var e *stripe.Error
	if !errors.As(err, &e) {
		var broken *url.Error
		if errors.As(err, &broken) {
			return fmt.Errorf("ask Stripe for %s: %w", endpoint(r.path), broken.Err)
		}
		return fmt.Errorf("ask Stripe for %s: the answer is not in Stripe's words", endpoint(r.path))
	}
	out := &hq.StripeError{Status: e.HTTPStatusCode, Type: string(e.Type), Code: string(e.Code),
		DeclineCode: string(e.DeclineCode), Message: e.Msg, RequestID: e.RequestID}
	if e.LastResponse != nil {
		out.Replayed = e.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	}
	return out
}

// endpoint is the path with its ids taken out: what a rate limit counts by, and
// what may stand in logs.
func endpoint(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		for _, prefix := range []string{"pi_", "tmr_", "tml_", "tmc_", "pm_", "ch_", "re_", "seti_", "cus_", "evt_"} {
			if strings.HasPrefix(p, prefix) {
				parts[i] = "*"
			}
		}
	}
	return strings.Join(parts, "/")
}

// ConnectionToken asks for a token scoped to the Location. It holds a secret.
func (a *API) ConnectionToken(ctx context.Context, account, location string) (json.RawMessage, error) {
	// A key of its own each time: a replayed token would have been redeemed.
	return a.do(ctx, request{method: http.MethodPost, path: "/v1/terminal/connection_tokens", account: account, version: a.version,
		key: stripe.NewIdempotencyKey(), form: url.Values{"location": {location}}})
}

// Restricted refuses a key that can do more than headquarters in a shop may
// (money.md 4.6): the probes read and change nothing, and must be forbidden.
func (a *API) Restricted(ctx context.Context) error {
	if !strings.HasPrefix(string(a.key), "rk_") {
		return errors.New("check Stripe key: it is a full secret key; in a shop only a restricted key (rk_…) may be kept")
	}
	for _, path := range []string{"/v1/balance", "/v1/payouts", "/v1/customers"} {
		_, err := a.do(ctx, request{method: http.MethodGet, path: path})
		var e *hq.StripeError
		switch {
		case err == nil:
			return fmt.Errorf("check Stripe key: it may read %s; take that permission away from it", path)
		case !errors.As(err, &e):
			return fmt.Errorf("check Stripe key: %w", err)
		case e.Status != http.StatusForbidden:
			return fmt.Errorf("check Stripe key: %s answered %d, not 403: %w", path, e.Status, e)
		}
	}
	return nil
}
