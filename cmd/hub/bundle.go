package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/netcheck"
)

type bundleCmd struct {
	Output string `placeholder:"FILE" help:"Where to write it; storehub-bundle.zip unless given."`
}

// Help is what it holds.
func (bundleCmd) Help() string {
	return `One zip file for whoever helps: a fresh diagnosis with its facts, the configuration, and
what a running hub says of its status, readers, tills and checklist. It holds addresses and
names of the shop's machines. It holds no secret, no payment and nothing about a customer.

Exit: 0 written, 3 could not run.

Example:

  hub bundle --output bundle.zip`
}

// Run gathers and writes.
func (c *bundleCmd) Run(a *app) error {
	cfg, err := a.loadIfThere()
	if err != nil {
		return err
	}
	file := c.Output
	if file == "" {
		file = "storehub-bundle.zip"
	}
	f, err := beginFile(file, 0o600)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(a.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	progress, done := a.progress()
	content, err := archive(time.Now(), exhibits(ctx, a, cfg, func(t netcheck.Targets) netcheck.Report {
		t.Progress = progress
		return netcheck.Run(ctx, t)
	}))
	done()
	if err != nil {
		f.abandon()
		return fmt.Errorf("write bundle: %w", err)
	}
	if err := f.commit(content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s written. Look into it before you give it away: it names the machines of this shop.\n", file)
	return err
}

// exhibit is one file of the bundle.
type exhibit struct {
	name  string
	value any // []byte as it is, anything else as JSON
}

// exhibits are all that can be had; what could not is said in missing.json.
func exhibits(ctx context.Context, a *app, cfg hub.Config, check func(netcheck.Targets) netcheck.Report) []exhibit {
	missing := map[string]string{}
	list := []exhibit{{"version.json", map[string]string{
		"version": buildinfo.Version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
	}}}
	add := func(name string, value any, err error) {
		if err != nil {
			missing[name] = err.Error()
			return
		}
		list = append(list, exhibit{name, value})
	}
	text, err := os.ReadFile(a.configFile())
	add("hub.yaml", text, err) // names files of secrets, never holds one

	facts, past := askHub(ctx, a, cfg)
	in := diagnosisInput(cfg, facts, check(targets(cfg, facts, nil)))
	report := diagnostics.Diagnose(in)
	remember(&report, past)
	add("diagnosis.json", report, nil)
	var b bytes.Buffer
	add("diagnosis.txt", &b, diagnostics.WriteText(&b, report, diagnostics.TextOptions{}))
	var saved bytes.Buffer
	add("facts.json", &saved, diagnostics.SaveFacts(&saved, in))

	admin, err := hub.DialAdmin(cfg.StateDir)
	if err != nil {
		add("status.json", nil, err)
	} else {
		status, err := admin.Status(ctx)
		add("status.json", status, err)
		seen, err := admin.Diagnosis(ctx)
		add("diagnosis-of-the-hub.json", seen, err)
		tills, err := admin.Tills(ctx)
		add("tills.json", tills, err)
		checklist, err := admin.Checklist(ctx)
		add("checklist.json", checklist, err)
	}
	return append(list, exhibit{"missing.json", missing})
}

// archive packs the exhibits, in their order.
func archive(now time.Time, list []exhibit) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range list {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "storehub-bundle/" + e.name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return nil, err
		}
		switch v := e.value.(type) {
		case []byte:
			_, err = w.Write(v)
		case io.Reader:
			_, err = io.Copy(w, v)
		default:
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			err = enc.Encode(v)
		}
		if err != nil {
			return nil, errors.Join(err, z.Close())
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
