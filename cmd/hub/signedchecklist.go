package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/cli"
)

// signed has the running hub state and sign how the store stands.
func (c *checklistCmd) signed(a *app) error {
	if c.Attest != "" || c.Format != "text" && c.Format != "json" {
		return cli.Usage("hub checklist --signed --output FILE", "read arguments: --signed goes with --output alone")
	}
	admin, err := a.dial()
	if err != nil {
		return err
	}
	file, err := admin.SignedChecklist(a.ctx)
	if err != nil {
		return err
	}
	if c.Output != "" {
		return replaceFile(c.Output, file, 0o644)
	}
	_, err = a.stdout.Write(file)
	return err
}

// verify checks a signed checklist, asking nobody.
func (c *checklistCmd) verify(a *app) error {
	if c.File == "" {
		return cli.Usage("hub checklist verify checklist-0412.json", "verify checklist: which file is not said")
	}
	file, err := os.ReadFile(c.File)
	if err != nil {
		return cli.CouldNot("", "verify checklist: %w", err)
	}
	stated, s, err := hub.VerifyChecklist(file, c.HQKey)
	if errors.Is(err, hub.ErrNotSigned) {
		return cli.Wrong("ask the hub for another: hub checklist --signed", "%s: %w", c.File, err)
	}
	if err != nil {
		return err
	}
	known := c.HQKey
	if known == "" {
		if cfg, err := a.loadIfThere(); err == nil {
			known = hub.KnownHeadKey(cfg.StateDir, stated.Store)
		}
		if known != "" && s.Headquarters != nil && s.Headquarters.Key != known {
			return cli.Wrong("ask the hub for another: hub checklist --signed", "%s: verify checklist: another headquarters than that of this hub has signed it", c.File)
		}
	}
	_, err = fmt.Fprint(a.stdout, verifiedText(stated, s, known != ""))
	if err == nil && s.Headquarters == nil {
		err = cli.SomethingWrong
	}
	return err
}

// verifiedText says what the signatures prove.
func verifiedText(stated hub.StatedChecklist, s hub.SignedChecklist, known bool) string {
	n := map[diagnostics.ItemState]int{}
	for _, it := range stated.Items {
		n[it.State]++
	}
	var states []string
	for _, st := range []diagnostics.ItemState{diagnostics.ItemPass, diagnostics.ItemSignedOff, diagnostics.ItemNotApplicable, diagnostics.ItemAttention, diagnostics.ItemUnknown, diagnostics.ItemFail} {
		if n[st] > 0 {
			states = append(states, fmt.Sprintf("%d %s", n[st], strings.ReplaceAll(string(st), "_", " ")))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Store %s (%s), %s: %s\n", printable(stated.Store), printable(string(stated.Mode)), stated.At.UTC().Format(time.RFC3339), strings.Join(states, ", "))
	fmt.Fprintf(&b, "  hub            signed it, key %s\n", stated.Key)
	switch {
	case s.Headquarters == nil:
		fmt.Fprintf(&b, "  headquarters   did not: %s\n", printable(s.Alone))
	case known:
		fmt.Fprintf(&b, "  headquarters   signed it on %s, with the key that is known to be its own\n", s.Headquarters.At.UTC().Format(time.RFC3339))
	default:
		fmt.Fprintf(&b, "  headquarters   signed it on %s, key %s: compare it with headquarters', or give it: --hq-key\n", s.Headquarters.At.UTC().Format(time.RFC3339), s.Headquarters.Key)
	}
	return b.String()
}
