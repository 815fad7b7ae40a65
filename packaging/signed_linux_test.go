package packaging

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pgp is an OpenPGP key of this test alone, in files as who releases has them.
type pgp struct {
	secret, passphrase string
	public, keyring    string // armored, and as gpgv wants it
	id                 string // the last 16 digits of its fingerprint
}

func newPGP(t *testing.T) pgp {
	t.Helper()
	dir := t.TempDir()
	k := pgp{
		secret: filepath.Join(dir, "secret.asc"), passphrase: filepath.Join(dir, "passphrase"),
		public: filepath.Join(dir, "public.asc"), keyring: filepath.Join(dir, "public.gpg"),
	}
	if err := os.WriteFile(k.passphrase, []byte("of the test alone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	gpg := func(args ...string) string {
		t.Helper()
		out, err := run(t, "gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase-file", k.passphrase}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	t.Cleanup(func() {
		if _, err := run(t, "gpgconf", "--homedir", home, "--kill", "all"); err != nil {
			t.Error(err)
		}
	})
	gpg("--quick-generate-key", "Store Hub test", "rsa3072", "sign", "never")
	gpg("--armor", "--output", k.secret, "--export-secret-keys")
	gpg("--armor", "--output", k.public, "--export")
	gpg("--output", k.keyring, "--export")
	for line := range strings.Lines(gpg("--with-colons", "--list-keys")) {
		if f := strings.Split(line, ":"); f[0] == "pub" {
			k.id = f[4]
		}
	}
	return k
}

// TestPackagesAreSigned: an admin's own tools tell that the packages and the list of
// checksums are of whoever holds the key, and take none that is unsigned, another's, or
// has a byte changed.
func TestPackagesAreSigned(t *testing.T) {
	t.Parallel()
	ours, others := newPGP(t), newPGP(t)
	dir, unsigned := t.TempDir(), t.TempDir()
	with := []string{"SIGN_PGP_KEY=" + ours.secret, "SIGN_PGP_PASSPHRASE_FILE=" + ours.passphrase}
	if err := pack(dir, filepath.Dir(program(t, "hub", "1.0.0")), "1.0.0", with...); err != nil {
		t.Fatal(err)
	}

	deb, rpm := only(t, dir, "*.deb"), only(t, dir, "*.rpm")
	sums := func(dir string, env ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "./sums.sh", dir)
		c.Env = append(os.Environ(), env...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("sums.sh: %v\n%s", err, out)
		}
	}
	sums(dir, with...)
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != 3 {
		t.Errorf("the list is not of a deb, an rpm and an archive: %v\n%s", err, out)
	}

	ourChecks, otherChecks := checks(t, ours), checks(t, others)
	for file, strip := range map[string][]string{
		deb:                              {"ar", "d", filepath.Join(unsigned, filepath.Base(deb)), "_gpgorigin"},
		rpm:                              {"rpmsign", "--delsign", filepath.Join(unsigned, filepath.Base(rpm))},
		filepath.Join(dir, "SHA256SUMS"): {"./sums.sh", unsigned},
	} {
		name, kind := filepath.Base(file), filepath.Ext(file)
		if err := ourChecks[kind](file); err != nil {
			t.Errorf("what is signed is refused: %v", err)
		}
		if otherChecks[kind](file) == nil {
			t.Errorf("%s is taken for signed with another key", name)
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{len(whole) / 8, len(whole) / 2, len(whole) * 3 / 4} {
			changed := bytes.Clone(whole)
			changed[at] ^= 1
			if err := os.WriteFile(file, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			if ourChecks[kind](file) == nil {
				t.Errorf("%s with byte %d of %d flipped is taken", name, at, len(whole))
			}
		}
		for _, file := range []string{file, filepath.Join(unsigned, name)} {
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := run(t, strip[0], strip[1:]...); err != nil {
			t.Fatal(err)
		}
		if ourChecks[kind](filepath.Join(unsigned, name)) == nil {
			t.Errorf("%s is taken without a signature", name)
		}
	}
	// Signed or not, it is a package.
	for file, read := range map[string][]string{deb: {"dpkg-deb", "--contents"}, rpm: {"rpm", "--query", "--list", "--package"}} {
		for _, dir := range []string{dir, unsigned} {
			if _, err := run(t, read[0], append(read[1:], filepath.Join(dir, filepath.Base(file)))...); err != nil {
				t.Error(err)
			}
		}
	}
}

// checks are what an admin does who trusts a key, by the ending of the file.
func checks(t *testing.T, k pgp) map[string]func(file string) error {
	t.Helper()
	db := t.TempDir()
	if _, err := run(t, "rpmkeys", "--dbpath", db, "--import", k.public); err != nil {
		t.Fatal(err)
	}
	policies, keyrings := debsig(t, k)
	command := func(name string, args ...string) error {
		_, err := run(t, name, args...)
		return err
	}
	return map[string]func(file string) error{
		".rpm": func(file string) error {
			return command("rpmkeys", "--dbpath", db, "--define", "_pkgverify_level all", "--checksig", file)
		},
		".deb": func(file string) error {
			return command("debsig-verify", "--policies-dir", policies, "--keyrings-dir", keyrings, file)
		},
		"": func(file string) error { return command("gpgv", "--keyring", k.keyring, file+".asc", file) },
	}
}

// debsig writes what docs/operations.md has an admin write.
func debsig(t *testing.T, k pgp) (policies, keyrings string) {
	t.Helper()
	policies, keyrings = t.TempDir(), t.TempDir()
	key, err := os.ReadFile(k.keyring)
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`<?xml version="1.0"?>
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="Store Hub" id="%[1]s"/>
  <Selection><Required Type="origin" File="storehub.gpg" id="%[1]s"/></Selection>
  <Verification MinOptional="0"><Required Type="origin" File="storehub.gpg" id="%[1]s"/></Verification>
</Policy>
`, k.id)
	for file, content := range map[string][]byte{
		filepath.Join(policies, k.id, "storehub.pol"): []byte(policy),
		filepath.Join(keyrings, k.id, "storehub.gpg"): key,
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return policies, keyrings
}
