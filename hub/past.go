package hub

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"storehub/diagnostics"
)

// Past is what the history of a state directory says of the time between from
// and to, or of one moment if they are equal. It needs no running hub and
// changes nothing. Without a history it fails with [ErrNoHistory].
func Past(stateDir string, from, to, now time.Time) (diagnostics.History, error) {
	list, damaged, err := pastMoments(stateDir)
	if err != nil {
		return diagnostics.History{}, err
	}
	h := diagnostics.Recall(list, from, to, now)
	h.Damaged = append(h.Damaged, damaged...)
	return h, nil
}

// PastFacts is what was observed at a moment, as the history keeps it: the facts
// of the first time that the answers were those.
func PastFacts(stateDir string, at time.Time) (diagnostics.Input, error) {
	var in diagnostics.Input
	var best time.Time
	_, err := eachHistoryFile(stateDir, func(_ string, b []byte) {
		entries, _, _ := readRecords(b)
		facts := map[int][]byte{}
		for _, e := range entries {
			if e.report != nil {
				facts[e.state] = e.facts
			}
			if e.at.After(at) || e.at.Before(best) || at.Sub(e.at) > diagnostics.UnwatchedAfter {
				continue
			}
			raw, err := inflate(facts[e.state])
			if err != nil {
				continue
			}
			if got, err := diagnostics.LoadFacts(bytes.NewReader(raw)); err == nil {
				in, best = got, e.at
			}
		}
	})
	if err == nil && best.IsZero() {
		err = fmt.Errorf("read history: nobody watched at %s", at.Format(time.RFC3339))
	}
	return in, err
}

// PastInputs are the latest full records of the history, newest first: what the
// network answered whenever an answer changed.
func PastInputs(stateDir string, most int) ([]diagnostics.Input, error) {
	var out []diagnostics.Input
	_, err := eachHistoryFile(stateDir, func(_ string, b []byte) {
		entries, _, _ := readRecords(b)
		for _, e := range entries {
			if e.report == nil {
				continue
			}
			raw, err := inflate(e.facts)
			if err != nil {
				continue
			}
			if in, err := diagnostics.LoadFacts(bytes.NewReader(raw)); err == nil {
				out = append(out, in)
			}
		}
		out = out[max(0, len(out)-most):]
	})
	slices.Reverse(out)
	return out, err
}

// pastMoments reads all that can be read, and says what cannot.
func pastMoments(stateDir string) (list []diagnostics.Moment, damaged []string, err error) {
	unread, err := eachHistoryFile(stateDir, func(name string, b []byte) {
		entries, lost, _ := readRecords(b)
		more, unread := moments(entries)
		list = append(list, more...)
		if lost > 0 {
			damaged = append(damaged, fmt.Sprintf("%s: %d of %d bytes cannot be read", name, lost, len(b)))
		}
		if unread > 0 {
			damaged = append(damaged, fmt.Sprintf("%s: %d of %d records cannot be read", name, unread, len(entries)))
		}
	})
	return list, append(damaged, unread...), err
}

// eachHistoryFile gives each file in turn and names those that cannot be read.
func eachHistoryFile(stateDir string, f func(name string, b []byte)) (unread []string, err error) {
	dir := historyDir(stateDir)
	numbers, err := historyFiles(dir)
	switch {
	case notExist(err), err == nil && len(numbers) == 0:
		return nil, fmt.Errorf("read history in %s: %w", dir, ErrNoHistory)
	case err != nil:
		return nil, fmt.Errorf("read history: %w", err)
	}
	for _, n := range numbers {
		name := fmt.Sprintf("%06d.history", n)
		b, err := os.ReadFile(filepath.Join(dir, name))
		if notExist(err) {
			continue // it has just been pruned
		}
		if err != nil {
			unread = append(unread, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		f(name, b)
	}
	return unread, nil
}

// past is Past of the running hub, whose last word is not on disk yet.
func (h *Hub) past(from, to time.Time) (diagnostics.History, error) {
	h.monitor.past.mu.Lock() // no half-written record
	list, damaged, err := pastMoments(h.cfg.StateDir)
	h.monitor.past.mu.Unlock()
	if err != nil && !errors.Is(err, ErrNoHistory) { // it has just begun
		return diagnostics.History{}, err
	}
	now := time.Now()
	list = append(list, diagnostics.Moment{At: now, Report: h.monitor.current()})
	out := diagnostics.Recall(list, from, to, now)
	out.Damaged = append(out.Damaged, damaged...)
	return out, nil
}
