package netcheck

import (
	"net/netip"
	"testing"
	"time"
)

func span(n int, d time.Duration) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}

func TestJudgePath(t *testing.T) {
	const ms = time.Millisecond
	uneven := []time.Duration{20 * ms, 22 * ms, 21 * ms, 23 * ms, 25 * ms, 22 * ms, 24 * ms, 30 * ms, 21 * ms, 22 * ms, 260 * ms, 240 * ms}
	for name, tt := range map[string]struct {
		took []time.Duration
		code string
	}{
		"a good line":         {span(12, 15*ms), ""},
		"distant but even":    {span(12, 220*ms), ""},
		"satellite":           {span(12, 620*ms), "wan_slow"},
		"uneven":              {uneven, "wan_slow"},
		"one late":            {append(span(11, 15*ms), 400*ms), ""},
		"one packet lost":     {append(span(11, 15*ms), 1015*ms), ""},
		"three packets lost":  {append(span(17, 15*ms), 1015*ms, 1030*ms, 3020*ms), "wan_lossy"},
		"three never came":    {append(span(17, 15*ms), 0, 0, 0), "wan_lossy"},
		"three of two rounds": {append(span(37, 15*ms), 0, 0, 0), ""},
		"four of two rounds":  {append(span(36, 15*ms), 0, 0, 0, 0), "wan_lossy"},
		"slow and lossy":      {append(span(9, 700*ms), 1800*ms, 1900*ms, 0), "wan_lossy"},
		"nothing came again":  {span(12, 0), ""},
	} {
		if r := judgePath(tt.took); r.Code != tt.code {
			t.Errorf("%s: %q, want %q (%s)", name, r.Code, tt.code, r.Detail)
		}
	}
}

func TestALinkIsPoorByLossUnevennessOrDistance(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		took []time.Duration
		poor bool
	}{
		"clean":             {span(12, 2*ms), false},
		"asleep":            {append(span(6, 5*ms), span(6, 70*ms)...), false},
		"one late":          {append(span(11, 5*ms), 400*ms), false},
		"two lost":          {append(span(10, 2*ms), 1002*ms, 0), false},
		"three lost":        {append(span(9, 2*ms), 1002*ms, 0, 0), true},
		"three of two":      {append(span(21, 2*ms), 0, 0, 0), false},
		"four of two":       {append(span(20, 2*ms), 0, 0, 0, 0), true},
		"uneven":            {append(span(8, 5*ms), span(4, 180*ms)...), true},
		"a continent away":  {span(12, 300*ms), true},
		"nothing ever came": {span(12, 0), true},
	} {
		if got := linkFault(tt.took); (got != "") != tt.poor {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestNamesThatAreNeverAnsweredAreToldFromLoss(t *testing.T) {
	asked := map[string]int{"a": 3, "b": 3, "c": 3}
	for _, tt := range []struct {
		open map[string]int
		want int
	}{{map[string]int{"a": 3, "b": 3}, 2}, {map[string]int{"a": 3, "b": 1}, 0}, {map[string]int{}, 0}} {
		if got := alwaysOpen(tt.open, asked); len(got) != tt.want {
			t.Errorf("%v: %q", tt.open, got)
		}
	}
	if got := alwaysOpen(map[string]int{"a": 1}, map[string]int{"a": 1}); len(got) != 0 {
		t.Errorf("one question is no proof: %q", got)
	}
}

func TestJudgeClock(t *testing.T) {
	reading := func(ahead ...time.Duration) (out []clockReading) {
		for i, d := range ahead {
			out = append(out, clockReading{Source: string(rune('a' + i)), Ahead: d})
		}
		return out
	}
	for name, tt := range map[string]struct {
		got    []clockReading
		status Status
		code   string
	}{
		"nobody":                 {nil, Unknown, ""},
		"right":                  {reading(0, time.Second, -time.Second), Pass, ""},
		"one says wrong":         {reading(time.Hour), Unknown, ""},
		"one of three":           {reading(time.Hour, 0, 0), Unknown, ""},
		"two agree":              {reading(time.Hour, time.Hour+time.Second), Fail, "clock_wrong"},
		"two wrong, far apart":   {reading(time.Hour, 5*time.Hour), Unknown, ""},
		"ahead":                  {reading(-10*time.Minute, -10*time.Minute), Fail, "clock_wrong"},
		"just inside the bounds": {reading(time.Minute, time.Minute), Pass, ""},
	} {
		if r := judgeClock(tt.got); r.Status != tt.status || r.Code != tt.code {
			t.Errorf("%s: %s %q, want %s %q", name, r.Status, r.Code, tt.status, tt.code)
		}
	}
}

func TestJudgeRate(t *testing.T) {
	for name, tt := range map[string]struct {
		small, padded time.Duration
		code          string
	}{
		"fibre":               {20 * time.Millisecond, 21 * time.Millisecond, ""},
		"no difference":       {20 * time.Millisecond, 19 * time.Millisecond, ""},
		"2 Mbit/s":            {20 * time.Millisecond, 49 * time.Millisecond, ""},
		"300 kbit/s":          {20 * time.Millisecond, 211 * time.Millisecond, "wan_slow"},
		"distant, but a rate": {400 * time.Millisecond, 410 * time.Millisecond, ""},
	} {
		if r := judgeRate("api.stripe.com", tt.small, tt.padded); r.Code != tt.code {
			t.Errorf("%s: %q, want %q (%s)", name, r.Code, tt.code, r.Detail)
		}
	}
}

func TestJudgeHopsMindsOnlyRoutersBeyondTheGateway(t *testing.T) {
	c := newChecker(Targets{})
	c.gateway = netip.MustParseAddr("192.168.1.1")
	hop := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			ip, _ := netip.ParseAddr(a)
			out = append(out, ip)
		}
		return out
	}
	for name, tt := range map[string]struct {
		hops   []netip.Addr
		status Status
		code   string
	}{
		"plain":              {hop("192.168.1.1", "8.20.0.1", "8.20.0.2"), Pass, ""},
		"nobody answers":     {hop("", "", ""), Unknown, ""},
		"gateway alone":      {hop("192.168.1.1", "", ""), Pass, ""},
		"second router":      {hop("192.168.1.1", "192.168.0.1", "8.20.0.1"), Pass, "double_nat"},
		"provider":           {hop("192.168.1.1", "", "100.127.0.1"), Pass, "carrier_nat"},
		"first hop shared":   {hop("100.64.0.1", "8.20.0.1"), Pass, ""},
		"gateway seen again": {hop("192.168.1.1", "192.168.1.1"), Pass, ""},
	} {
		if r := c.judgeHops(tt.hops); r.Status != tt.status || r.Code != tt.code {
			t.Errorf("%s: %s %q, want %s %q", name, r.Status, r.Code, tt.status, tt.code)
		}
	}
}

