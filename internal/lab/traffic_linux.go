package lab

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Traffic is what passed in bytes, both ways, frames and all.
type Traffic struct {
	LAN int64 // on the hub's cable
	WAN int64 // on the shop's line
}

func (t Traffic) less(o Traffic) Traffic { return Traffic{t.LAN - o.LAN, t.WAN - o.WAN} }

// traffic is what has passed since the shop was built, as the kernel counts it.
func (s *Shop) traffic() (t Traffic, err error) {
	if t.LAN, err = s.carried("hub", "eth0"); err != nil {
		return t, err
	}
	t.WAN, err = s.carried("router", "wan0")
	return t, err
}

func (s *Shop) carried(machine, card string) (sum int64, err error) {
	dir := "/sys/class/net/" + card + "/statistics/"
	out, err := exec.Command("ip", "netns", "exec", s.ns(machine), "cat", dir+"rx_bytes", dir+"tx_bytes").Output()
	if err != nil {
		return 0, fmt.Errorf("count bytes of %s at %s: %w", card, machine, err)
	}
	for _, field := range strings.Fields(string(out)) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("count bytes of %s at %s: %w", card, machine, err)
		}
		sum += n
	}
	return sum, nil
}
