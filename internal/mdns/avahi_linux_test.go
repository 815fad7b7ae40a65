package mdns

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// avahiConf has a real avahi listen on the one card, and run without the system's own
// user, bus and directories.
const avahiConf = `[server]
use-ipv4=yes
use-ipv6=no
allow-interfaces=lan0
enable-dbus=yes
[publish]
disable-publishing=yes
`

// busConf is a bus of the test's own, for avahi-browse to ask avahi-daemon by.
const busConf = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
`

// avahi is what a real avahi browser of hubs says: the lines of one that goes on, and
// all at once of one that looks now.
type avahi struct {
	lines chan string
	look  func() string
	stop  []func()
}

// openAvahi starts a bus, avahi-daemon and avahi-browse in this process's network.
func openAvahi() (*avahi, error) {
	a := &avahi{lines: make(chan string, 256)}
	// avahi-daemon keeps its socket in /run, which here is this process's own.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return a, fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, ""); err != nil {
		return a, fmt.Errorf("cover /run: %w", err)
	}
	bus := "/run/bus"
	for name, text := range map[string]string{"avahi.conf": avahiConf, "bus.conf": fmt.Sprintf(busConf, bus)} {
		if err := os.WriteFile(filepath.Join("/run", name), []byte(text), 0o644); err != nil {
			return a, err
		}
	}
	if err := os.MkdirAll("/run/avahi-daemon", 0o755); err != nil {
		return a, err
	}
	program := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(name, args...)
		c.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+bus, "LC_ALL=C")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return c
	}
	run := func(c *exec.Cmd) error {
		if err := c.Start(); err != nil {
			return err
		}
		a.stop = append(a.stop, func() {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			_ = c.Wait() // it was killed
		})
		return nil
	}
	exists := func(path string) error {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(path); err == nil || time.Now().After(end) {
				return err
			}
		}
	}
	daemon := program("dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile")
	if err := run(daemon); err != nil {
		return a, err
	}
	if err := exists(bus); err != nil {
		return a, err
	}
	daemon = program("avahi-daemon", "--file=/run/avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits")
	if err := run(daemon); err != nil {
		return a, err
	}
	if err := exists("/run/avahi-daemon/socket"); err != nil {
		return a, err
	}
	a.look = func() string {
		c := program("avahi-browse", "--parsable", "--resolve", "--no-db-lookup", "--terminate", ServiceType)
		out, err := c.Output()
		if err != nil {
			return err.Error()
		}
		return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", " | ")
	}
	browse := program("avahi-browse", "--parsable", "--resolve", "--no-db-lookup", ServiceType)
	out, err := browse.StdoutPipe()
	if err != nil {
		return a, err
	}
	if err := run(browse); err != nil {
		return a, err
	}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			a.lines <- in.Text()
		}
		close(a.lines)
	}()
	return a, nil
}

// next is the browser's next line; "" if none comes.
func (a *avahi) next() string {
	select {
	case line := <-a.lines:
		return line
	case <-time.After(20 * time.Second):
		return ""
	}
}

// close ends all that was started, the last one first.
func (a *avahi) close() {
	for i := len(a.stop) - 1; i >= 0; i-- {
		a.stop[i]()
	}
}

// hears waits for a line of avahi-browse that begins and ends so.
func (m *machine) hears(t *testing.T, begins, ends string) string {
	t.Helper()
	var heard []string
	for range 100 {
		line := m.ask(t, "next")
		if line == "" {
			break
		}
		if strings.HasPrefix(line, begins) && strings.HasSuffix(line, ends) {
			return line
		}
		heard = append(heard, line)
	}
	t.Fatalf("avahi-browse never says %s…%s; it says\n%s", begins, ends, strings.Join(heard, "\n"))
	return ""
}

// TestARealAvahiSeesTheHub, its new address, and its goodbye.
func TestARealAvahiSeesTheHub(t *testing.T) {
	for _, tool := range []string{"dbus-daemon", "avahi-daemon", "avahi-browse"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: make apt installs it", err)
		}
	}
	till := wireTo(t, "avahi", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	stop := running(t, Service{Instance: "storehub 0412", Port: 7443, Text: []string{"store=0412", "path=/v1"}})
	const name = `;lan0;IPv4;storehub\032` + "0412;_storehub._tcp;local"
	line := till.hears(t, "="+name, `;10.1.0.1;7443;"path=/v1" "store=0412"`)
	if host := strings.Split(line, ";")[6]; !strings.HasSuffix(host, ".local") {
		t.Errorf("its host is %q", host)
	}
	mustIP(t, "addr add 10.1.0.77/24 dev lan0")
	mustIP(t, "addr del 10.1.0.1/24 dev lan0")
	mustIP(t, "addr replace 10.1.0.77/24 dev lan0")
	// A browser that goes on says nothing of a hub that stays: who looks now is told.
	seen := ""
	for range 100 {
		if seen = till.ask(t, "look"); strings.HasSuffix(seen, `;10.1.0.77;7443;"path=/v1" "store=0412"`) {
			break
		}
	}
	if !strings.Contains(seen, ";10.1.0.77;") || strings.Contains(seen, ";10.1.0.1;") {
		t.Errorf("after the address has changed avahi sees %s", seen)
	}
	stop()
	till.hears(t, "-"+name, "")
}
