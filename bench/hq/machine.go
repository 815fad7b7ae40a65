package main

import (
	"os"
	"strconv"

	"storehub/bench/proc"
)

// rssAnon is a process's memory that no file backs, in bytes; -1: not known.
func rssAnon(pid int) int64 { return proc.RSSAnon(strconv.Itoa(pid)) }

// cpuOf is a process's time of the processor in seconds, with the children it has
// waited for; 0: not known.
func cpuOf(pid int) float64 {
	s, _ := proc.ReadStat(strconv.Itoa(pid))
	return s.Own + s.Children
}

// cost is the processor's time by who took it, in seconds, or in µs a request.
type cost struct {
	Headquarters float64 `json:"headquarters"`
	PostgreSQL   float64 `json:"postgresql"`
	Nginx        float64 `json:"nginx"`
	Sandbox      float64 `json:"sandbox"`
	Callers      float64 `json:"callers"`
}

// spent is what has been taken so far.
func (b *bench) spent(replicas []*child) (c cost) {
	self, _ := proc.ReadStat("self")
	who := map[int]*float64{os.Getpid(): &c.Callers}
	for _, r := range replicas {
		who[r.cmd.Process.Pid] = &c.Headquarters
	}
	if b.stripe != nil {
		who[b.stripe.cmd.Process.Pid] = &c.Sandbox
	}
	_ = proc.Each(func(pid string, s proc.Stat) { // not known: 0
		n, _ := strconv.Atoi(pid)
		switch to := who[n]; {
		case to != nil:
			*to += s.Own
		case s.Session != self.Session && s.In(self.Session):
			c.PostgreSQL += s.Own
		case s.Session == self.Session && s.Name == "nginx":
			c.Nginx += s.Own
		}
	})
	return c
}

// each is what a request took since before, in µs.
func (c cost) each(before cost, requests int) cost {
	per := func(now, then float64) float64 { return 1e6 * (now - then) / float64(max(1, requests)) }
	return cost{per(c.Headquarters, before.Headquarters), per(c.PostgreSQL, before.PostgreSQL), per(c.Nginx, before.Nginx),
		per(c.Sandbox, before.Sandbox), per(c.Callers, before.Callers)}
}
