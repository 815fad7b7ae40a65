package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
)

type enrollCmd struct {
	HQ     string `name:"hq" placeholder:"URL" help:"Headquarters' address."`
	Code   string `placeholder:"CODE" help:"The one-time code that \"hq store add\" printed."`
	CAFile string `name:"ca-file" placeholder:"FILE" help:"A CA to trust for headquarters alone."`
	From   string `placeholder:"FILE" help:"Read hq, code, ca_file and replace from this YAML file, and remove it once the code is used."`

	Replace bool `help:"Take the place of the hub on another machine: its credential ends."`
}

// Help is what it does.
func (enrollCmd) Help() string {
	return `Trades a one-time code for this store's credential, which is kept in a file of mode
0600, and completes the configuration file. The code works once. A store whose hub is
another machine wants --replace: the other one is shut out, and what it had handed over
is still done.

Example:

  hub enroll --hq https://hq.example.com --code 7Q4K-2M9X --config /etc/storehub/hub.yaml

Without a person: a file with the keys hq and code, perhaps ca_file and replace (yes),
readable by root alone.

  hub enroll --from /etc/storehub/enrol.yaml`
}

// Run enrols and completes the configuration.
func (c *enrollCmd) Run(a *app) error {
	if c.From != "" {
		if err := c.readFrom(); err != nil {
			return err
		}
	}
	if c.HQ == "" || c.Code == "" {
		return cli.Usage("hub enroll --hq https://hq.example.com --code CODE", "read arguments: missing flags: --hq and --code, or --from")
	}
	base := strings.TrimRight(c.HQ, "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" {
		return cli.Usage("hub enroll --hq https://hq.example.com --code CODE", "read arguments: --hq %q is not the address of a headquarters", c.HQ)
	}
	file := a.configFile()
	cfg, err := a.loadOrDefault()
	if err != nil {
		return err
	}
	if cfg.HQ.Embedded {
		return cli.Usage("remove hq.embedded to use another headquarters", "enrol: %s: headquarters is embedded and enrols by itself", file)
	}
	if cfg.HQ.URL != "" && cfg.HQ.URL != base {
		return cli.Usage("change hq.url there first, if that is what you want", "enrol: %s names another headquarters, %s", file, cfg.HQ.URL)
	}
	ca := c.CAFile
	if ca == "" {
		ca = cfg.HQ.CAFile
	}
	transport, err := trusting(ca)
	if err != nil {
		return cli.Usage("", "read CA of headquarters: %w", err)
	}
	client := &hq.Client{URL: base, HTTP: &http.Client{Transport: transport}, Version: buildinfo.Version()}
	var store hq.Store
	ctx, cancel := context.WithTimeout(a.ctx, 20*time.Second)
	defer cancel()
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if file == defaultConfig() {
		if err := a.protect(cfg); err != nil {
			return err
		}
	}
	if err := enrol(ctx, client, c.Code, c.Replace, cfg.StateDir, cfg.CredentialFile(), &store); err != nil {
		return err
	}
	if err := c.used(); err != nil {
		fmt.Fprintf(a.stderr, "hub: %v\n", err)
	}
	fmt.Fprintf(a.stdout, "This machine is the hub of store %s (%s mode). Its credential is in %s.\n", store.ID, store.Mode, cfg.CredentialFile())
	if cfg.Store != "" && cfg.Store != store.ID {
		return cli.Usage(fmt.Sprintf("set `store: %q` there", store.ID), "enrol: %s says store %q", file, cfg.Store)
	}
	settings := map[string]string{"store": store.ID, "hq.url": base}
	if c.CAFile != "" {
		settings["hq.ca_file"] = c.CAFile
	}
	changed, err := completeConfig(file, settings)
	if err != nil {
		return cli.Usage(fmt.Sprintf("set by hand: store: %q, hq.url: %q", store.ID, base), "complete configuration: %w", err)
	}
	if changed {
		fmt.Fprintf(a.stdout, "%s is complete.\n", file)
	}
	fmt.Fprintf(a.stdout, "next: hub diagnose, then hub service install && hub service start\n")
	return nil
}

// enrol trades the code and keeps what comes back: the credential in file, the
// record of the store in dir. The key that requests are signed with is made here and
// kept beside the credential. That both can be written is known before the code,
// which works once, is used.
func enrol(ctx context.Context, client *hq.Client, code string, replace bool, dir, file string, store *hq.Store) error {
	secret, err := beginFile(file, 0o600)
	if err != nil {
		return err
	}
	key, public := hq.NewKey()
	r := hq.EnrolRequest{Code: code, Fingerprint: hub.Fingerprint(), Version: buildinfo.Version(), Replace: replace, Key: public}
	got, err := client.Enrol(ctx, r)
	var refused *doors.Error
	if errors.As(err, &refused) && refused.Code == doors.ErrUnknownField.Code {
		r.Key, key = "", nil // an older headquarters; the code is not used up
		got, err = client.Enrol(ctx, r)
	}
	if err != nil {
		secret.abandon()
		return fmt.Errorf("enrol at %s: %w", client.URL, err)
	}
	if err := secret.commit([]byte(hq.CredentialText(got.Credential, key))); err != nil {
		return err
	}
	if store != nil {
		*store = got.Store
	}
	if err := hub.RememberStore(dir, got.Store); err != nil {
		return err
	}
	return keepOwner(filepath.Join(dir, "store.json"))
}

// trusting is a transport that trusts one CA, or those of the system.
func trusting(caFile string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}
