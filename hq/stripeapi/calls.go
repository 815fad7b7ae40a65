package stripeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"storehub/doors"
)

// target is where a passed-through call goes. A %s in the path takes the
// parameter named id.
type target struct {
	method, path, id string
}

var targets = map[doors.Call]target{
	doors.CreatePaymentIntent:   {http.MethodPost, "/v1/payment_intents", ""},
	doors.RetrievePaymentIntent: {http.MethodGet, "/v1/payment_intents/%s", "payment_intent"},
	doors.UpdatePaymentIntent:   {http.MethodPost, "/v1/payment_intents/%s", "payment_intent"},
	doors.CreateSetupIntent:     {http.MethodPost, "/v1/setup_intents", ""},
	doors.CreateLocation:        {http.MethodPost, "/v1/terminal/locations", ""},
	doors.RegisterReader:        {http.MethodPost, "/v1/terminal/readers", ""},
	doors.RetrieveReader:        {http.MethodGet, "/v1/terminal/readers/%s", "reader"},
	doors.ProcessPaymentIntent:  {http.MethodPost, "/v1/terminal/readers/%s/process_payment_intent", "reader"},
	doors.CancelAction:          {http.MethodPost, "/v1/terminal/readers/%s/cancel_action", "reader"},
	doors.RefundPayment:         {http.MethodPost, "/v1/terminal/readers/%s/refund_payment", "reader"},
	doors.SetReaderDisplay:      {http.MethodPost, "/v1/terminal/readers/%s/set_reader_display", "reader"},
	doors.PresentPaymentMethod:  {http.MethodPost, "/v1/test_helpers/terminal/readers/%s/present_payment_method", "reader"},
}

// Call performs one of the passed-through calls. params have been checked.
func (a *API) Call(ctx context.Context, account string, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	switch c {
	case doors.ListReaders:
		list, err := a.Readers(ctx, account, params.Get("location"))
		return bareArray(list), err
	case doors.ListLocations:
		return a.locations(ctx, account, params["location"])
	case doors.AttachPaymentMethod:
		return a.attach(ctx, account, key, params.Get("payment_method"))
	}
	t, ok := targets[c]
	if !ok {
		return nil, fmt.Errorf("ask Stripe: there is no call %q", c)
	}
	form := maps.Clone(params)
	path := t.path
	if t.id != "" {
		path = fmt.Sprintf(t.path, url.PathEscape(params.Get(t.id)))
		form.Del(t.id)
	}
	return a.do(ctx, request{method: t.method, path: path, account: account, version: a.version, key: key, form: form})
}

// locations reads each Location by its id and returns a bare array.
func (a *API) locations(ctx context.Context, account string, ids []string) (json.RawMessage, error) {
	list := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		b, err := a.do(ctx, request{method: http.MethodGet, path: "/v1/terminal/locations/" + url.PathEscape(id), account: account, version: a.version})
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return bareArray(list), nil
}

// exampleCustomer is who the reference backend attaches cards to.
const exampleCustomer = "example@test.com"

// attach gives the payment method to the example customer, who is made when he
// is not there.
func (a *API) attach(ctx context.Context, account, key, method string) (json.RawMessage, error) {
	b, err := a.do(ctx, request{method: http.MethodGet, path: "/v1/customers", account: account,
		form: url.Values{"email": {exampleCustomer}, "limit": {"1"}}})
	if err != nil {
		return nil, err
	}
	var found struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &found); err != nil {
		return nil, fmt.Errorf("read Stripe's customers: %w", err)
	}
	var customer struct {
		ID string `json:"id"`
	}
	if len(found.Data) > 0 {
		customer.ID = found.Data[0].ID
	} else {
		b, err := a.do(ctx, request{method: http.MethodPost, path: "/v1/customers", account: account, key: key + "-customer",
			form: url.Values{"email": {exampleCustomer}}})
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &customer); err != nil {
			return nil, fmt.Errorf("read Stripe's customer: %w", err)
		}
	}
	return a.do(ctx, request{method: http.MethodPost, path: "/v1/payment_methods/" + url.PathEscape(method) + "/attach", account: account,
		version: a.version, key: key, form: url.Values{"customer": {customer.ID}, "expand[]": {"customer"}}})
}

// Readers lists the Location's readers, all pages, each as Stripe sent it.
func (a *API) Readers(ctx context.Context, account, location string) ([]json.RawMessage, error) {
	return a.pages(ctx, request{method: http.MethodGet, path: "/v1/terminal/readers", account: account, version: a.version,
		form: url.Values{"location": {location}}})
}

// maxPages bounds a listing: ten thousand objects are more than any store has.
const maxPages = 100

// pages reads a listing to its end.
func (a *API) pages(ctx context.Context, r request) ([]json.RawMessage, error) {
	list := []json.RawMessage{}
	if r.form = maps.Clone(r.form); r.form == nil {
		r.form = url.Values{}
	}
	r.form.Set("limit", "100")
	for range maxPages {
		p, err := a.page(ctx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, p.Data...)
		if !p.HasMore || len(p.Data) == 0 {
			return list, nil
		}
		last, err := idOf(p.Data[len(p.Data)-1])
		if err != nil {
			return nil, err
		}
		r.form.Set("starting_after", last)
	}
	return nil, fmt.Errorf("list %s: it does not end", r.path)
}

type page struct {
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
}

func (a *API) page(ctx context.Context, r request) (page, error) {
	var p page
	b, err := a.do(ctx, r)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read Stripe's list of %s: %w", r.path, err)
	}
	return p, nil
}

func idOf(object json.RawMessage) (string, error) {
	var o struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(object, &o); err != nil || o.ID == "" {
		return "", fmt.Errorf("read Stripe's list: an object has no id")
	}
	return o.ID, nil
}

// bareArray joins objects without touching their bytes.
func bareArray(list []json.RawMessage) json.RawMessage {
	parts := make([][]byte, len(list))
	for i, o := range list {
		parts[i] = o
	}
	out := append([]byte{'['}, bytes.Join(parts, []byte{','})...)
	return append(out, ']')
}
