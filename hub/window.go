package hub

import (
	"slices"
	"strings"
	"time"

	"storehub/readers"
)

// UpdateWindow is when this shop's readers restart and update themselves.
type UpdateWindow struct {
	Hours string `json:"hours"` // 02:00-05:00, of the clock in Zone
	Zone  string `json:"zone"`
	Told  bool   `json:"told"` // by headquarters; else it is Stripe's usual one
	Now   bool   `json:"now"`  // a reader that is away now may be restarting
	// WhileOpen: part of it lies in the shop's opening hours; null: those are not configured.
	WhileOpen readers.Tri `json:"while_open"`
}

// window is what headquarters has told of the readers' update window, or Stripe's
// usual one, in the shop's time zone.
func (h *Hub) window() (w readers.Window, told bool) {
	zone, update := time.Local, ""
	if s := h.store.Load(); s != nil {
		if z, err := time.LoadLocation(s.TimeZone); err == nil && s.TimeZone != "" {
			zone = z
		}
		update = s.UpdateWindow
	}
	if w, err := readers.ParseWindow(update, zone); err == nil {
		return w, true
	}
	return readers.UsualWindow(zone), false
}

func (h *Hub) updateWindow() UpdateWindow {
	w, told := h.window()
	return UpdateWindow{Hours: w.String(), Zone: w.Zone.String(), Told: told, Now: w.Contains(h.now()), WhileOpen: whileOpen(w, h.openingHours())}
}

// openingHours are headquarters' decision, or the configuration's.
func (h *Hub) openingHours() []string {
	if hours := h.policy.Load().Policy.OpeningHours; hours != nil {
		return hours
	}
	return h.cfg.OpeningHours
}

// whileOpen says whether the shop is open at any time of the window.
func whileOpen(w readers.Window, hours []string) readers.Tri {
	if len(hours) == 0 {
		return readers.Unknown
	}
	// A week without a change of the clock.
	monday := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	w.Zone = time.UTC
	for at := monday; at.Before(monday.AddDate(0, 0, 7)); at = at.Add(time.Minute) {
		if w.Contains(at) && openAt(hours, at) {
			return readers.Yes
		}
	}
	return readers.No
}

// openAt says whether the shop is open, by lines such as "mon-sat 08:00-22:00" that
// [hq.CheckHours] has passed.
func openAt(hours []string, at time.Time) bool {
	return slices.ContainsFunc(hours, func(line string) bool {
		days, span, _ := strings.Cut(line, " ")
		opens, closes, _ := strings.Cut(span, "-")
		from, to := minutes(opens), minutes(closes)
		now := at.Hour()*60 + at.Minute()
		if from < to {
			return isDay(days, at) && now >= from && now < to
		}
		return isDay(days, at) && now >= from || isDay(days, at.AddDate(0, 0, -1)) && now < to
	})
}

// isDay says whether the day is one of "sat" or "mon-fri", which may go over the
// week's end.
func isDay(days string, at time.Time) bool {
	from, to, ranged := strings.Cut(days, "-")
	if !ranged {
		to = from
	}
	named := func(d time.Weekday, name string) bool { return strings.ToLower(d.String()[:3]) == name }
	// Back from the day to the first of the span: the last must not be met before.
	for d := at.Weekday(); ; d = (d + 6) % 7 {
		if d != at.Weekday() && named(d, to) {
			return false
		}
		if named(d, from) {
			return true
		}
		if d == (at.Weekday()+1)%7 {
			return false
		}
	}
}

// minutes since midnight of "08:30"; "24:00" is the day's end.
func minutes(clock string) int {
	if clock == "24:00" {
		return 24 * 60
	}
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return 0 // it was checked when it was read
	}
	return t.Hour()*60 + t.Minute()
}
