package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"storehub/hq/conformance"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
)

type conformanceCmd struct {
	URL      string        `arg:"" help:"The headquarters to ask, https://…"`
	Code     string        `required:"" placeholder:"CODE" help:"One-time code of a test store that is there for this alone."`
	Currency string        `default:"usd" placeholder:"usd" help:"Currency of the test payments: that of the store's country."`
	Patience time.Duration `default:"90s" placeholder:"90s" help:"How long an outcome may take."`
	Format   string        `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it does.
func (conformanceCmd) Help() string {
	return "Asks a headquarters everything that a hub asks, and some of what a hub must not: for a backend of your own\n" +
		"that speaks hq/openapi.json. It needs a store of mode test without another hub: it enrols as its hub,\n" +
		"replaces its tills, registers Stripe's simulated reader, takes, captures and refunds test payments, and leaves the\n" +
		"finding hub_duplicated. Of a store of mode live the code is spent, and nothing else is done.\n" +
		"Exit code 1: something was answered wrongly, or could not be told.\n\n" +
		"Example:\n\n  hq conformance https://hq.example.com --code RX7K-2M9P"
}

// Run asks, and tells each answer as it comes.
func (c *conformanceCmd) Run(a *app) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return cli.Usage("write it as https://hq.example.com", "read arguments: %q is no URL of a headquarters", c.URL)
	}
	if c.Patience <= 0 {
		return cli.Usage("write it as 90s", "read arguments: patience %s is too short", c.Patience)
	}
	target := conformance.Target{URL: strings.TrimRight(c.URL, "/"), Code: c.Code, Currency: strings.ToLower(c.Currency),
		Patience: c.Patience, Version: buildinfo.Version()}
	tell := func(r conformance.Result) { writeResult(a.stdout, r) }
	if c.Format == "json" {
		tell = nil
	}
	report, err := conformance.Run(a.ctx, target, tell)
	switch {
	case errors.Is(err, conformance.ErrLive):
		return cli.Usage("add a store with a test Location: hq store add --mode test", "ask headquarters: %w", err)
	case err != nil:
		return cli.CouldNot("is the URL right, and does headquarters run?", "ask headquarters %s: %w", target.URL, err)
	case c.Format == "json":
		err = writeJSON(a.stdout, report)
	default:
		err = writeSum(a.stdout, report)
	}
	if err == nil && !report.Conforms() {
		err = cli.SomethingWrong
	}
	return err
}

func writeResult(w io.Writer, r conformance.Result) {
	fmt.Fprintf(w, "%-8s%-20s%s\n", r.State, r.Name, r.Demand)
	if r.Detail != "" {
		fmt.Fprintf(w, "%8s%s\n", "", r.Detail)
	}
}

func writeSum(w io.Writer, report conformance.Report) error {
	n := map[conformance.State]int{}
	for _, r := range report.Results {
		n[r.State]++
	}
	_, err := fmt.Fprintf(w, "\n%s, store %s: %d passed, %d failed, %d not known, %d skipped\n", report.URL, report.Store,
		n[conformance.Pass], n[conformance.Fail], n[conformance.Unknown], n[conformance.Skip])
	return err
}
