package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"storehub/hub"
	"storehub/internal/cli"
)

type configCmd struct {
	Init  configInitCmd  `cmd:"" help:"Write the default file, every key explained."`
	Check configCheckCmd `cmd:"" help:"Say whether the file is right."`
}

type configInitCmd struct {
	Print bool `help:"Print it instead."`
}

// Help is an example.
func (configInitCmd) Help() string {
	return "An existing file is left alone.\n\nExamples:\n\n  hub config init\n  hub config init --print"
}

// Run writes or prints the default file.
func (c *configInitCmd) Run(a *app) error {
	if c.Print {
		_, err := io.WriteString(a.stdout, hub.DefaultConfigText)
		return err
	}
	file := a.configFile()
	if err := cli.MakeConfig(file, hub.DefaultConfigText); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s written\nnext: hub enroll --hq URL --code CODE --config %s\n", file, file)
	return err
}

type configCheckCmd struct{}

// Help is an example.
func (configCheckCmd) Help() string {
	return "Exit: 0 right, 2 wrong. Never prints a secret.\n\nExample:\n\n  hub config check --config ./hub.yaml"
}

// Run reads the file as `hub serve` would, and looks at the files it names.
func (*configCheckCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	file := a.configFile()
	if err := cfg.Complete(); err != nil {
		return cli.Usage("`hub enroll` fills in what headquarters knows", "%s: %w", file, err)
	}
	for _, f := range []struct {
		key, path string
		secret    bool
	}{
		{"hq.credential_file", credential(cfg), true},
		{"hq.ca_file", cfg.HQ.CAFile, false},
		{"hq.stripe.api_key_file", cfg.HQ.Stripe.APIKeyFile, true},
		{"hq.stripe.webhook_secret_file", cfg.HQ.Stripe.WebhookSecretFile, true},
		{"hq.stripe.test.api_key_file", cfg.HQ.Stripe.TestAPIKeyFile, true},
		{"hq.stripe.test.webhook_secret_file", cfg.HQ.Stripe.TestWebhookFile, true},
		{"queue.key_file", cfg.Queue.KeyFile, true},
		{"personal.key_file", cfg.Personal.KeyFile, true},
		{"tls.cert_file", cfg.TLS.CertFile, false},
		{"tls.key_file", cfg.TLS.KeyFile, true},
		{"checks.ip_ranges_file", cfg.Checks.IPRangesFile, false},
	} {
		if f.path == "" {
			continue
		}
		if err := checkFile(f.path, f.secret); err != nil {
			return cli.Usage("", "%s: %s: %w", file, f.key, err)
		}
	}
	if err := cfg.CheckQueueKey(); err != nil {
		return cli.Usage(keyFileHint, "%s: %w", file, err)
	}
	if err := cfg.CheckPersonalKey(); err != nil {
		return cli.Usage("", "%s: personal.key_file: %w", file, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is right: store %s, listening on %s\n", file, cfg.Store, cfg.Listen)
	return err
}

// credential is the store's credential file, which an embedded headquarters does
// not need beforehand.
func credential(cfg hub.Config) string {
	if cfg.HQ.Embedded {
		return ""
	}
	return cfg.CredentialFile()
}

// checkFile says whether a file can be read and, being a secret, by its owner alone.
func checkFile(path string, secret bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case secret && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s holds a secret and others may read it (mode %04o, want 0600)", path, info.Mode().Perm())
	}
	return nil
}