func TestPickMainFollowsTheDefaultRoute(t *testing.T) {
	k := func(name, addr string) card {
		c := card{Name: name, Up: true, Carrier: true}
		if addr != "" {
			c.Addrs = []cardAddr{{Prefix: netip.MustParsePrefix(addr)}}
		}
		return c
	}
	all := []card{k("eth0", ""), k("eth1", "10.0.0.2/24"), k("wlan0", "192.168.1.2/24")}
	out := []route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Card: "wlan0"}}
	if got := pickMain(all, out).Name; got != "wlan0" {
		t.Errorf("with a default route: %s", got)
	}
	if got := pickMain(all, nil).Name; got != "eth1" {
		t.Errorf("without: %s, want the first with an address", got)
	}
	if got := pickMain(all[:1], nil).Name; got != "eth0" {
		t.Errorf("without addresses: %s", got)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{12 * time.Hour: "12h", 2 * time.Minute: "2m", 90 * time.Minute: "1h30m", 45 * time.Second: "45s", 0: "0s", time.Hour + time.Second: "1h0m1s"} {
		if got := short(d); got != want {
			t.Errorf("%v prints as %q, want %q", d, got, want)
		}
	}
}

// A machine that is late itself can make a line look uneven, and not make it look far
// or lossy by more than it was late.
func TestABusyMachineDoubtsWhatItCanHaveMade(t *testing.T) {
	figures := func(code string, median, jitter float64) Result {
		return Result{Code: code, Evidence: map[string]any{"rtt_median_ms": median, "jitter_ms": jitter}}
	}
	for _, tt := range []struct {
		r    Result
		late time.Duration
		busy bool
	}{
		{figures("wan_slow", 800, 5), 250 * time.Millisecond, false},
		{figures("wan_slow", 320, 5), 60 * time.Millisecond, true},
		{figures("wan_slow", 40, 230), 60 * time.Millisecond, false},
		{figures("wan_slow", 40, 130), 20 * time.Millisecond, true},
		{figures("wan_slow", 40, 130), 10 * time.Millisecond, false},
		{figures("wan_slow", 40, 900), 250 * time.Millisecond, true},
		{figures("wan_lossy", 40, 5), 250 * time.Millisecond, false},
		{figures("wan_lossy", 40, 5), 450 * time.Millisecond, true},
	} {
		if got := tooBusy(tt.r, tt.late); got != tt.busy {
			t.Errorf("%s of %v, %v late: too busy %v", tt.r.Code, tt.r.Evidence, tt.late, got)
		}
	}
}
