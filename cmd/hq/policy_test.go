package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/hq"
	"storehub/internal/cli"
)

func TestPoliciesAreDecidedAndShown(t *testing.T) {
	config := settings(t, "")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	hq := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"--config", config}, args...), strings.NewReader(""), &out, &out); code != want {
			t.Fatalf("%q: exit %d, want %d\n%s", args, code, want, out.String())
		}
		return out.String()
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hq(0, "store", "add", "--id", "0412", "--location", "tml_1")
	if got := hq(0, "policy", "show"); !strings.Contains(got, "nothing was decided") {
		t.Errorf("%s", got)
	}
	for bad, says := range map[string]string{"workday: 5m": "workday", "refund_limit: -1": "refund_limit", "opening_hours: [always]": "opening_hours",
		"": "nothing is decided", "limits: 3": "limits"} {
		write(bad)
		if got := hq(cli.ExitUsage, "policy", "set", "--store", "0412", "--file", file); !strings.Contains(got, says) {
			t.Errorf("%q: %s", bad, got)
		}
	}
	write("workday: 10h\nopening_hours: [mon-sat 08:00-22:00]\nrefund_limit: 1000\n")
	if got := hq(0, "policy", "set", "--store", "0412", "--file", file, "--by", "A. Meyer"); got != "Store 0412 has policy 1: workday 10h; opening hours mon-sat 08:00-22:00; refund limit 1000.\n" {
		t.Errorf("%s", got)
	}
	if got := hq(cli.ExitUsage, "policy", "set", "--store", "0499", "--file", file); !strings.Contains(got, "there is no such store") {
		t.Errorf("%s", got)
	}
	if got := hq(cli.ExitWrong, "policy", "show", "--store", "0412"); !strings.Contains(got, "not told yet") {
		t.Errorf("%s", got)
	}
	hq(0, "store", "configure", "--id", "0412", "--refund-limit", "500")
	if got := hq(cli.ExitWrong, "policy", "show", "--format", "json"); !strings.Contains(got, `"version": 2`) || !strings.Contains(got, `"refund_limit": 500`) || !strings.Contains(got, `"workday": "10h"`) {
		t.Errorf("%s", got)
	}
	if got := hq(0, "audit"); !strings.Contains(got, "A. Meyer") || !strings.Contains(got, "version 1: workday 10h") {
		t.Errorf("%s", got)
	}
}

// TestPolicyTexts holds how policies are shown to people.
func TestPolicyTexts(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	state := func(store string, version, held, refused uint64, told bool) hq.PolicyState {
		limit := int64(1000)
		p := hq.PolicyState{Store: store, Policy: hq.ShopPolicy{Version: version, By: "A. Meyer", At: at, Workday: "10h", RefundLimit: &limit,
			OpeningHours: []string{"mon-fri 08:00-20:00", "sat 08:00-02:00"}}, Held: held, Refused: refused}
		if told {
			p.HeldAt = &at
		}
		if refused > 0 {
			p.Why = "read policy: workday: \"1m\" is no duration between 1h0m0s and 168h0m0s"
		}
		return p
	}
	list := []hq.PolicyState{state("0410", 2, 2, 0, true), state("0411", 2, 1, 0, true), state("0412", 2, 1, 2, true), state("0413", 2, 0, 0, false), state("0414", 2, 0, 0, true)}
	list[3].Policy.RefundLimit, list[3].Policy.OpeningHours, list[3].Policy.Workday = nil, nil, ""
	var b bytes.Buffer
	if err := writePolicies(&b, list); err != nil {
		t.Fatal(err)
	}
	golden(t, "policies.txt", b.Bytes())
}
