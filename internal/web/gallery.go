package web

import (
	"net/http"
	"time"
)

// Gallery shows each component in each of its states, for whoever works on them.
func (s *Site) Gallery() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := s.o.Now()
		day := now.Add(-12 * time.Hour)
		s.Show(w, r, http.StatusOK, "gallery.html", Page{Title: "Components", Sub: "development only", At: now.Add(-3 * time.Minute), Data: struct {
			Tones    []string
			Now      time.Time
			Timeline Timeline
		}{
			[]string{Good, Warn, Bad, Info, Off}, now,
			Timeline{"Lane 1", day, now, []Span{
				{day, day.Add(3 * time.Hour), Off, "the hub did not run"},
				{day.Add(3 * time.Hour), day.Add(8 * time.Hour), Good, "online"},
				{day.Add(8 * time.Hour), day.Add(9 * time.Hour), Bad, "offline"},
				{day.Add(9 * time.Hour), now, Good, "online"},
			}},
		}})
	}
}

// Base is where the console lives.
func (s *Site) Base() string { return s.o.Base }
