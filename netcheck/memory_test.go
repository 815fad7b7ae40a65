package netcheck

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAReaderThatMovedIsFoundByItsHardwareAddress(t *testing.T) {
	t.Parallel()
	targets := shop
	targets.StateDir = t.TempDir()
	w := newWorld(t)
	w.run(targets)

	was := netip.MustParseAddr("192.168.1.31")
	w.found = map[string]netip.Addr{w.macs[was][0]: netip.MustParseAddr("192.168.1.77")}
	delete(w.macs, was)
	w.fate["tcp 192.168.1.31:4443"] = "unreachable"
	p := probes(w.run(targets))["reader/192.168.1.31"]
	if p.Code != "reader_moved" || p.Evidence["moved_to"] != "192.168.1.77" {
		t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
	}
	if p := probes(w.run(shop))["reader/192.168.1.31"]; p.Code != "reader_offline" {
		t.Errorf("without a memory: %q, want reader_offline", p.Code)
	}
}

func TestADHCPServerThatFellSilentIsMissed(t *testing.T) {
	t.Parallel()
	targets := Targets{StateDir: t.TempDir()}
	w := newWorld(t)
	w.run(targets)
	w.dhcp = nil
	if p := probes(w.run(targets))["dhcp"]; p.Status != Warn || p.Code != "dhcp_silent" {
		t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
	}
}

func TestMemoryThatIsDamagedOldOrOutOfReachIsEmpty(t *testing.T) {
	now := time.Now()
	for name, text := range map[string]string{
		"damaged":   `{"version":1,"neighbours":{"192.`,
		"newer":     `{"version":2,"neighbours":{"192.168.1.5":{"mac":"x","seen":"` + now.Format(time.RFC3339) + `"}}}`,
		"old":       `{"version":1,"neighbours":{"192.168.1.5":{"mac":"x","seen":"2001-01-01T00:00:00Z"}}}`,
		"nonsense":  `{"version":1,"neighbours":{"kitchen":{}}}`,
		"null maps": `{"version":1,"neighbours":null,"dhcp":null}`,
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, memoryFile), []byte(text), 0o600))
		if m := recall(dir, now); m.Version != 1 || len(m.Neighbours) != 0 || m.DHCP == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	recall(filepath.Join(t.TempDir(), "none"), now).keep(filepath.Join(t.TempDir(), "none")) // neither fails nor makes the directory
}
