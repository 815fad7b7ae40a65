package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/rehearsal"
)

// rehearsalTill is who pays at a rehearsal.
const rehearsalTill = "rehearsal"

// errRehearsing: its reader and its notes are one.
var errRehearsing = errors.New("another rehearsal is under way")

// rehearsals is the stage of this hub: one play at a time.
type rehearsals struct{ mu sync.Mutex }

// RehearseRequest begins a rehearsal.
type RehearseRequest struct {
	Currency string `json:"currency,omitempty"` // "": usd
}

// rehearsalLine is one line of the answer to POST /rehearsal: a result as it comes, at
// the end the report or why there is none.
type rehearsalLine struct {
	Result *rehearsal.Result `json:"result,omitempty"`
	Report *rehearsal.Report `json:"report,omitempty"`
	Error  string            `json:"error,omitempty"`
}

// rehearse plays the scenes through this hub, as a till of its own would; for a live
// store through its stand-in. What they prove is evidence for the checklist.
func (h *Hub) rehearse(ctx context.Context, r RehearseRequest, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	if !h.stage.mu.TryLock() {
		return rehearsal.Report{}, errRehearsing
	}
	defer h.stage.mu.Unlock()
	play := h.play
	if h.store.Load().Mode != doors.Test {
		play = h.playAsStandIn
	}
	report, err := play(ctx, r, tell)
	if err != nil {
		return report, err
	}
	for _, item := range []string{"end_to_end", "capture", "errors", "receipts", "registration"} {
		state, note := report.Of(item)
		if state == rehearsal.Unknown {
			continue // what was known of the item stands
		}
		trial := diagnostics.Trial{At: h.now().UTC().Truncate(time.Second), Passed: state == rehearsal.Pass, Note: note}
		if err := h.marks.rehearsed(item, trial); err != nil {
			return report, err
		}
	}
	h.log.Info("rehearsal held", "run", report.Run, "whole", report.Whole())
	return report, nil
}

// play plays them with this hub's own queue and record of the store.
func (h *Hub) play(ctx context.Context, r RehearseRequest, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	notes := notesFile(h.cfg.StateDir)
	before, err := notes.read()
	if err != nil {
		return rehearsal.Report{}, err
	}
	return rehearsal.Run(ctx, rehearsal.Stage{
		Doors: h, Till: doors.Till{Name: rehearsalTill, Scope: doors.ScopeManager, Mode: doors.Test}, Currency: r.Currency,
		Before: before, Remember: notes.write,
		LastEvent: func() time.Time { return h.marks.last(markEvent) },
	}, tell)
}

// serveRehearsal answers line by line.
func (h *Hub) serveRehearsal(w http.ResponseWriter, r *http.Request) {
	var in RehearseRequest
	err := doors.DecodeJSON(r, &in)
	if in.Currency != "" && err == nil {
		err = doors.CheckCurrency(in.Currency)
	}
	if err == nil && h.store.Load() == nil {
		err = doors.ErrHQUnreachable.With("this hub has never reached headquarters and does not know whether the store is live or test")
	}
	serveScenes(w, err, func(tell func(rehearsal.Result)) (rehearsal.Report, error) { return h.rehearse(r.Context(), in, tell) })
}

// serveScenes refuses, or plays and answers line by line.
func serveScenes(w http.ResponseWriter, refusal error, play func(func(rehearsal.Result)) (rehearsal.Report, error)) {
	if refusal != nil {
		doors.WriteError(w, adminError(refusal))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	say := func(l rehearsalLine) {
		_ = out.Encode(l) // nobody listens any more: the request's context ends
		_ = http.NewResponseController(w).Flush()
	}
	report, err := play(func(res rehearsal.Result) { say(rehearsalLine{Result: &res}) })
	if err != nil {
		say(rehearsalLine{Error: err.Error()})
		return
	}
	say(rehearsalLine{Report: &report})
}

// notesFile keeps what a rehearsal has under way, in the state directory.
type notesFile string

func (n notesFile) path() string { return filepath.Join(string(n), "rehearsal.json") }

func (n notesFile) read() (rehearsal.Notes, error) {
	var notes rehearsal.Notes
	b, err := os.ReadFile(n.path())
	switch {
	case notExist(err):
		return notes, nil
	case err != nil:
		return notes, fmt.Errorf("read what the last rehearsal left: %w", err)
	}
	if err := json.Unmarshal(b, &notes); err != nil {
		return notes, fmt.Errorf("read what the last rehearsal left: %s: %w", n.path(), err)
	}
	return notes, nil
}

func (n notesFile) write(notes rehearsal.Notes) error {
	b, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	return writeFile(n.path(), append(b, '\n'))
}

// Rehearse has the running hub rehearse and tells each result as it comes.
func (a *Admin) Rehearse(ctx context.Context, r RehearseRequest, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	return a.scenes(ctx, "/rehearsal", r, tell)
}

// scenes asks for a play and reads what comes, line by line.
func (a *Admin) scenes(ctx context.Context, path string, request any, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	var report rehearsal.Report
	b, err := json.Marshal(request)
	if err != nil {
		return report, err
	}
	resp, err := a.stream(ctx, http.MethodPost, path, b)
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	what := strings.TrimPrefix(path, "/")
	lines := json.NewDecoder(resp.Body)
	for {
		var l rehearsalLine
		switch err := lines.Decode(&l); {
		case err != nil:
			return report, fmt.Errorf("%s: the hub fell silent: %w", what, err)
		case l.Error != "":
			return report, fmt.Errorf("%s: %s", what, l.Error)
		case l.Report != nil:
			return *l.Report, nil
		case l.Result != nil && tell != nil:
			tell(*l.Result)
		}
	}
}
