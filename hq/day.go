package hq

import (
	"fmt"
	"time"
)

// dayForm is how a day is written.
const dayForm = time.DateOnly

// Day gives the instants between which the store's day of that date lies: from
// day_ends on that date to day_ends on the next, by the clocks on the shop's
// walls. It has 23 or 25 hours when they are changed.
func (st Store) Day(date string) (from, to time.Time, err error) {
	zone, err := time.LoadLocation(st.TimeZone)
	if err != nil {
		return from, to, fmt.Errorf("time zone of store %q: %w", st.ID, err)
	}
	d, err := time.Parse(dayForm, date)
	if err != nil {
		return from, to, fmt.Errorf("day %q: want YYYY-MM-DD", date)
	}
	ends, err := time.Parse("15:04", st.DayEnds)
	if err != nil {
		return from, to, fmt.Errorf("day_ends of store %q: %w", st.ID, err)
	}
	at := func(day int) time.Time {
		// An hour that the clocks skip or repeat is settled by time.Date, the same
		// way for the end of one day and the beginning of the next.
		return time.Date(d.Year(), d.Month(), d.Day()+day, ends.Hour(), ends.Minute(), 0, 0, zone).UTC()
	}
	return at(0), at(1), nil
}

// lastDay is the store's latest day that is over at t.
func (st Store) lastDay(t time.Time) (string, error) {
	zone, err := time.LoadLocation(st.TimeZone)
	if err != nil {
		return "", fmt.Errorf("time zone of store %q: %w", st.ID, err)
	}
	for back := range 3 {
		date := t.In(zone).AddDate(0, 0, -back).Format(dayForm)
		_, to, err := st.Day(date)
		if err != nil {
			return "", err
		}
		if !to.After(t) {
			return date, nil
		}
	}
	return "", fmt.Errorf("store %q has no day that is over", st.ID)
}
