package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// probeHijack visits a host that did not prove itself, or was silent, at the
// address that a public resolver gives. If it proves itself there, the shop's
// DNS led astray; if it does not, the trouble is on the way.
func (c *checker) probeHijack(ctx context.Context) Result {
	var v *visit
	var local, public []netip.Addr
	c.note(func() {
		for _, h := range slices.Concat(required, []string{events}) {
			d := c.hosts[h]
			if d == nil || d.proven || d.stage == "done" || len(c.public[h]) == 0 {
				continue
			}
			if !slices.ContainsFunc(c.public[h], func(a netip.Addr) bool { return slices.Contains(c.addrs[h], a) }) {
				v, local, public = d, c.addrs[h], c.public[h]
				return
			}
		}
	})
	if v == nil {
		return Result{}
	}
	there := &visit{endpoint: v.endpoint, stage: "tcp"}
	ev := map[string]any{"host": v.name, "local_address": join(local), "public_address": join(public)}
	conn, err := c.connectAny(ctx, public, v.port, there)
	if err == nil {
		c.overTLS(ctx, conn, there, map[string]any{})
		conn.Close()
	}
	ev["proven_there"] = there.proven
	if there.proven {
		return Result{Status: Fail, Code: "dns_hijacked", Evidence: ev, Detail: fmt.Sprintf(
			"the shop's DNS leads %s to %s, which cannot prove to be it; at %s it does", v.name, join(local), there.addr)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%s does not prove itself at %s either", v.name, join(public))}
}
