package packaging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"storehub/internal/storesim"
)

// sealedWith is, in the copy of this program that has no network but loopback, the
// directory of the packages.
const sealedWith = "STOREHUB_TEST_PACKAGES"

// patience is how long a machine may take for one step; a loaded one is slow.
const patience = 5 * time.Minute

// operations wait in the queue while packages come and go.
const operations = 1000

// TestLifeOfTheDebianPackage: in a Debian under its own systemd the hub is installed and
// enrolled by a file, promises 1,000 captures while headquarters is away, hangs, is
// upgraded and downgraded, is not removed and not wiped while they wait, and is when
// they have come to Stripe, each once.
func TestLifeOfTheDebianPackage(t *testing.T) {
	dir := os.Getenv(sealedWith)
	if dir == "" {
		sealed(t)
		return
	}
	if _, err := run(t, "ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	s := storesim.Open(t)
	sys := s.System()
	if err := sys.StopHub(); err != nil { // another hub takes its place
		t.Fatal(err)
	}
	code, err := sys.Code(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	m := boot(t)
	m.write("/etc/storehub/enrol.yaml", fmt.Sprintf("hq: http://%s\ncode: %s\nreplace: yes\n", sys.Internet.Addr(), code))
	m.fresh(dir, "1.0.0")
	if m.has("/etc/storehub/enrol.yaml") {
		t.Error("the file whose code is used stays")
	}
	m.must("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/storehub.service")
	m.must("systemd-analyze", "security", "--threshold=18", "--no-pager", "storehub.service")
	m.must("hub", "pair", "--name", "lane-1", "--credential-file", "/root/lane-1")
	till := m.till()

	s.CutInternet()
	var intents []string
	for range operations {
		intents = append(intents, s.AuthoriseAtStripe(100))
	}
	for _, pi := range intents {
		till.promise(pi)
	}
	waits := func(when string) {
		t.Helper()
		var list struct{ Operations []struct{ Ref string } }
		out := m.must("hub", "queue", "list", "--state", "pending", "--limit", strconv.Itoa(2*operations), "--format", "json")
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatalf("%s: %v in %s", when, err, out)
		}
		seen := map[string]int{}
		for _, o := range list.Operations {
			seen[o.Ref]++
		}
		for _, pi := range intents {
			if seen[pi] != 1 || len(seen) != len(intents) {
				t.Fatalf("%s: %s waits %d times, %d refs in all, want each of %d once", when, pi, seen[pi], len(seen), len(intents))
			}
		}
	}
	waits("promised")

	// It hangs: the watchdog ends it, and systemd starts it again.
	m.write("/run/systemd/system/storehub.service.d/soon.conf", "[Service]\nWatchdogSec=2\n")
	m.must("systemctl", "daemon-reload")
	m.must("systemctl", "restart", "storehub")
	m.active()
	pid := m.pid()
	m.must("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "storehub")
	m.until("the watchdog has it started anew", func() bool { return m.pid() != pid && m.pid() != "0" })
	m.write("/run/systemd/system/storehub.service.d/soon.conf", "[Service]\nWatchdogSec=60\n")
	m.must("systemctl", "daemon-reload")
	m.active()
	waits("hung")

	for _, version := range []string{"1.1.0", "1.0.0"} {
		m.install(dir, version)
		m.active()
		if out := m.must("hub", "version"); !strings.HasPrefix(string(out), "hub "+version+" ") {
			t.Errorf("installed %s, runs %s", version, out)
		}
		waits("at version " + version)
	}

	m.refused("1000 operations of tills wait on this disk alone", "dpkg", "--remove", "storehub")
	m.active()
	m.refused("1000 operations of tills wait on this disk alone", "dpkg", "--purge", "storehub")
	m.active()
	waits("not removed")

	// What a newer program has written, an older one does not touch.
	const format = "/var/lib/private/storehub/queue/format"
	written := m.read(format)
	m.write(format, "99\n")
	m.refused("cannot read what a newer one has written", "dpkg", "--force-confold", "--install", "/root/storehub_1.0.0_amd64.deb")
	m.write(format, written)
	m.active()

	s.MendInternet()
	m.until("everything has an outcome", func() bool {
		out, err := m.run("hub", "queue", "list", "--state", "succeeded", "--limit", strconv.Itoa(2*operations), "--format", "json")
		return err == nil && strings.Count(string(out), `"ref"`) == operations
	})
	for _, pi := range intents {
		s.WantCapturedOnce(pi, 100)
	}

	m.must("dpkg", "--remove", "storehub")
	if !m.has("/var/lib/private/storehub/released") || !m.has("/etc/storehub/hub.yaml") {
		t.Error("a removal takes data or configuration, or leaves no word that they may go")
	}
	// A machine whose removal nobody looked at: wiped by hand only.
	released := m.read("/var/lib/private/storehub/released")
	m.must("rm", "/var/lib/private/storehub/released")
	m.refused("nobody has said that it holds no payments", "dpkg", "--purge", "storehub")
	m.write("/var/lib/private/storehub/released", released)
	m.must("dpkg", "--purge", "storehub")
	for _, dir := range []string{"/var/lib/private/storehub", "/var/lib/storehub", "/var/lib/private/storehub-keys", "/var/lib/storehub-keys", "/etc/storehub"} {
		if m.has(dir) {
			t.Errorf("a purge leaves %s", dir)
		}
	}
}

// sealed builds the packages, and runs this test in a copy of this program in
// namespaces of its own: it has no network but loopback, and what it starts ends
// with it. The copy, which is headquarters and Stripe, has no race detector: the hub
// that is installed has none either, and a thousand captures would take minutes.
func sealed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("systemd-nspawn needs root")
	}
	dir := t.TempDir()
	for _, version := range []string{"1.0.0", "1.1.0"} {
		deb := only(t, packages(t, version), "*.deb")
		if err := os.Symlink(deb, filepath.Join(dir, filepath.Base(deb))); err != nil {
			t.Fatal(err)
		}
	}
	self := filepath.Join(t.TempDir(), "sealed.test")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", self, ".")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", compile.Args, err, out)
	}
	c := exec.CommandContext(t.Context(), "unshare", "-nmpf", "--kill-child", "--mount-proc", "--propagation", "private",
		self, "-test.run", "^"+t.Name()+"$", "-test.timeout", "15m", "-test.v")
	c.Env = append(os.Environ(), sealedWith+"="+dir)
	c.Cancel = func() error { return c.Process.Kill() }
	c.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// It takes longest, mostly by waiting: it is under way before the others begin.
	t.Parallel()
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	_, after, found := strings.Cut(out.String(), timed)
	said, _, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatalf("nothing says how long a fresh machine took:\n%s", out.Bytes())
	}
	t.Log(timed + said)
}

