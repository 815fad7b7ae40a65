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
	return `One zip file for whoever helps: a fresh diagnosis with its facts, 14 days of history, the end of
the log, the configuration, and what a running hub says of its status, metrics, readers, tills
and checklist. It holds addresses and names of the shop's machines. It holds no payment and
nothing about a customer; whatever looks like a secret is taken out.

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
	text, _ := os.ReadFile(a.configFile()) // without it there is nothing it names
	secrets := newRedactor(cfg, text)
	content, err := archive(time.Now(), exhibits(ctx, a, cfg, secrets, func(t netcheck.Targets) netcheck.Report {
		t.Progress = progress
		return netcheck.Run(ctx, t)
	}), secrets)
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

// consoleBundle is what the console hands out: the bundle of a hub that runs, with its last
// look at the network. file is its configuration's.
func consoleBundle(cfg hub.Config, file string) func(context.Context, *netcheck.Report) ([]byte, error) {
	return func(ctx context.Context, net *netcheck.Report) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		a := &app{ctx: ctx, stdout: io.Discard, stderr: io.Discard, config: file}
		text, _ := os.ReadFile(file) // without it there is nothing it names
		secrets := newRedactor(cfg, text)
		return archive(time.Now(), exhibits(ctx, a, cfg, secrets, func(netcheck.Targets) netcheck.Report {
			if net == nil {
				return netcheck.Report{}
			}
			return *net
		}), secrets)
	}
}

// exhibit is one file of the bundle.
type exhibit struct {
	name  string
	value any // []byte is text, anything else JSON
}

// pastFacts is how many full records of the history are packed as facts.
const pastFacts = 20

// exhibits are all that can be had; what could not is said in missing.json.
func exhibits(ctx context.Context, a *app, cfg hub.Config, secrets *redactor, check func(netcheck.Targets) netcheck.Report) []exhibit {
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
	file := func(name, path string) {
		text, err := os.ReadFile(path)
		add(name, text, err)
	}
	file("hub.yaml", a.configFile()) // names files of secrets, never holds one
	file("hub.log", hub.LogFile(cfg.StateDir))
	if older := hub.LogFile(cfg.StateDir) + ".1"; exists(older) {
		file("hub.log.1", older)
	}

	facts, past := askHub(ctx, a, cfg)
	in := diagnosisInput(cfg, facts, check(targets(cfg, facts, nil)))
	report := diagnostics.Diagnose(in)
	remember(&report, past)
	report = clean(secrets, report) // before lines are broken
	add("diagnosis.json", report, nil)
	text := func(name string, write func(io.Writer) error) {
		var b bytes.Buffer
		err := write(&b)
		add(name, b.Bytes(), err)
	}
	text("diagnosis.txt", func(w io.Writer) error { return diagnostics.WriteText(w, report, diagnostics.TextOptions{}) })
	add("facts.json", factsOf(in), nil)

	now := time.Now()
	if h, err := pastOf(ctx, cfg.StateDir, now.AddDate(0, 0, -14), now); err != nil {
		missing["history.json"] = err.Error()
	} else {
		h = clean(secrets, h)
		add("history.json", h, nil)
		text("history.txt", func(w io.Writer) error {
			return diagnostics.WriteHistoryText(w, h, diagnostics.TextOptions{Zone: time.Local})
		})
	}
	then, err := hub.PastInputs(cfg.StateDir, pastFacts)
	for _, in := range then {
		add("facts/"+in.At.UTC().Format("2006-01-02T15-04-05.000Z")+".json", factsOf(in), nil)
	}
	if err != nil {
		missing["facts/"] = err.Error()
	}

	admin, err := hub.DialAdmin(cfg.StateDir)
	if err != nil {
		add("status.json", nil, err)
	} else {
		status, err := admin.Status(ctx)
		add("status.json", status, err)
		metrics, err := admin.Metrics(ctx)
		add("metrics.txt", metrics, err)
		seen, err := admin.Diagnosis(ctx)
		add("diagnosis-of-the-hub.json", seen, err)
		tills, err := admin.Tills(ctx)
		add("tills.json", tills, err)
		checklist, err := admin.Checklist(ctx)
		add("checklist.json", checklist, err)
	}
	return append(list, exhibit{"missing.json", missing})
}

// factsOf is a facts file, as `hub diagnose --offline-facts` reads it.
func factsOf(in diagnostics.Input) json.RawMessage {
	var b bytes.Buffer
	if err := diagnostics.SaveFacts(&b, in); err != nil {
		return json.RawMessage(`{}`) // it holds nothing that JSON cannot say
	}
	return b.Bytes()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// archive packs the exhibits, in their order, without secrets.
func archive(now time.Time, list []exhibit, secrets *redactor) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range list {
		content, text := e.value.([]byte)
		if text {
			content = []byte(secrets.text(string(bytes.ToValidUTF8(content, []byte("?")))))
		} else {
			var raw bytes.Buffer
			if err := writeJSON(&raw, e.value); err != nil {
				return nil, errors.Join(err, z.Close())
			}
			content = secrets.document(raw.Bytes())
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: "storehub-bundle/" + e.name, Method: zip.Deflate, Modified: now})
		if err == nil {
			_, err = w.Write(content)
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
