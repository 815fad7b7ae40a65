package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"storehub/internal/lab"
)

// artefacts holds what is built once in a run of the tests and then shared: programs and
// packages of a version. Who has been given one of them only reads it.
var artefacts = struct {
	dir string

	mu   sync.Mutex
	once map[string]func() error // by the directory that it fills
}{once: map[string]func() error{}}

func TestMain(m *testing.M) {
	sealed, err := lab.Sealed()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !sealed {
		os.Exit(tested(m))
	}
}

// tested runs the tests, and removes what they shared.
func tested(m *testing.M) (code int) {
	var err error
	if artefacts.dir, err = os.MkdirTemp("", "storehub-packaging-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(artefacts.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// shared is the directory of that name, which fill has filled; the first who asks waits
// for it, and so does everybody who asks meanwhile.
func shared(t *testing.T, name string, fill func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(artefacts.dir, name)
	artefacts.mu.Lock()
	once, known := artefacts.once[dir]
	if !known {
		once = sync.OnceValue(func() error { return fill(dir) })
		artefacts.once[dir] = once
	}
	artefacts.mu.Unlock()
	if err := once(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// program is hub or hq of a version, stripped, as it is packed.
func program(t *testing.T, name, version string) string {
	t.Helper()
	dir := shared(t, name+"-"+version, func(dir string) error { return compile(dir, name, version) })
	return filepath.Join(dir, built(name))
}

// packages is the directory of the hub's packages of a version.
func packages(t *testing.T, version string) string {
	t.Helper()
	hub := filepath.Dir(program(t, "hub", version))
	return shared(t, "packages-"+version, func(dir string) error { return pack(dir, hub, version) })
}

// built is the name that the scripts know a program by.
func built(name string) string { return name + "-linux-" + runtime.GOARCH }

// compile builds a program of a version into dir.
func compile(dir, name, version string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X storehub/internal/buildinfo.version="+version,
		"-o", filepath.Join(dir, built(name)), "storehub/cmd/"+name)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	return ended(c)
}

// pack makes the packages of the hub in programs, for this architecture, in dir.
func pack(dir, programs, version string, env ...string) error {
	nfpm, err := filepath.Abs("../.tools/nfpm")
	if err != nil {
		return err
	}
	c := exec.Command("./build.sh", dir, runtime.GOARCH)
	c.Env = append(os.Environ(), "VERSION="+version, "NFPM="+nfpm, "SOURCE_DATE_EPOCH=1700000000", "DIST="+programs, "PROGRAMS=hub")
	c.Env = append(c.Env, env...)
	return ended(c)
}

// ended runs a command to its end; its words are the error.
func ended(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", c.Args, err, out)
	}
	return nil
}
