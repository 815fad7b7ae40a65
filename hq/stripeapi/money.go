package stripeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"storehub/hq"
)

// Capture captures an authorised intent; nil is all of it.
func (a *API) Capture(ctx context.Context, account, intent string, amount *int64, key, op string) (hq.Intent, error) {
	form := url.Values{"metadata[storehub_op]": {op}, "expand[]": {"latest_charge"}}
	if amount != nil {
		form.Set("amount_to_capture", strconv.FormatInt(*amount, 10))
	}
	return a.intent(ctx, request{method: http.MethodPost, path: intentPath(intent) + "/capture", account: account, key: key, form: form})
}

// Cancel cancels an intent. Stripe takes no metadata there: the status tells
// what became of it.
func (a *API) Cancel(ctx context.Context, account, intent, reason, key, _ string) (hq.Intent, error) {
	form := url.Values{"expand[]": {"latest_charge"}}
	if reason != "" {
		form.Set("cancellation_reason", reason)
	}
	return a.intent(ctx, request{method: http.MethodPost, path: intentPath(intent) + "/cancel", account: account, key: key, form: form})
}

// Intent reads an intent with its latest charge.
func (a *API) Intent(ctx context.Context, account, intent string) (hq.Intent, error) {
	return a.intent(ctx, request{method: http.MethodGet, path: intentPath(intent), account: account, form: url.Values{"expand[]": {"latest_charge"}}})
}

// listSpan keeps one listing within maxPages: 10,000 payments in four hours are
// more than an account of a thousand shops has.
const listSpan = 4 * time.Hour

// Intents lists what was created from one instant to before another, each with
// its latest charge.
func (a *API) Intents(ctx context.Context, account string, from, to time.Time) ([]hq.Intent, error) {
	var list []hq.Intent
	for ; from.Before(to); from = from.Add(listSpan) {
		until := from.Add(listSpan)
		if until.After(to) {
			until = to
		}
		raws, err := a.pages(ctx, request{method: http.MethodGet, path: "/v1/payment_intents", account: account, version: versionWithLocation,
			form: url.Values{"created[gte]": {strconv.FormatInt(from.Unix(), 10)}, "created[lt]": {strconv.FormatInt(until.Unix(), 10)}, "expand[]": {"data.latest_charge"}}})
		if err != nil {
			return nil, err
		}
		for _, b := range raws {
			in, err := decodeIntent(b)
			if err != nil {
				return nil, err
			}
			list = append(list, in)
		}
	}
	return list, nil
}

