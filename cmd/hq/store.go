package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/cli"
)

type storeCmd struct {
	Add  storeAddCmd  `cmd:"" help:"Record a store and print the one-time code for its hub."`
	List storeListCmd `cmd:"" help:"List the stores."`

	Import    storeImportCmd    `cmd:"" help:"Take in what a hub could not send, as it was sealed by hub queue export."`
	Move      storeMoveCmd      `cmd:"" help:"Give a store another Location, account or mode."`
	Remove    storeRemoveCmd    `cmd:"" help:"Take a store out of service."`
	Configure storeConfigureCmd `cmd:"" help:"Change a store's record and policies, or revoke its hub."`
}

type storeAddCmd struct {
	whoFlag
	ID       string `required:"" placeholder:"ID" help:"The store's id, yours to choose."`
	Location string `xor:"location" placeholder:"tml_…" help:"Its Terminal Location at Stripe."`
	Create   string `name:"create-location" xor:"location" placeholder:"FILE" type:"existingfile" help:"Make the Location at Stripe from this file."`
	Mode     string `enum:"live,test," default:"" help:"live or test; the key's, if left out."`
	Account  string `placeholder:"acct_…" help:"Connected account, if the store has its own."`
	Name     string `help:"What people call it."`
	TimeZone string `placeholder:"ZONE" help:"IANA name, such as Europe/Berlin."`
	DayEnds  string `placeholder:"HH:MM" help:"When the shop's day ends, 04:00 if left out."`
	Trust    string `name:"trust-metadata" placeholder:"KEY" help:"Metadata key in which the store's own backend writes the store's id into its payments."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (storeAddCmd) Help() string {
	return "Works while headquarters runs. For a store that is recorded already it prints a new code, for a new machine.\n\n" +
		"A file for --create-location:\n\n  display_name: High Street\n  address:\n    line1: 5 High Street\n    city: New York\n" +
		"    state: NY\n    postal_code: \"10001\"\n    country: US\n\n" +
		"Examples:\n\n  hq store add --id 0412 --location tml_… --time-zone America/New_York\n" +
		"  hq store add --id 0413 --create-location high-street.yaml --time-zone America/New_York"
}

// Run records the store on the database itself.
func (c *storeAddCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	mode := doors.Mode(c.Mode)
	if mode == "" {
		key, err := stripeapi.ReadKey(cfg.Stripe.APIKeyFile)
		if err != nil {
			return cli.Usage("give --mode, or mend stripe.api_key_file", "tell the store's mode: %w", err)
		}
		if mode, err = key.Mode(); err != nil {
			return err
		}
	}
	st := hq.Store{ID: c.ID, Location: c.Location, Mode: mode, Account: c.Account, Name: c.Name, TimeZone: c.TimeZone, DayEnds: c.DayEnds}
	if st.Location, err = c.location(a, st); err != nil {
		return err
	}
	var code string
	var expires time.Time
	err = a.withStores("hq store add --help", func(s *hq.Server) (err error) {
		code, expires, err = s.AddStore(c.acting(a.ctx), st)
		if err == nil && c.Trust != "" {
			err = s.ConfigureStore(c.acting(a.ctx), c.ID, hq.Change{TrustKey: &c.Trust})
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, struct {
			Store     string    `json:"store"`
			Code      string    `json:"code"`
			ExpiresAt time.Time `json:"expires_at"`
		}{c.ID, code, expires})
	}
	url := cmp.Or(cfg.PublicURL, "URL")
	_, err = fmt.Fprintf(a.stdout, "%s\n\ngood once, until %s\nnext, on the store's machine: hub enroll --hq %s --code %s\n",
		code, expires.Local().Format("2006-01-02 15:04"), url, code)
	return err
}

// location is the store's Location, made at Stripe if that was asked for.
func (c *storeAddCmd) location(a *app, st hq.Store) (string, error) {
	const hint = "hq store add --help"
	if c.Create == "" && c.Location == "" {
		return "", cli.Usage(hint, "read arguments: missing flags: --location=tml_… or --create-location=FILE")
	}
	if c.Create == "" {
		return c.Location, nil
	}
	f, err := os.Open(c.Create)
	if err != nil {
		return "", cli.Usage(hint, "read place: %w", err)
	}
	defer f.Close()
	place, err := hq.ParsePlace(f, c.Create)
	if err != nil {
		return "", cli.Usage(hint, "%w", err)
	}
	var id string
	err = a.withStripe(func(s *hq.Server) (err error) {
		id, err = s.CreateLocation(a.ctx, st, place)
		return err
	})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(a.stderr, "made Location %s at Stripe\n", id)
	return id, nil
}

type storeMoveCmd struct {
	whoFlag
	ID       string `required:"" placeholder:"ID" help:"The store."`
	Location string `required:"" placeholder:"tml_…" help:"Its Terminal Location from now on."`
	Account  string `placeholder:"acct_…" help:"Its connected account from now on; none if left out."`
	Mode     string `enum:"live,test," default:"" help:"live or test; as before if left out."`
}

// Help is an example.
func (storeMoveCmd) Help() string {
	return "Payments made at the former Location remain the store's. Another account or mode is refused while\n" +
		"anything is open.\n\nExample:\n\n  hq store move --id 0412 --location tml_…"
}

// Run moves the store.
func (c *storeMoveCmd) Run(a *app) error {
	err := a.withStores("hq store move --help", func(s *hq.Server) error {
		return s.MoveStore(c.acting(a.ctx), hq.Store{ID: c.ID, Location: c.Location, Account: c.Account, Mode: doors.Mode(c.Mode)})
	})
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "Store %s is at %s. Register its readers there.\n", c.ID, c.Location)
	}
	return err
}

type storeRemoveCmd struct {
	whoFlag
	ID string `required:"" placeholder:"ID" help:"The store."`
}

// Help is an example.
func (storeRemoveCmd) Help() string {
	return "Its hub and tills are known no more; its ledger stays. Refused while anything is open.\n\nExample:\n\n  hq store remove --id 0412"
}

// Run removes the store.
func (c *storeRemoveCmd) Run(a *app) error {
	err := a.withStores("hq reconcile --store "+c.ID+" shows what is open", func(s *hq.Server) error { return s.RemoveStore(c.acting(a.ctx), c.ID) })
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "Store %s is out of service.\n", c.ID)
	}
	return err
}

type storeConfigureCmd struct {
	whoFlag
	ID         string  `required:"" placeholder:"ID" help:"The store."`
	Name       *string `help:"What people call it."`
	TimeZone   *string `placeholder:"ZONE" help:"IANA name, such as Europe/Berlin."`
	DayEnds    *string `placeholder:"HH:MM" help:"When the shop's day ends."`
	OverAmount *string `placeholder:"POLICY" help:"When more is to be captured than was authorised: capture_authorised (6 h before it lapses) or hold (a person decides)."`
	Uncaptured *string `placeholder:"POLICY" help:"With an authorisation that no operation names after 30 min: report, capture_with_order or cancel_without_order."`
	Refund     *int64  `name:"refund-limit" placeholder:"AMOUNT" help:"What a till may refund at once without a manager, in minor units (1000 is 10.00); 0: nothing."`
	Trust      *string `name:"trust-metadata" placeholder:"KEY" help:"Metadata key in which the store's own backend writes the store's id; empty: metadata proves nothing."`
	Test       *string `name:"test-location" placeholder:"tml_…" help:"Location in Stripe's test mode at which a live store rehearses, beside its sales; empty: nowhere."`
	Revoke     *string `placeholder:"HOW" help:"End the hub's credential: drain (it may hand over what it promised, held for review) or now."`
}

// Help is examples.
func (storeConfigureCmd) Help() string {
	return "What headquarters has accepted from a revoked hub is still done. A hub that is enrolled anew ends the revocation.\n\n" +
		"Examples:\n\n  hq store configure --id 0412 --time-zone America/Denver --day-ends 03:00\n  hq store configure --id 0412 --test-location tml_…\n  hq store configure --id 0412 --revoke drain"
}

// Run changes the store's record.
func (c *storeConfigureCmd) Run(a *app) error {
	err := a.withStores("hq store configure --help", func(s *hq.Server) error {
		return s.ConfigureStore(c.acting(a.ctx), c.ID, hq.Change{Name: c.Name, TimeZone: c.TimeZone, DayEnds: c.DayEnds,
			OverAmount: c.OverAmount, Uncaptured: c.Uncaptured, TrustKey: c.Trust, RefundLimit: c.Refund, TestLocation: c.Test, Revoke: c.Revoke})
	})
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "Store %s is changed.\n", c.ID)
	}
	return err
}

// onLedger lets do work on the database, beside a running headquarters.
func (a *app) onLedger(do func(*hq.Server) error) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	return a.on(cfg, hq.Options{Database: cfg.Database, SharedStores: cfg.Fleet.SharedStores, Log: slog.New(slog.DiscardHandler)}, do)
}

// withStores is onLedger for a person's act: what is refused is a wrong use, with a hint.
func (a *app) withStores(hint string, do func(*hq.Server) error) error {
	return a.onLedger(func(s *hq.Server) error {
		if err := do(s); err != nil {
			return cli.Usage(hint, "%w", err)
		}
		return nil
	})
}

// withStripe is onLedger with the keys of Stripe's.
func (a *app) withStripe(do func(*hq.Server) error) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	o, err := options(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return a.on(cfg, o, do)
}

// on opens what o says on the configured database, and closes it again.
func (a *app) on(cfg hq.Config, o hq.Options, do func(*hq.Server) error) (err error) {
	if o.PersonalKeys, err = cfg.PersonalKeys(false); err != nil {
		return err
	}
	if o.Engine, err = engine(a.ctx, cfg, o.Log); err != nil {
		return err
	}
	s, err := hq.NewServer(o)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
