package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"slices"
	"strings"
)

// Fingerprint tells this machine from another that has a copy of its disk's
// files: the machine id, hashed, so that it serves no other purpose; without one
// the name and the network cards.
func Fingerprint() string {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if b, err := os.ReadFile(file); err == nil && len(strings.TrimSpace(string(b))) >= 32 {
			return hashed("machine-id", strings.TrimSpace(string(b)))
		}
	}
	parts := []string{"cards"}
	if name, err := os.Hostname(); err == nil {
		parts = append(parts, name)
	}
	cards, _ := net.Interfaces() // none is a fingerprint too
	var macs []string
	for _, c := range cards {
		// Locally administered addresses are made up anew for containers and by
		// privacy settings.
		if len(c.HardwareAddr) == 6 && c.HardwareAddr[0]&2 == 0 {
			macs = append(macs, c.HardwareAddr.String())
		}
	}
	slices.Sort(macs)
	return hashed(append(parts, macs...)...)
}

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte("storehub fingerprint\x00" + strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
