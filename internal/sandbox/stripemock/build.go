package stripemock

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const module = "github.com/stripe/stripe-mock"

// moduleDir is where stripe-mock's version and checksums are written down.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" || root == os.DevNull {
		return "", fmt.Errorf("find stripe-mock's module: not inside a Go module (%v)", err)
	}
	return filepath.Join(filepath.Dir(root), "internal", "sandbox", "stripemock", "mod"), nil
}

// run runs the go command in stripe-mock's module.
func run(args ...string) (string, error) {
	dir, err := moduleDir()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "GOOS=", "GOARCH=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// build returns a stripe-mock of the version in mod/go.mod; it is built once and
// kept in the user's cache.
func build() (string, error) {
	version, err := run("list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", fmt.Errorf("build stripe-mock: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "storehub-tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build stripe-mock: %w", err)
	}
	binary := filepath.Join(dir, "stripe-mock-"+version)
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	// Test binaries of several packages may build at once: each builds aside, and
	// whoever is last to rename has replaced a file by its equal.
	aside, err := os.MkdirTemp(dir, "build")
	if err != nil {
		return "", fmt.Errorf("build stripe-mock: %w", err)
	}
	defer os.RemoveAll(aside)
	made := filepath.Join(aside, filepath.Base(binary))
	if _, err := run("build", "-o", made, module); err != nil {
		return "", fmt.Errorf("build stripe-mock: %w", err)
	}
	if err := os.Rename(made, binary); err != nil {
		if _, there := os.Stat(binary); there != nil {
			return "", fmt.Errorf("build stripe-mock: %w", err)
		}
	}
	return binary, nil
}

// Fixtures are Stripe's sample objects by name, such as "terminal.reader".
func Fixtures() (map[string]json.RawMessage, error) {
	if _, err := run("mod", "download", module); err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	dir, err := run("list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "embedded", "openapi", "fixtures3.json"))
	if err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	var file struct {
		Resources map[string]json.RawMessage `json:"resources"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	if len(file.Resources) == 0 {
		return nil, errors.New("read fixtures: there are none")
	}
	return file.Resources, nil
}
