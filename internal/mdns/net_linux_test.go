package mdns

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// role says what a process of this test binary is: "" was started by go test,
// "tests" runs the tests inside a network of its own, the others are machines on
// the far end of a wire.
const role = "STOREHUB_MDNS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		cmd := inNewNetwork("tests", os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "make a network for the tests (needs root or user namespaces):", err)
			os.Exit(1)
		}
	case "tests":
		verify(m)
	default:
		if err := farMachine(os.Getenv(role)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// inNewNetwork is this binary in a network namespace of its own, in which it is root.
func inNewNetwork(as string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if as == "avahi" {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// ip runs the tool of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func mustIP(t *testing.T, args string) {
	t.Helper()
	if err := ip(strings.Fields(args)...); err != nil {
		t.Fatal(err)
	}
}

// machine is a process in a network of its own at the far end of a wire.
type machine struct {
	stdin *bufio.Writer
	lines *bufio.Scanner
}

// wireTo lays a wire from a new card of this machine to a new machine.
func wireTo(t *testing.T, as, near, nearAddr, farAddr string) *machine {
	t.Helper()
	cmd := inNewNetwork(as)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("far machine %s: %v", as, err)
		}
		_ = ip("link", "del", near)
	})
	far := "far" + near
	mustIP(t, "link add "+near+" type veth peer name "+far)
	mustIP(t, "link set "+far+" netns "+strconv.Itoa(cmd.Process.Pid))
	m := &machine{bufio.NewWriter(in), bufio.NewScanner(out)}
	if got := m.ask(t, far+" "+farAddr); got != "up" {
		t.Fatalf("far machine says %q", got)
	}
	mustIP(t, "addr add "+nearAddr+" dev "+near)
	mustIP(t, "link set "+near+" up")
	return m
}

// ask says a line to the machine and returns its answer.
func (m *machine) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := m.stdin.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := m.stdin.Flush(); err != nil {
		t.Fatal(err)
	}
	if !m.lines.Scan() {
		t.Fatalf("far machine went away: %v", m.lines.Err())
	}
	return m.lines.Text()
}

// browse asks the machine to look until it sees what is wanted.
func (m *machine) browse(t *testing.T, want func([]Peer) bool) []Peer {
	t.Helper()
	var peers []Peer
	for range 30 {
		if err := json.Unmarshal([]byte(m.ask(t, "browse")), &peers); err != nil {
			t.Fatal(err)
		}
		if want(peers) {
			return peers
		}
	}
	t.Fatalf("the far machine sees %+v", peers)
	return nil
}

// farMachine takes its card and address from the first line; then it browses, or
// listens for what is said, once for each line.
func farMachine(as string) error {
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return in.Err()
	}
	name, addr, _ := strings.Cut(in.Text(), " ")
	// The name has been reserved for virtual cards by nobody.
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"link", "set", name, "name", "lan0"}, {"addr", "add", addr, "dev", "lan0"}, {"link", "set", "lan0", "up"}} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	iface, err := net.InterfaceByName("lan0")
	if err != nil {
		return err
	}
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	var conn *net.UDPConn
	if as == "listener" {
		if conn, err = net.ListenMulticastUDP("udp4", iface, group); err != nil {
			return err
		}
		defer conn.Close()
	}
	var browser *avahi
	if as == "avahi" {
		browser, err = openAvahi()
		defer browser.close()
		if err != nil {
			return fmt.Errorf("open avahi: %w", err)
		}
	}
	fmt.Println("up")
	for in.Scan() {
		switch in.Text() {
		case "next":
			if browser != nil {
				fmt.Println(browser.next())
			} else {
				fmt.Println(heardNext(conn))
			}
			continue
		case "look":
			fmt.Println(browser.look())
			continue
		case "addresses":
			list, err := heardAddresses(conn, group)
			if err != nil {
				return err
			}
			fmt.Println(list)
			continue
		}
		peers, err := Browse(context.Background(), 300*time.Millisecond)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(peers); err != nil {
			return err
		}
	}
	return in.Err()
}

// answers reads what is said until yield has enough or nothing more comes.
func answers(conn *net.UDPConn, yield func(rr dns.RR) (more bool)) {
	buf := make([]byte, 9000)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		var m dns.Msg
		if m.Unpack(buf[:n]) != nil || !m.Response {
			continue
		}
		for _, rr := range append(m.Answer, m.Extra...) {
			if !yield(rr) {
				return
			}
		}
	}
}

// heardNext waits for the next word about a hub: "announced" or "goodbye".
func heardNext(conn *net.UDPConn) (word string) {
	answers(conn, func(rr dns.RR) bool {
		if rr.Header().Rrtype == dns.TypeSRV && strings.HasSuffix(rr.Header().Name, ServiceType+".local.") {
			if word = "announced"; rr.Header().Ttl == 0 {
				word = "goodbye"
			}
		}
		return word == ""
	})
	return word
}

// heardAddresses asks for hubs and lists every IPv4 address in any answer: the
// library's own browser would keep the first answer alone.
func heardAddresses(conn *net.UDPConn, group *net.UDPAddr) (string, error) {
	q := new(dns.Msg)
	q.SetQuestion(ServiceType+".local.", dns.TypePTR)
	b, err := q.Pack()
	if err != nil {
		return "", err
	}
	if _, err := conn.WriteTo(b, group); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return "", err
	}
	defer conn.SetReadDeadline(time.Time{})
	var list []string
	answers(conn, func(rr dns.RR) bool {
		if a, ok := rr.(*dns.A); ok && !slices.Contains(list, a.A.String()) {
			list = append(list, a.A.String())
		}
		return true
	})
	slices.Sort(list)
	return strings.Join(list, " "), nil
}

