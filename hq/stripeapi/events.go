package stripeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82/webhook"

	"storehub/hq"
)

// tolerance of a signature's time, both ways: a signature from the future would
// otherwise stay good for as long as it is ahead.
const tolerance = 5 * time.Minute

// Verify checks the signature over the raw payload against each secret, and
// reads the event whatever API version wrote it.
func (a *API) Verify(payload []byte, signature string, secrets []string) (hq.Event, error) {
	return verify(payload, signature, secrets, time.Now())
}

func verify(payload []byte, signature string, secrets []string, now time.Time) (hq.Event, error) {
	signed, err := signedAt(signature)
	if err != nil {
		return hq.Event{}, err
	}
	if off := now.Sub(signed); off > tolerance || off < -tolerance {
		return hq.Event{}, fmt.Errorf("verify event: it was signed at %s, too far from now", signed.UTC().Format(time.RFC3339))
	}
	known := slices.ContainsFunc(secrets, func(secret string) bool {
		// The time was judged above, against a clock that tests can hold.
		return secret != "" && webhook.ValidatePayloadIgnoringTolerance(payload, signature, secret) == nil
	})
	if !known {
		return hq.Event{}, errors.New("verify event: no secret made this signature")
	}
	return decodeEvent(payload)
}

// signedAt reads the t of "t=…,v1=…".
func signedAt(header string) (time.Time, error) {
	for part := range strings.SplitSeq(header, ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(part), "t="); ok {
			if t, err := strconv.ParseInt(v, 10, 64); err == nil {
				return time.Unix(t, 0), nil
			}
		}
	}
	return time.Time{}, errors.New("verify event: the signature has no time")
}

func decodeEvent(b []byte) (hq.Event, error) {
	var o struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Created  int64  `json:"created"`
		Livemode bool   `json:"livemode"`
		Account  string `json:"account"`
		Data     struct {
			Object json.RawMessage `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return hq.Event{}, fmt.Errorf("read Stripe's event: %w", err)
	}
	return hq.Event{ID: o.ID, Type: o.Type, Created: time.Unix(o.Created, 0).UTC(), Livemode: o.Livemode, Account: o.Account, Object: o.Data.Object}, nil
}

// Events lists what happened after the event named, oldest first. With no name,
// or one that Stripe has forgotten, it is the latest hundred.
func (a *API) Events(ctx context.Context, account, after string) ([]hq.Event, error) {
	var list []hq.Event
	for range maxPages {
		form := url.Values{"limit": {"100"}}
		if after != "" {
			form.Set("ending_before", after)
		}
		p, err := a.page(ctx, request{method: http.MethodGet, path: "/v1/events", account: account, form: form})
		var e *hq.StripeError
		if after != "" && len(list) == 0 && errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound) {
			after = ""
			continue
		}
		if err != nil {
			return nil, err
		}
		slices.Reverse(p.Data) // a page is newest first
		for _, b := range p.Data {
			ev, err := decodeEvent(b)
			if err != nil {
				return nil, err
			}
			if ev.Account == "" {
				ev.Account = account
			}
			list = append(list, ev)
		}
		if after == "" || !p.HasMore || len(p.Data) == 0 {
			return list, nil
		}
		after = list[len(list)-1].ID
	}
	return list, nil
}

// WebhookEndpoints lists the addresses that Stripe sends the platform's events to.
func (a *API) WebhookEndpoints(ctx context.Context) ([]hq.WebhookEndpoint, error) {
	raws, err := a.pages(ctx, request{method: http.MethodGet, path: "/v1/webhook_endpoints", form: url.Values{"limit": {"100"}}})
	if err != nil {
		return nil, err
	}
	list := []hq.WebhookEndpoint{}
	for _, b := range raws {
		var o struct {
			URL    string   `json:"url"`
			Status string   `json:"status"`
			Events []string `json:"enabled_events"`
		}
		if err := json.Unmarshal(b, &o); err != nil {
			return nil, fmt.Errorf("read Stripe's webhook endpoint: %w", err)
		}
		list = append(list, hq.WebhookEndpoint{URL: o.URL, Status: o.Status, Events: o.Events})
	}
	return list, nil
}

// Undelivered counts events that Stripe could not deliver, at most a page of them.
func (a *API) Undelivered(ctx context.Context, account string, kinds []string, after, until time.Time) (int, error) {
	p, err := a.page(ctx, request{method: http.MethodGet, path: "/v1/events", account: account, form: url.Values{"limit": {"100"}, "types[]": kinds,
		"delivery_success": {"false"}, "created[gt]": {strconv.FormatInt(after.Unix(), 10)}, "created[lte]": {strconv.FormatInt(until.Unix(), 10)}}})
	return len(p.Data), err
}
