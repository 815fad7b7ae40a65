package hub

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"storehub/doors"
)

func TestCredentialsAreKeptAsHashesOnly(t *testing.T) {
	dir := t.TempDir()
	tills, err := OpenTills(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := tills.Pair("till-1", doors.ScopePOS, doors.Live)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a, "shp_") || len(a) < 36 || strings.ToLower(a) != a {
		t.Errorf("credential %q", a)
	}
	path := filepath.Join(dir, "tills.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), a) || strings.Contains(string(b), a[4:]) {
		t.Error("the file holds the credential")
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	reopened, err := OpenTills(dir)
	if err != nil {
		t.Fatal(err)
	}
	if till, ok := reopened.lookup(a); !ok || till != (doors.Till{Name: "till-1", Scope: doors.ScopePOS, Mode: doors.Live}) {
		t.Errorf("after reopening: %+v, %t", till, ok)
	}
}

func TestANameOutlivesItsCredential(t *testing.T) {
	tills, err := OpenTills(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair := func(name string) string {
		t.Helper()
		c, err := tills.Pair(name, doors.ScopePOS, "")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, other := pair("a"), pair("b")
	second := pair("a")
	if _, ok := tills.lookup(first); ok {
		t.Error("the replaced credential still opens")
	}
	for c, name := range map[string]string{second: "a", other: "b"} {
		if till, ok := tills.lookup(c); !ok || till.Name != name {
			t.Errorf("%s: %+v, %t", name, till, ok)
		}
	}
	if err := tills.Revoke("a"); err != nil {
		t.Fatal(err)
	}
	if _, ok := tills.lookup(second); ok {
		t.Error("the revoked credential still opens")
	}
	if _, ok := tills.lookup(""); ok {
		t.Error("no credential opens a revoked till")
	}
	list := tills.List()
	if len(list) != 2 || list[0].Name != "a" || list[0].Revoked.IsZero() || !list[1].Revoked.IsZero() || list[1].LastUsed.IsZero() {
		t.Errorf("list: %+v", list)
	}
	if err := tills.Revoke("a"); !errors.Is(err, ErrNoTill) {
		t.Errorf("revoking twice: %v", err)
	}
	if err := tills.Revoke("c"); !errors.Is(err, ErrNoTill) {
		t.Errorf("revoking nobody: %v", err)
	}
	pair("a")
	if list := tills.List(); len(list) != 2 || !list[0].Revoked.IsZero() {
		t.Errorf("paired again: %+v", list)
	}
}

func TestBadTillsAreRefused(t *testing.T) {
	tills, err := OpenTills(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		scope doors.Scope
		mode  doors.Mode
	}{
		{"", doors.ScopePOS, ""},
		{"hub", doors.ScopePOS, ""},
		{" a", doors.ScopePOS, ""},
		{"a  b", doors.ScopePOS, ""},
		{"a\xff", doors.ScopePOS, ""},
		{"till\n", doors.ScopePOS, ""},
		{strings.Repeat("x", 65), doors.ScopePOS, ""},
		{"a", "admin", ""},
		{"a", "", ""},
		{"a", doors.ScopePOS, "prod"},
	} {
		if c, err := tills.Pair(tc.name, tc.scope, tc.mode); err == nil || c != "" {
			t.Errorf("%+v was paired", tc)
		}
	}
	if n := len(tills.List()); n != 0 {
		t.Errorf("%d tills were kept", n)
	}
}

func TestADamagedFileIsNotOverwritten(t *testing.T) {
	for _, content := range []string{"{", `{"version":2,"tills":[]}`, `{"version":1,"tills":[null]}`, `{"version":1,"tills":[{"name":"a"},{"name":"a"}]}`, `{"version":1,"x":1}`} {
		dir := t.TempDir()
		path := filepath.Join(dir, "tills.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTills(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", content, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%s became %s, %v", content, b, err)
		}
	}
}

// Claim: a pairing that could not be kept was not made.
func TestAPairingThatCannotBeKeptIsNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	tills, err := OpenTills(dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tills.Pair("a", doors.ScopePOS, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := tills.Pair("a", doors.ScopeManager, ""); err == nil {
		t.Error("paired without a place to keep it")
	}
	if _, err := tills.Pair("b", doors.ScopeManager, ""); err == nil {
		t.Error("paired without a place to keep it")
	}
	if err := tills.Revoke("a"); err == nil {
		t.Error("revoked without a place to keep it")
	}
	if till, ok := tills.lookup(first); !ok || till.Scope != doors.ScopePOS || len(tills.List()) != 1 {
		t.Errorf("the first credential: %+v, %t", till, ok)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	second, err := tills.Pair("a", doors.ScopeManager, "")
	if err != nil {
		t.Fatal(err)
	}
	reopened, err := OpenTills(dir)
	if err != nil {
		t.Fatal(err)
	}
	if till, ok := reopened.lookup(second); !ok || till.Scope != doors.ScopeManager {
		t.Errorf("after reopening: %+v, %t", till, ok)
	}
}

func FuzzTillsFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"tills":[{"name":"a","scope":"pos","created":"2026-01-02T03:04:05Z","hash":"00"}]}`))
	f.Add([]byte(`{"version":1,"tills":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tills := &Tills{tills: map[string]*tillRecord{}}
		if tills.parse(b) != nil {
			return
		}
		if _, ok := tills.lookup(""); ok {
			t.Fatal("nobody's credential opens")
		}
		for _, x := range tills.List() {
			if checkTillName(x.Name) != nil {
				t.Fatalf("kept %q", x.Name)
			}
		}
	})
}