// IntentsByRef finds the intents that carry the reference. Search lags behind and
// shows old states, so each is read anew.
func (a *API) IntentsByRef(ctx context.Context, account, ref string) ([]hq.Intent, error) {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(ref)
	p, err := a.page(ctx, request{method: http.MethodGet, path: "/v1/payment_intents/search", account: account,
		form: url.Values{"query": {"metadata['storehub_ref']:'" + quoted + "'"}, "limit": {"100"}}})
	if err != nil {
		return nil, err
	}
	var list []hq.Intent
	for i := len(p.Data) - 1; i >= 0; i-- { // newest first, as Stripe sends them
		id, err := idOf(p.Data[i])
		if err != nil {
			return nil, err
		}
		in, err := a.Intent(ctx, account, id)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}

func intentPath(id string) string { return "/v1/payment_intents/" + url.PathEscape(id) }

func (a *API) intent(ctx context.Context, r request) (hq.Intent, error) {
	r.version = versionWithLocation
	b, err := a.do(ctx, r)
	if err != nil {
		return hq.Intent{}, err
	}
	return decodeIntent(b)
}

// decodeIntent reads what headquarters needs from Stripe's own bytes: stripe-go
// drops fields that are newer than itself.
func decodeIntent(b json.RawMessage) (hq.Intent, error) {
	type method struct {
		CaptureBefore int64  `json:"capture_before"`
		Location      string `json:"location"`
	}
	var o struct {
		ID            string            `json:"id"`
		Status        string            `json:"status"`
		Amount        int64             `json:"amount"`
		Received      int64             `json:"amount_received"`
		Capturable    int64             `json:"amount_capturable"`
		Currency      string            `json:"currency"`
		CaptureMethod string            `json:"capture_method"`
		Metadata      map[string]string `json:"metadata"`
		Charge        json.RawMessage   `json:"latest_charge"`
		Created       int64             `json:"created"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return hq.Intent{}, fmt.Errorf("read Stripe's payment intent: %w", err)
	}
	if o.ID == "" || o.Status == "" {
		return hq.Intent{}, fmt.Errorf("read Stripe's payment intent: it has no id or status")
	}
	in := hq.Intent{ID: o.ID, Status: o.Status, Amount: o.Amount, Received: o.Received, Capturable: o.Capturable,
		Currency: o.Currency, CaptureMethod: o.CaptureMethod, Metadata: o.Metadata, Created: time.Unix(o.Created, 0).UTC(), Raw: b}
	var c struct {
		ID       string `json:"id"`
		Refunded int64  `json:"amount_refunded"`
		Details  struct {
			Type        string  `json:"type"`
			CardPresent *method `json:"card_present"`
			Interac     *method `json:"interac_present"`
		} `json:"payment_method_details"`
	}
	switch {
	case len(o.Charge) == 0 || string(o.Charge) == "null":
		return in, nil
	case o.Charge[0] == '"':
		return in, json.Unmarshal(o.Charge, &in.LatestCharge)
	}
	if err := json.Unmarshal(o.Charge, &c); err != nil {
		return hq.Intent{}, fmt.Errorf("read Stripe's charge: %w", err)
	}
	in.LatestCharge, in.AmountRefunded, in.MethodType = c.ID, c.Refunded, c.Details.Type
	for _, m := range []*method{c.Details.CardPresent, c.Details.Interac} {
		if m == nil {
			continue
		}
		in.Location = m.Location
		if m.CaptureBefore > 0 {
			in.CaptureBefore = time.Unix(m.CaptureBefore, 0).UTC()
		}
	}
	return in, nil
}

// Refund gives money back; nil is all that is left.
func (a *API) Refund(ctx context.Context, account, intent string, amount *int64, key, op string) (hq.RefundObject, error) {
	form := url.Values{"payment_intent": {intent}, "metadata[storehub_op]": {op}}
	if amount != nil {
		form.Set("amount", strconv.FormatInt(*amount, 10))
	}
	b, err := a.do(ctx, request{method: http.MethodPost, path: "/v1/refunds", account: account, key: key, form: form})
	if err != nil {
		return hq.RefundObject{}, err
	}
	return decodeRefund(b)
}

// MailReceipt sets the address of a charge's receipt; Stripe then sends one there, but
// not in test mode. The operation's id is kept with the charge.
func (a *API) MailReceipt(ctx context.Context, account, charge, email, key, op string) error {
	_, err := a.do(ctx, request{method: http.MethodPost, path: "/v1/charges/" + url.PathEscape(charge), account: account, key: key,
		form: url.Values{"receipt_email": {email}, "metadata[" + hq.ReceiptMark + "]": {op}}})
	return err
}

// Refunds lists all refunds of an intent, newest first.
func (a *API) Refunds(ctx context.Context, account, intent string) ([]hq.RefundObject, error) {
	raws, err := a.pages(ctx, request{method: http.MethodGet, path: "/v1/refunds", account: account, form: url.Values{"payment_intent": {intent}}})
	if err != nil {
		return nil, err
	}
	list := make([]hq.RefundObject, len(raws))
	for i, b := range raws {
		if list[i], err = decodeRefund(b); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func decodeRefund(b json.RawMessage) (hq.RefundObject, error) {
	var o struct {
		ID       string            `json:"id"`
		Status   string            `json:"status"`
		Amount   int64             `json:"amount"`
		Currency string            `json:"currency"`
		Reason   string            `json:"failure_reason"`
		Metadata map[string]string `json:"metadata"`
		Created  int64             `json:"created"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return hq.RefundObject{}, fmt.Errorf("read Stripe's refund: %w", err)
	}
	if o.ID == "" {
		return hq.RefundObject{}, fmt.Errorf("read Stripe's refund: it has no id")
	}
	return hq.RefundObject{ID: o.ID, Status: o.Status, Amount: o.Amount, Currency: o.Currency, Reason: o.Reason,
		Metadata: o.Metadata, Created: time.Unix(o.Created, 0).UTC(), Raw: b}, nil
}
