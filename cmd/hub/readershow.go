package main

import (
	"fmt"
	"io"
	"strings"

	"storehub/hub"
	"storehub/internal/cli"
	"storehub/readers"
)

type readersShowCmd struct {
	Reader string `arg:"" help:"Its serial number, or tmr_…"`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help says what is in it, and gives an example.
func (readersShowCmd) Help() string {
	return `How it stands and why, who holds it, its software and what is known against that, and
whether it would take a payment without a line if that died now.

Example:

  hub readers show WSC513103004321`
}

// Run shows it.
func (c *readersShowCmd) Run(a *app) error {
	admin, err := a.dial()
	if err != nil {
		return err
	}
	list, err := admin.Readers(a.ctx)
	if err != nil {
		return err
	}
	for _, r := range list.Readers {
		if r.Serial != c.Reader && r.ID != c.Reader {
			continue
		}
		if c.Format == "json" {
			return writeJSON(a.stdout, r)
		}
		return writeReader(a.stdout, r)
	}
	return cli.Usage("hub readers list", "show reader: there is no reader %q here", c.Reader)
}

// holderWords say who has hold of a reader.
func holderWords(r readers.Reader) string {
	switch r.Holder {
	case readers.HeldBySDK:
		return "the SDK of till " + r.HeldBy
	case readers.HeldByServerDriven:
		return "a server-driven action, since " + moment(r.BusySince)
	case readers.HeldByNobody:
		return "nobody"
	}
	return "not known: no till reports it"
}

// writeReader says all that is known of a reader; what is not known is left out, or
// said to be so where somebody would look for it.
func writeReader(w io.Writer, r hub.TillReader) error {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("label", r.Label)
	add("serial", r.Serial)
	add("id", r.ID)
	add("type", r.DeviceType)
	add("tills", strings.Join(r.Lanes, ", "))
	add("state", strings.TrimSuffix(r.State+", "+r.Why, ", "))
	add("because", r.Reason)
	add("held by", holderWords(r.Reader))
	add("address", address(r.Reader))
	if r.StripeAddr.IsValid() {
		add("at Stripe", r.StripeAddr.String())
	}
	if r.PreviousAddr.IsValid() {
		add("moved", fmt.Sprintf("from %s on %s", r.PreviousAddr, moment(r.AddressChangedAt)))
	}
	add("hardware", r.MAC)
	if !r.LastSeen.IsZero() {
		add("last seen", moment(r.LastSeen))
	}
	if r.Battery != nil {
		add("battery", fmt.Sprintf("%.0f %%", *r.Battery*100))
	}
	if r.Updating != nil {
		add("updating", fmt.Sprintf("%.0f %%; do not leave the till's update screen, and leave the reader switched on", *r.Updating*100))
	}
	add("software", r.Software)
	add("newer here", r.Newer)
	add("till's SDK", r.SDK)
	for _, t := range r.Troubles {
		add("known bad", fmt.Sprintf("%s. %s (%s)", t.Trouble, t.Do, t.Source))
	}
	add("offline", map[readers.Tri]string{readers.Yes: "it would take a payment without a line now", readers.No: "it would take no payment without a line now",
		readers.Unknown: "whether it would take a payment without a line now is not known"}[r.Offline.Ready])
	for _, c := range r.Offline.Checks {
		add("  "+c.Check, map[readers.Tri]string{readers.Yes: "yes: ", readers.No: "no: ", readers.Unknown: "unknown: "}[c.Met]+c.Says)
	}
	return table(w, nil, rows)
}