// machine is a Debian under systemd, in the network of this process.
type machine struct {
	t      *testing.T
	root   string // of its file system, as seen from outside
	leader string // its first process
}

// boot starts it on a fresh copy of the tree that the Makefile has made.
func boot(t *testing.T) *machine {
	t.Helper()
	tree, err := filepath.Abs("../.tools/debian")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tree + ".made"); err != nil {
		t.Fatalf("the tree of a Debian is missing, `make race` makes it: %v", err)
	}
	over := t.TempDir()
	if _, err := run(t, "mount", "-t", "tmpfs", "tmpfs", over); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, root: filepath.Join(over, "root")}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(over, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run(t, "mount", "-t", "overlay", "overlay", "-o",
		fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", tree, over, over), m.root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{m.root, over} {
			if _, err := run(t, "umount", "--lazy", dir); err != nil {
				t.Error(err)
			}
		}
	})
	c := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=read-only", "--directory", m.root, "--boot")
	var console bytes.Buffer
	c.Stdout, c.Stderr = &console, &console
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
		if t.Failed() {
			t.Logf("console:\n%s", console.Bytes())
		}
	})
	m.until("the machine is up", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the machine does not start: %v\n%s", err, console.Bytes())
		default:
		}
		// For a moment the child is one that only makes the machine's first process.
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid))
		children := strings.Fields(string(b))
		if len(children) != 1 {
			return false
		}
		m.leader = children[0]
		out, _ := m.run("systemctl", "is-system-running")
		said := strings.TrimSpace(string(out))
		return said == "running" || said == "degraded"
	})
	return m
}

