package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of the shop.
const (
	gatewayIP = "192.168.50.1"
	hubIP     = "192.168.50.21"
	posIP     = "192.168.50.22"
	reader1IP = "192.168.50.31"
	reader2IP = "192.168.50.32"
)

// machines are the namespaces of a shop. Switches live in one of their own, so
// that no cable ends in the namespace of the program.
var machines = []string{"sw", "hub", "pos", "reader1", "reader2", "rogue", "router", "isp", "inet"}

// Shop is one shop, healthy when it opens.
type Shop struct {
	id  string
	dir string // its files

	world     *world
	public    *authority
	inspector *authority

	readersAt []string // what the hub's configuration names
	nobody    bool     // the doctor has no rights
	hq        string   // and where headquarters is, if anywhere

	ended chan struct{}
	tasks sync.WaitGroup

	mu      sync.Mutex
	closers []func()
	running map[string]*exec.Cmd
	readers map[string]net.Listener
}

// open builds a healthy shop; id tells shops side by side apart.
func open(id, dir string, public, inspector *authority) (*Shop, error) {
	s := &Shop{readersAt: []string{reader1IP, reader2IP}, id: id, dir: dir, world: &world{}, public: public, inspector: inspector, ended: make(chan struct{}), running: map[string]*exec.Cmd{}, readers: map[string]net.Listener{}}
	if err := s.build(); err != nil {
		s.close()
		return nil, fmt.Errorf("build shop: %w", err)
	}
	return s, nil
}

func (s *Shop) build() error {
	if err := os.MkdirAll(filepath.Join(s.dir, "state"), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "empty"), 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"ca.pem": string(s.public.pem()),
		"ranges": "198.18.0.0/15 # where the lab's internet is\n",
		"udhcpc": udhcpcScript,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for _, m := range machines {
		etc := filepath.Join("/etc/netns", s.ns(m))
		if err := os.MkdirAll(etc, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(etc, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
			return err
		}
		if err := s.resolver(m); err != nil {
			return err
		}
	}
	if err := s.wire(); err != nil {
		return err
	}
	if err := s.nft("router", routerRules); err != nil {
		return err
	}
	if err := s.serveInternet(); err != nil {
		return err
	}
	for _, r := range []string{"reader1", "reader2"} {
		if err := s.serveReader(r); err != nil {
			return err
		}
	}
	if err := s.dhcpd(); err != nil {
		return err
	}
	return s.lease("hub", "eth0")
}

// close takes the shop down, whatever state it is in.
func (s *Shop) close() {
	close(s.ended)
	s.mu.Lock()
	closers, running := s.closers, s.running
	s.closers, s.running = nil, nil
	s.mu.Unlock()
	for _, c := range running {
		end(c)
	}
	for _, f := range closers {
		f()
	}
	var gone []string
	for _, m := range machines {
		gone = append(gone, "netns del "+s.ns(m))
	}
	_ = command("ip", strings.Join(gone, "\n"), "-force", "-batch", "-") // some may never have been
	s.tasks.Wait()
	for _, m := range machines {
		_ = os.RemoveAll(filepath.Join("/etc/netns", s.ns(m)))
	}
	_ = os.RemoveAll(s.dir)
}

func (s *Shop) ns(machine string) string { return s.id + "-" + machine }

// atEnd has f called when the shop closes.
func (s *Shop) atEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, f)
}

// spawn runs f, which ends when the shop's sockets close.
func (s *Shop) spawn(f func()) { s.tasks.Go(f) }

// within runs f in the machine's namespace: what sockets it opens stay there.
func (s *Shop) within(machine string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread dies with this goroutine, and nobody else ever runs in that namespace
		ns, err := os.Open(filepath.Join("/run/netns", s.ns(machine)))
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter %s: %w", machine, err)
			return
		}
		done <- f()
	}()
	return <-done
}

func (s *Shop) listen(machine, addr string) (ln net.Listener, err error) {
	err = s.within(machine, func() (err error) { ln, err = net.Listen("tcp", addr); return err })
	if err == nil {
		s.atEnd(func() { ln.Close() })
	}
	return ln, err
}

func (s *Shop) listenPacket(machine, addr string) (pc net.PacketConn, err error) {
	err = s.within(machine, func() (err error) { pc, err = net.ListenPacket("udp", addr); return err })
	if err == nil {
		s.atEnd(func() { pc.Close() })
	}
	return pc, err
}

func (s *Shop) dial(machine, addr string) (c net.Conn, err error) {
	err = s.within(machine, func() (err error) { c, err = net.DialTimeout("tcp", addr, 5*time.Second); return err })
	return c, err
}

// command runs a program to its end. Its words are the error.
func command(name, input string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	return told(c, c.Run)
}

func told(c *exec.Cmd, run func() error) error {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// exec runs a program in a machine's network, to its end.
func (s *Shop) exec(machine string, args ...string) error {
	c := exec.Command(args[0], args[1:]...)
	return told(c, func() error { return s.within(machine, c.Run) })
}

// ip gives lines to ip(8) in a machine.
func (s *Shop) ip(machine string, lines ...string) error {
	return command("ip", strings.Join(lines, "\n")+"\n", "-n", s.ns(machine), "-batch", "-")
}

// nft gives rules to nft(8) in a machine.
func (s *Shop) nft(machine, rules string) error {
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(rules)
	return told(c, func() error { return s.within(machine, c.Run) })
}

// start runs a program in a machine until it is stopped or the shop closes.
func (s *Shop) start(name, machine string, c *exec.Cmd) error {
	s.stop(name)
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.within(machine, c.Start); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[name] = c
	return nil
}

// stop ends what start began under that name.
func (s *Shop) stop(name string) {
	s.mu.Lock()
	c := s.running[name]
	delete(s.running, name)
	s.mu.Unlock()
	if c != nil {
		end(c)
	}
}

func end(c *exec.Cmd) {
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // the group: a client's script may be under way
	_ = c.Wait()                                      // it was killed
}

var errLate = errors.New("it takes too long")

// until waits for something that happens outside this program.
func until(limit time.Duration, what string, f func() bool) error {
	for end := time.Now().Add(limit); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("wait for %s: %w", what, errLate)
		}
	}
	return nil
}