// running announces a hub until the test ends or stop is called.
func running(t *testing.T, s Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- announce(ctx, s, 20*time.Millisecond) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(4 * time.Second):
			t.Error("Announce did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func sees(addrs ...string) func([]Peer) bool {
	var want []netip.Addr
	for _, a := range addrs {
		want = append(want, netip.MustParseAddr(a))
	}
	return func(peers []Peer) bool {
		return len(peers) == 1 && slices.Equal(slices.DeleteFunc(slices.Clone(peers[0].Addrs), netip.Addr.Is6), want)
	}
}

func TestEachCardAnnouncesItsOwnAddressesAlone(t *testing.T) {
	left := wireTo(t, "browser", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	right := wireTo(t, "browser", "lan1", "10.2.0.1/24", "10.2.0.2/24")
	running(t, Service{Instance: "Store 0412, St. Gallen", Port: 7443, Text: []string{"store=0412", `dir=C:\hub`}})
	p := left.browse(t, sees("10.1.0.1"))[0]
	right.browse(t, sees("10.2.0.1"))
	if p.Instance != "Store 0412, St. Gallen" || p.Port != 7443 || p.Text["store"] != "0412" || p.Text["dir"] != `C:\hub` || !strings.HasSuffix(p.Host, ".local") {
		t.Errorf("the far machine sees %+v", p)
	}
}

func TestNoCardHearsTheAddressOfAnother(t *testing.T) {
	left := wireTo(t, "listener", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	right := wireTo(t, "listener", "lan1", "10.2.0.1/24", "10.2.0.2/24")
	running(t, Service{Instance: "hub", Port: 7443})
	for _, far := range []struct {
		*machine
		want string
	}{{left, "10.1.0.1"}, {right, "10.2.0.1"}} {
		answered := 0
		for range 30 {
			switch got := far.ask(t, "addresses"); got {
			case "": // not announced yet
			case far.want:
				answered++
			default:
				t.Fatalf("the machine behind %s hears %q", far.want, got)
			}
			if answered == 3 {
				break
			}
		}
		if answered < 3 {
			t.Errorf("the machine behind %s hears nothing", far.want)
		}
	}
}

func TestTwoHubsAreBothFound(t *testing.T) {
	till := wireTo(t, "browser", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	running(t, Service{Instance: "one", Port: 7443})
	running(t, Service{Instance: "two", Port: 7444})
	peers := till.browse(t, func(p []Peer) bool { return len(p) == 2 })
	if peers[0].Instance != "one" || peers[1].Instance != "two" || peers[1].Port != 7444 {
		t.Errorf("the far machine sees %+v", peers)
	}
}

func TestNewAddressIsAnnounced(t *testing.T) {
	till := wireTo(t, "browser", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	running(t, Service{Instance: "hub", Port: 7443})
	till.browse(t, sees("10.1.0.1"))
	mustIP(t, "addr add 10.1.0.77/24 dev lan0")
	mustIP(t, "addr del 10.1.0.1/24 dev lan0")
	mustIP(t, "addr replace 10.1.0.77/24 dev lan0")
	till.browse(t, sees("10.1.0.77"))
}

func TestCardThatComesUpLaterIsFound(t *testing.T) {
	running(t, Service{Instance: "hub", Port: 7443}) // with no card at all
	till := wireTo(t, "browser", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	till.browse(t, sees("10.1.0.1"))
}

func TestEndSaysGoodbye(t *testing.T) {
	till := wireTo(t, "listener", "lan0", "10.1.0.1/24", "10.1.0.2/24")
	stop := running(t, Service{Instance: "hub", Port: 7443})
	if got := till.ask(t, "next"); got != "announced" {
		t.Fatalf("heard %q", got)
	}
	stop()
	for {
		switch got := till.ask(t, "next"); got {
		case "announced":
		case "goodbye":
			return
		default:
			t.Fatalf("heard %q", got)
		}
	}
}

func TestBrowseWithoutNetworkFindsNothing(t *testing.T) {
	peers, err := Browse(t.Context(), 10*time.Millisecond)
	if err != nil || len(peers) != 0 {
		t.Errorf("got %v, %v", peers, err)
	}
}

func TestLoopbackServesWhenItIsAlone(t *testing.T) {
	mustIP(t, "link set lo up")
	defer mustIP(t, "link set lo down")
	running(t, Service{Instance: "hub", Port: 7443})
	for range 30 {
		peers, err := Browse(t.Context(), 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if sees("127.0.0.1")(peers) {
			return
		}
	}
	t.Error("the hub on loopback was not found")
}

func TestServiceMustHaveNameAndPort(t *testing.T) {
	for _, s := range []Service{{Port: 1}, {Instance: "x"}, {Instance: "x", Port: 65536}, {Instance: strings.Repeat("x", 64), Port: 1}} {
		if err := Announce(t.Context(), s); err == nil {
			t.Errorf("%+v was announced", s)
		}
	}
}
