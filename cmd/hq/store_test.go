package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/internal/cli"
)

// A store is added with a Location that is made for it; a file that lacks what the
// country wants makes nothing.
func TestStoreIsAddedWithALocationOfItsOwn(t *testing.T) {
	_, url := stripeAtHand(t)
	config := settings(t, "  api_base: "+url+"\n")
	place := filepath.Join(t.TempDir(), "place.yaml")
	add := func(address string) (int, string, string) {
		t.Helper()
		if err := os.WriteFile(place, []byte("display_name: High Street\naddress: "+address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"store", "add", "--config", config, "--id", "0413", "--create-location", place, "--format", "json"}, strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	if code, out, errs := add(`{line1: 5 High Street, city: New York, country: US}`); code != cli.ExitUsage || out != "" || !strings.Contains(errs, "address.") || !strings.Contains(errs, "missing") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := add(`{line1: 5 High Street, city: New York, state: NY, postal_code: "10001", country: US}`)
	var v struct{ Store, Code string }
	if code != 0 || json.Unmarshal([]byte(out), &v) != nil || v.Store != "0413" || v.Code == "" || !strings.HasPrefix(errs, "made Location tml_") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	var list bytes.Buffer
	id := strings.Fields(errs)[2]
	if code := run(t.Context(), []string{"store", "list", "--config", config}, nil, &list, &list); code != 0 || !strings.Contains(list.String(), id) {
		t.Fatalf("exit %d\n%s", code, list.String())
	}
	// Again: the store exists.
	if code, out, errs := add(`{line1: 5 High Street, city: New York, state: NY, postal_code: "10001", country: US}`); code == 0 || !strings.Contains(errs, "exists with location "+id) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
