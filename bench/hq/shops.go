package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/postgres"
)

// shop is a store with its hub's credential.
type shop struct {
	ID, Location, Credential string
}

// enrol records n stores with a hub each, as `hq store add` and `hub enroll` do. The
// first of them have a Location at the sandbox.
func (b *bench) enrol(ctx context.Context, web *http.Client, n, located int) ([]shop, error) {
	log := slog.New(slog.DiscardHandler)
	engine, err := postgres.Open(ctx, b.base.Database, log)
	if err != nil {
		return nil, err
	}
	office, err := hq.NewServer(hq.Options{Engine: engine, Log: log}) // without a key: Stripe is not asked
	if err != nil {
		return nil, err
	}
	local := &http.Client{Transport: hq.NewLocal(office)}
	shops := make([]shop, n)
	var g errgroup.Group
	g.SetLimit(4) // each looks at tables that are still small, and meets the others
	for i := range shops {
		g.Go(func() error {
			s := &shops[i]
			s.ID, s.Location = fmt.Sprintf("%05d", i), fmt.Sprintf("tml_bench%05d", i)
			if i < located {
				var at struct{ ID string }
				const address = "&address[line1]=1+Street&address[city]=San+Francisco&address[state]=CA&address[postal_code]=94110&address[country]=US"
				if err := b.askStripe(ctx, web, b.base.Stripe, "/v1/terminal/locations", "display_name=Shop"+address, &at); err != nil {
					return err
				}
				s.Location = at.ID
			}
			code, _, err := office.AddStore(ctx, hq.Store{ID: s.ID, Location: s.Location, Mode: doors.Test})
			if err != nil {
				return err
			}
			c := &hq.Client{URL: "http://hq", HTTP: local, Version: "bench"}
			e, err := c.Enrol(ctx, hq.EnrolRequest{Code: code, Fingerprint: "machine " + s.ID, Version: "bench"})
			s.Credential = e.Credential
			return err
		})
	}
	err = g.Wait()
	if err := office.Close(); err != nil {
		return nil, err
	}
	return shops, err
}

// client is the shop's hub's end.
func (s shop) client(base string, web *http.Client) *hq.Client {
	return &hq.Client{URL: base, HTTP: web, Version: "bench", Run: "1", Credential: func() string { return s.Credential }}
}

// till is one of a shop's.
func till(i int) doors.Till {
	return doors.Till{Name: fmt.Sprintf("till %d", i), Scope: doors.ScopePOS, Mode: doors.Test}
}

// connections keeps as many open as ask at once.
func connections(n int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n}}
}
