package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/internal/cli"
	"storehub/internal/sandbox"
)

// Readers are told what a file wants: compared first, then applied, in texts that hold
// no secret.
func TestReadersAreToldWhatAFileWants(t *testing.T) {
	box, url := stripeAtHand(t)
	config := settings(t, "  api_base: "+url+"\n")
	dir := t.TempDir()
	for name, text := range map[string]string{"passcode": "48151", "wifi-password": "correct horse",
		"place.yaml":   "display_name: High Street\naddress: {line1: 5 High Street, city: New York, state: NY, postal_code: \"10001\", country: US}\n",
		"readers.yaml": "update_window: {start_hour: 2, end_hour: 5}\noffline: on\npasscode_file: passcode\nwifi: {type: personal_psk, ssid: Shop, password_file: wifi-password}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all bytes.Buffer
	hq := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"--config", config}, args...), strings.NewReader(""), &out, &errs); code != want {
			t.Fatalf("%q: exit %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
		}
		all.WriteString(out.String() + errs.String())
		return out.String() + errs.String()
	}
	for _, id := range []string{"0412", "0413"} {
		hq(0, "store", "add", "--id", id, "--create-location", filepath.Join(dir, "place.yaml"))
	}
	file := filepath.Join(dir, "readers.yaml")
	golden(t, "config-diff.txt", []byte(hq(cli.ExitWrong, "config", "diff", "--store", "0412", "--file", file)))
	golden(t, "config-diff.json", []byte(hq(cli.ExitWrong, "config", "diff", "--store", "0412", "--file", file, "--format", "json")))
	golden(t, "config-apply.txt", []byte(hq(0, "config", "apply", "--store", "0412", "--store", "0413", "--file", file, "--by", "A. Meyer")))
	golden(t, "config-same.txt", []byte(hq(0, "config", "diff", "--store", "0412", "--file", file)))
	if log := hq(0, "audit", "--store", "0412"); !strings.Contains(log, "A. Meyer") || !strings.Contains(log, "configuration.apply") {
		t.Errorf("audit:\n%s", log)
	}
	if err := os.WriteFile(filepath.Join(dir, "passcode"), []byte("07139"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := hq(cli.ExitCouldNot, "config", "apply", "--store", "0412", "--file", file); strings.Contains(said, "07139") || !strings.Contains(said, "every reader comes with") {
		t.Errorf("a weak passcode: %s", said)
	}
	if err := os.WriteFile(filepath.Join(dir, "passcode"), []byte("48151"), 0o600); err != nil {
		t.Fatal(err)
	}
	box.Inject(sandbox.Fault{Method: http.MethodGet, Path: "/v1/terminal/locations", Kind: "reset"})
	hq(cli.ExitCouldNot, "config", "diff", "--store", "0412", "--file", file)
	for _, secret := range []string{"48151", "correct horse", "very_secret"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q was shown", secret)
		}
	}
}
