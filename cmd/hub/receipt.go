package main

import (
	"fmt"
	"strings"

	"storehub/doors"
	"storehub/internal/cli"
)

type receiptCmd struct {
	PaymentIntent string `arg:"" placeholder:"PAYMENT_INTENT" help:"pi_…"`
	Format        string `enum:"text,escpos,json" default:"text" help:"text, escpos (bytes for a printer) or json."`
}

// Help is an example.
func (receiptCmd) Help() string {
	return `What card schemes want on paper, as Stripe tells it now: the running hub asks by way of
headquarters, and headquarters keeps a copy, as of each receipt that a till prints.

Exit: 0 it is there, 1 this store has no such receipt, 2 wrong usage, 3 could not run.

Examples:

  hub receipt pi_3PqXyz
  hub receipt pi_3PqXyz --format escpos > /dev/usb/lp0`
}

// Run shows it.
func (c *receiptCmd) Run(a *app) error {
	if !strings.HasPrefix(c.PaymentIntent, "pi_") {
		return cli.Usage("hub receipt --help", "read arguments: %q is not a PaymentIntent's id, pi_…", c.PaymentIntent)
	}
	admin, err := a.dial()
	if err != nil {
		return err
	}
	r, err := admin.Receipt(a.ctx, c.PaymentIntent)
	if err != nil {
		return err
	}
	return writeReceipt(a, c.Format, r)
}

func writeReceipt(a *app, format string, r doors.ReceiptFields) (err error) {
	switch format {
	case "json":
		return writeJSON(a.stdout, r)
	case "escpos":
		_, err = a.stdout.Write(r.ESCPOS)
		return err
	}
	if _, err = fmt.Fprintln(a.stdout, strings.TrimRight(r.Text, "\n")); err == nil && len(r.Missing) > 0 {
		_, err = fmt.Fprintf(a.stderr, "Stripe has not told: %s\n", strings.Join(r.Missing, ", "))
	}
	return err
}
