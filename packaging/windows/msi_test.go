// Package windows holds the installer for Windows; its tests alone are Go. They want the
// program that is packed: `make test-windows` gives it to them.
package windows

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	exe    = flag.String("exe", "", "hub-windows-amd64.exe")
	update = flag.Bool("update", false, "write the golden files")
)

// run runs a command in the test's time and returns what it prints.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is run for what has to succeed.
func must(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := run(t, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// build makes the MSI of a version in a folder.
func build(t *testing.T, out, version string, env ...string) string {
	t.Helper()
	if *exe == "" {
		t.Skip("make test-windows runs this with the program")
	}
	dist := t.TempDir()
	program, err := filepath.Abs(*exe)
	if err == nil {
		err = os.Symlink(program, filepath.Join(dist, "hub-windows-amd64.exe"))
	}
	if err != nil {
		t.Fatal(err)
	}
	said := must(t, append(env, "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "DIST="+dist), "./build.sh", out)
	lines := strings.Fields(said)
	return lines[len(lines)-1]
}

var (
	productCode = regexp.MustCompile(`(ProductCode\t)\{[0-9A-F-]{36}\}`)
	fileSize    = regexp.MustCompile(`(hub\.exe\tProgram\thub\.exe\t)\d+`)
)

// TestInstaller looks at two versions, and drives them under wine.
func TestInstaller(t *testing.T) {
	dir := t.TempDir()
	older, newer := build(t, dir, "v1.4.0-3-gabc"), build(t, dir, "1.4.1")
	t.Run("tables", func(t *testing.T) { tables(t, older) })
	t.Run("same again", func(t *testing.T) { sameAgain(t, older, newer) })
	t.Run("wine", func(t *testing.T) { underWine(t, older, newer) })
}

// tables compares everything that Windows is told to the list.
func tables(t *testing.T, msi string) {
	var got strings.Builder
	for _, table := range []string{"Property", "Upgrade", "LaunchCondition", "Directory", "Component", "File", "ServiceInstall", "ServiceControl", "CustomAction", "InstallExecuteSequence"} {
		got.WriteString("# " + table + "\n" + strings.ReplaceAll(must(t, nil, "msiinfo", "export", msi, table), "\r", ""))
	}
	text := productCode.ReplaceAllString(fileSize.ReplaceAllString(got.String(), "${1}SIZE"), "${1}CODE")
	golden := filepath.Join("testdata", "tables.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the tables are\n%s\nwant\n%s", text, want)
	}
}

// sameAgain: the same sources give the same bytes, and another version others.
func sameAgain(t *testing.T, older, newer string) {
	var files [3][]byte
	for i, file := range []string{older, build(t, t.TempDir(), "v1.4.0-3-gabc"), newer} {
		var err error
		if files[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two builds differ")
	}
	if bytes.Equal(files[0], files[2]) {
		t.Error("another version is the same")
	}
}

// signer makes a key that signs programs, for this test alone.
func signer(t *testing.T) (key, cert string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Store Hub test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, cert = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	for file, block := range map[string]*pem.Block{key: {Type: "PRIVATE KEY", Bytes: pkcs8}, cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key, cert
}

func TestProgramAndInstallerAreSigned(t *testing.T) {
	key, cert := signer(t)
	msi := build(t, t.TempDir(), "1.4.0", "SIGN_KEY="+key, "SIGN_CERT="+cert)
	dir := t.TempDir()
	must(t, nil, "msiextract", "-C", dir, msi)
	program := must(t, nil, "find", dir, "-name", "hub.exe")
	for _, file := range []string{msi, strings.TrimSpace(program)} {
		verify := []string{"verify", "-CAfile", cert, "-TSA-CAfile", cert, "-in", file}
		must(t, nil, "osslsigncode", verify...)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, nil, "osslsigncode", verify...); err == nil {
			t.Errorf("%s is taken with a byte flipped:\n%s", filepath.Base(file), out)
		}
	}
}
