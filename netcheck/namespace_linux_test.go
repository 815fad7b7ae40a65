package netcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// sceneVar names the scene that a child of the test builds in its own namespace.
const sceneVar = "NETCHECK_TEST_SCENE"

// inNamespace is the child: it builds the scene, runs the real checks and prints
// the report. Nothing it sends can leave: its namespace has no way out.
func inNamespace() {
	scene := os.Getenv(sceneVar)
	if scene == "" {
		return
	}
	if err := build(scene); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := Run(context.Background(), Targets{Readers: []string{"10.9.0.7"}})
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// build makes one interface and as much of a network behind it as the scene has.
func build(scene string) error {
	if scene == "nothing" {
		return nil
	}
	a := netlink.NewLinkAttrs()
	a.Name = "eth0"
	veth := &netlink.Veth{LinkAttrs: a, PeerName: "peer0"}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	peer, err := netlink.LinkByName("peer0")
	if err != nil {
		return err
	}
	if scene == "no carrier" {
		return nil
	}
	if err := netlink.LinkSetUp(peer); err != nil {
		return err
	}
	// The peer is the switch; as a bridge port it is none of the machine's own cards.
	b := netlink.NewLinkAttrs()
	b.Name = "br-switch"
	bridge := &netlink.Bridge{LinkAttrs: b}
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(peer, bridge); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	if err := awaitCarrier("eth0"); err != nil {
		return err
	}
	if scene == "no address" {
		return nil
	}
	addr, err := netlink.ParseAddr("10.9.0.2/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(veth, addr); err != nil {
		return err
	}
	if scene == "no route" {
		return nil
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: veth.Attrs().Index, Gw: net.IPv4(10, 9, 0, 1)})
}

// awaitCarrier returns when the kernel has noticed that both ends are up.
func awaitCarrier(name string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		cards, err := linuxSystem{}.Cards()
		if err != nil {
			return err
		}
		for _, k := range cards {
			if k.Name == name && k.usable() {
				return nil
			}
		}
	}
	return fmt.Errorf("%s has no carrier after 30 s", name)
}

func TestInANamespace(t *testing.T) {
	for scene, want := range map[string]struct{ probe, code string }{
		"nothing":        {"link", "link_down"},
		"no carrier":     {"link", "link_down"},
		"no address":     {"dhcp", "dhcp_silent"},
		"no route":       {"route", "no_default_gateway"},
		"gateway silent": {"gateway", "gateway_silent"},
	} {
		t.Run(scene, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), sceneVar+"="+scene)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if os.Getuid() != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("the child: %v\n%s(a kernel that forbids namespaces cannot run this test)", err, stderr.String())
			}
			var r Report
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			got := probes(r)
			if p := got[want.probe]; p.Code != want.code {
				t.Errorf("%s is %s %q: %s; want %s", want.probe, p.Status, p.Code, p.Detail, want.code)
			}
			if p := got["https/api.stripe.com"]; p.Status != Skip || p.Because == "" {
				t.Errorf("a host that could not be checked is %s because of %q", p.Status, p.Because)
			}
			if r.Took > 5*time.Second {
				t.Errorf("took %v", r.Took)
			}
		})
	}
}
