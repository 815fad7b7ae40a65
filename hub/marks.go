package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"storehub/diagnostics"
)

// The marks: when something last went well. They are evidence for the checklist.
const (
	markCapture    = "capture"
	markReceipt    = "receipt"
	markCopy       = "copy" // of a receipt
	markEvent      = "event"
	markList       = "list"       // a till had the list of readers
	markRegistered = "registered" // a reader, from here
)

// marks is checklist.json in the state directory: evidence and people's word.
type marks struct {
	mu    sync.Mutex
	path  string
	dirty bool
	file  marksFile
}

type marksFile struct {
	Last     map[string]time.Time           `json:"last"`
	SignOffs map[string]diagnostics.SignOff `json:"sign_offs"`
	// Rehearsals is the last one of each item that a rehearsal can prove.
	Rehearsals map[string]diagnostics.Trial `json:"rehearsals,omitempty"`
	// LastPass is when each item was last seen to pass.
	LastPass map[string]time.Time `json:"last_pass,omitempty"`
}

// Attestation is a person's word for an item that no machine can see.
type Attestation struct {
	Item  string    `json:"item"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
	Until time.Time `json:"until,omitzero"` // it counts until then; zero: for a year
}

func openMarks(stateDir string) (*marks, error) {
	m := &marks{path: filepath.Join(stateDir, "checklist.json")}
	b, err := os.ReadFile(m.path)
	switch {
	case notExist(err):
	case err != nil:
		return nil, fmt.Errorf("open checklist: %w", err)
	default:
		if err := json.Unmarshal(b, &m.file); err != nil {
			return nil, fmt.Errorf("open checklist %s: %w", m.path, err)
		}
	}
	if m.file.Last == nil {
		m.file.Last = map[string]time.Time{}
	}
	if m.file.LastPass == nil {
		m.file.LastPass = map[string]time.Time{}
	}
	if m.file.SignOffs == nil {
		m.file.SignOffs = map[string]diagnostics.SignOff{}
	}
	if m.file.Rehearsals == nil {
		m.file.Rehearsals = map[string]diagnostics.Trial{}
	}
	return m, nil
}

// Attest records a person's word in a state directory on which no hub runs.
func Attest(stateDir string, a Attestation) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	m, err := openMarks(stateDir)
	if err != nil {
		return err
	}
	return m.attest(a, time.Now())
}

// attest is on disk when it returns.
func (m *marks) attest(a Attestation, now time.Time) error {
	known := slices.ContainsFunc(diagnostics.Checklist(diagnostics.ChecklistInput{}), func(it diagnostics.Item) bool { return it.ID == a.Item })
	switch {
	case !known:
		return fmt.Errorf("attest: the checklist has no item %q", a.Item)
	case strings.TrimSpace(a.By) == "" || len(a.By) > 200:
		return errors.New("attest: say who attests it, in at most 200 bytes")
	case strings.TrimSpace(a.Note) == "" || len(a.Note) > 2000:
		return errors.New("attest: say what was looked at, in at most 2000 bytes")
	case !a.Until.IsZero() && !a.Until.After(now):
		return fmt.Errorf("attest: %s is over already", a.Until.Format(time.DateOnly))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before, had := m.file.SignOffs[a.Item]
	m.file.SignOffs[a.Item] = diagnostics.SignOff{At: now.UTC().Truncate(time.Second), By: a.By, Note: a.Note, Until: a.Until.UTC()}
	if err := m.save(); err != nil {
		if m.file.SignOffs[a.Item] = before; !had {
			delete(m.file.SignOffs, a.Item)
		}
		return fmt.Errorf("attest: %w", err)
	}
	return nil
}

func (m *marks) set(what string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.After(m.file.Last[what]) {
		m.file.Last[what], m.dirty = at.UTC().Truncate(time.Second), true
	}
}

func (m *marks) last(what string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file.Last[what]
}

// rehearsed is on disk when it returns.
func (m *marks) rehearsed(item string, t diagnostics.Trial) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.file.Rehearsals[item] = t
	if err := m.save(); err != nil {
		return fmt.Errorf("keep the rehearsal's result: %w", err)
	}
	return nil
}

// passed remembers which items pass.
func (m *marks) passed(items []diagnostics.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range items {
		if it.LastPass.After(m.file.LastPass[it.ID]) {
			m.file.LastPass[it.ID], m.dirty = it.LastPass, true
		}
	}
}

func (m *marks) flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirty {
		return nil
	}
	return m.save()
}

func (m *marks) save() error {
	b, err := json.MarshalIndent(m.file, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(m.path, append(b, '\n')); err != nil {
		return err
	}
	m.dirty = false
	return nil
}

// fill puts the marks into a checklist's input.
func (m *marks) fill(in *diagnostics.ChecklistInput) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.file.Last
	in.LastCapture, in.LastReceipt, in.LastCopy, in.LastEvent = last[markCapture], last[markReceipt], last[markCopy], last[markEvent]
	in.ListSeen, in.Registered = last[markList], last[markRegistered]
	in.LastPass = maps.Clone(m.file.LastPass)
	in.Rehearsals = maps.Clone(m.file.Rehearsals)
	in.SignOffs = make(map[string]diagnostics.SignOff, len(m.file.SignOffs))
	for item, s := range m.file.SignOffs {
		in.SignOffs[item] = s
	}
}
