package netcheck

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	memoryFile = "netcheck.json"
	memorySize = 256                 // neighbours; a shop has a dozen
	memoryAge  = 30 * 24 * time.Hour // what was not seen for so long says nothing of today
)

// memory is what earlier runs saw. It only ever adds proof: without it, or when
// it is damaged, the checks know less and say nothing wrong.
type memory struct {
	Version    int                   `json:"version"`
	Neighbours map[netip.Addr]memoir `json:"neighbours"`
	DHCP       map[string]memoir     `json:"dhcp"` // servers that offered, by the card's hardware address
}

type memoir struct {
	MAC  string    `json:"mac,omitempty"`
	By   string    `json:"by,omitempty"`
	Seen time.Time `json:"seen"`
}

// recall reads the memory of dir; whatever is wrong with it makes it empty.
func recall(dir string, now time.Time) memory {
	m := memory{Version: 1}
	if dir != "" {
		if raw, err := os.ReadFile(filepath.Join(dir, memoryFile)); err == nil {
			if json.Unmarshal(raw, &m) != nil || m.Version != 1 {
				m = memory{Version: 1}
			}
		}
	}
	if m.Neighbours == nil {
		m.Neighbours = map[netip.Addr]memoir{}
	}
	if m.DHCP == nil {
		m.DHCP = map[string]memoir{}
	}
	for a, n := range m.Neighbours {
		if old := now.Sub(n.Seen); old > memoryAge || old < -memoryAge {
			delete(m.Neighbours, a)
		}
	}
	return m
}

// keep writes the memory by rename. A directory that cannot be written is no
// reason to fail: diagnose may run as anybody.
func (m memory) keep(dir string) {
	if dir == "" || len(m.Neighbours) > memorySize {
		return
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return
	}
	f, err := os.CreateTemp(dir, memoryFile+".*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(raw, '\n'))
	if cerr := f.Close(); err != nil || cerr != nil {
		return
	}
	_ = os.Rename(f.Name(), filepath.Join(dir, memoryFile))
}

// learn takes in what this run saw for certain.
func (c *checker) learn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UTC()
	for a, macs := range c.macs {
		if len(macs) == 1 {
			c.memory.Neighbours[a] = memoir{MAC: macs[0], Seen: now}
		}
	}
	for a, mac := range c.moved { // it is remembered where it is now
		c.memory.Neighbours[a] = memoir{MAC: mac, Seen: now}
	}
	if len(c.offers) > 0 {
		c.memory.DHCP[c.main.MAC.String()] = memoir{By: c.offers[0].Server.String(), Seen: now}
	}
}
