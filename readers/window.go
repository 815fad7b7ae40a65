package readers

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Window is when smart readers restart and replace their software each night: at any
// moment from Start until End, full hours from 0 to 23 of the clock in Zone. An End
// that is not after Start is the next day's.
type Window struct {
	Start, End int
	Zone       *time.Location
}

// windowMargin is how much later a reader may come back that restarted last.
const windowMargin = 15 * time.Minute

// UsualWindow is Stripe's own, where nobody has set one: a reader restarts about
// midnight.
func UsualWindow(zone *time.Location) Window { return Window{Start: 0, End: 1, Zone: zone} }

// ParseWindow reads "02-05".
func ParseWindow(s string, zone *time.Location) (Window, error) {
	from, to, ok := strings.Cut(s, "-")
	start, err1 := strconv.ParseUint(from, 10, 8)
	end, err2 := strconv.ParseUint(to, 10, 8)
	if !ok || err1 != nil || err2 != nil || start > 23 || end > 23 || start == end {
		return Window{}, fmt.Errorf("read update window: %q is not like 02-05", s)
	}
	return Window{Start: int(start), End: int(end), Zone: zone}, nil
}

// String gives 02:00-05:00.
func (w Window) String() string { return fmt.Sprintf("%02d:00-%02d:00", w.Start, w.End) }

// Contains reports whether readers may be away at that time, those that come back
// late included.
func (w Window) Contains(at time.Time) bool {
	return w.holds(at) || w.holds(at.Add(-windowMargin))
}

func (w Window) holds(at time.Time) bool {
	hour := at.In(w.Zone).Hour()
	if w.Start < w.End {
		return hour >= w.Start && hour < w.End
	}
	return hour >= w.Start || hour < w.End
}
