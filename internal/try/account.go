package try

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// account is what the shop has at Stripe.
type account struct {
	Location string
	Readers  []string // by lane
}

// demoShop is its place.
var demoShop = url.Values{
	"display_name": {"Demo shop"}, "address[line1]": {"1 Market Street"}, "address[city]": {"San Francisco"},
	"address[state]": {"CA"}, "address[postal_code]": {"94105"}, "address[country]": {"US"},
}

// codes register the three readers of the demo shop.
var codes = []struct{ code, label string }{
	{"simulated-wpe", "Lane 1"},
	{"simulated-s700", "Lane 2"},
	{"simulated-s710", "Lane 3"},
}

// openAccount finds the shop at Stripe, or furnishes it: one location, three readers.
func openAccount(ctx context.Context, base, key string) (account, error) {
	s := stripe{base: base, key: key, http: &http.Client{Timeout: 10 * time.Second}}
	var a account
	var locations, readers struct{ Data []struct{ ID, Label string } }
	if err := s.do(ctx, http.MethodGet, "/v1/terminal/locations", nil, &locations); err != nil {
		return a, err
	}
	if len(locations.Data) > 0 {
		a.Location = locations.Data[0].ID
	} else {
		var l struct{ ID string }
		if err := s.do(ctx, http.MethodPost, "/v1/terminal/locations", demoShop, &l); err != nil {
			return a, err
		}
		a.Location = l.ID
	}
	if err := s.do(ctx, http.MethodGet, "/v1/terminal/readers?location="+a.Location, nil, &readers); err != nil {
		return a, err
	}
	slices.SortFunc(readers.Data, func(a, b struct{ ID, Label string }) int { return strings.Compare(a.Label, b.Label) })
	for _, r := range readers.Data {
		a.Readers = append(a.Readers, r.ID)
	}
	for _, c := range codes[min(len(a.Readers), len(codes)):] {
		var r struct{ ID string }
		if err := s.do(ctx, http.MethodPost, "/v1/terminal/readers", url.Values{
			"registration_code": {c.code}, "label": {c.label}, "location": {a.Location},
		}, &r); err != nil {
			return a, err
		}
		a.Readers = append(a.Readers, r.ID)
	}
	return a, nil
}

// Readers are the ids of the shop's readers at Stripe, by lane.
func (s *System) Readers() []string { return s.account.Readers }

// Location is the id of the shop at Stripe.
func (s *System) Location() string { return s.account.Location }

// stripe speaks to the sandbox as the account's owner.
type stripe struct {
	base, key string
	http      *http.Client
}

func (s stripe) do(ctx context.Context, method, path string, form url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refusal struct{ Error struct{ Message string } }
		_ = json.NewDecoder(resp.Body).Decode(&refusal)
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, refusal.Error.Message)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