// run runs a command in the machine.
func (m *machine) run(command ...string) ([]byte, error) {
	return run(m.t, "nsenter", append([]string{"--target", m.leader, "--all", "--", "env", "DEBIAN_FRONTEND=noninteractive"}, command...)...)
}

func run(t *testing.T, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

func (m *machine) must(command ...string) []byte {
	m.t.Helper()
	out, err := m.run(command...)
	if err != nil {
		log, _ := m.run("journalctl", "--unit", "storehub", "--lines", "30", "--no-pager")
		m.t.Fatalf("%v\n%s", err, log)
	}
	return out
}

// refused wants a command to fail and to say so.
func (m *machine) refused(says string, command ...string) {
	m.t.Helper()
	if out, err := m.run(command...); err == nil || !strings.Contains(err.Error(), says) {
		m.t.Fatalf("%q: %v\n%s\nwant a refusal with %q", command, err, out, says)
	}
}

// timed begins the line that says how long a fresh machine took.
const timed = "fresh machine: "

// fresh installs and enrols by two files and one command, as docs/operations.md says,
// and tells how long it takes until the service serves, and until a first diagnosis. That
// one cannot be green: the machine has loopback and no more.
func (m *machine) fresh(dir, version string) {
	m.t.Helper()
	file := m.copy(dir, version)
	start := time.Now()
	m.must("apt-get", "install", "--yes", file)
	installed := time.Since(start)
	m.active()
	serves := time.Since(start)
	out, err := m.run("hub", "diagnose", "--format", "json")
	diagnosed := time.Since(start)
	var report struct {
		Causes []struct{ Code string }
		Probes []struct{ Name, Status string }
	}
	var exit *exec.ExitError
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil || !errors.As(err, &exit) || exit.ExitCode() != 1 {
		m.t.Fatalf("the first diagnosis: %v, %v: want one with exit code 1\n%s", jsonErr, err, out)
	}
	if len(report.Causes) != 1 || report.Causes[0].Code != "link_down" {
		m.t.Errorf("the first diagnosis names %v, want the missing network alone", report.Causes)
	}
	if !slices.Contains(report.Probes, struct{ Name, Status string }{"hq", "pass"}) {
		m.t.Errorf("the first diagnosis does not find headquarters: %v", report.Probes)
	}
	m.t.Logf(timed+"installed and enrolled after %.1f s, serves after %.1f s, first diagnosis after %.1f s",
		installed.Seconds(), serves.Seconds(), diagnosed.Seconds())
}

// copy brings a package into the machine, and returns where it is there.
func (m *machine) copy(dir, version string) string {
	m.t.Helper()
	file := "/root/storehub_" + version + "_amd64.deb"
	b, err := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(file, string(b))
	return file
}

func (m *machine) install(dir, version string) {
	m.t.Helper()
	m.must("dpkg", "--force-confold", "--install", m.copy(dir, version))
}

func (m *machine) until(what string, happened func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(50 * time.Millisecond) { // a machine of its own: there is nothing to subscribe to
		if time.Now().After(end) {
			log, _ := m.run("journalctl", "--lines", "30", "--no-pager")
			list, _ := m.run("hub", "queue", "list", "--limit", "5")
			own, _ := m.run("tail", "-n", "40", "/var/lib/private/storehub/log/hub.log")
			log = append(append(log, list...), own...)
			m.t.Fatalf("waited %v for: %s\n%s", patience, what, log)
		}
	}
}

// active waits until the service serves.
func (m *machine) active() {
	m.t.Helper()
	m.until("the service is up", func() bool {
		_, err := m.run("systemctl", "is-active", "--quiet", "storehub")
		return err == nil
	})
}

func (m *machine) pid() string {
	m.t.Helper()
	return strings.TrimSpace(string(m.must("systemctl", "show", "--property", "MainPID", "--value", "storehub")))
}

// inside is a file of the machine, seen from outside.
func (m *machine) inside(path string) string { return filepath.Join("/proc", m.leader, "root", path) }

func (m *machine) has(path string) bool {
	_, err := os.Lstat(m.inside(path))
	return err == nil
}

func (m *machine) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.inside(path))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.inside(path)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.inside(path), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}
