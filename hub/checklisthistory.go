package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"storehub/diagnostics"
)

// checklistPast is checklist-history.json in the state directory: how the items stood.
type checklistPast struct {
	mu   sync.Mutex
	path string
	kept diagnostics.ChecklistHistory
}

func openChecklistPast(stateDir string) (*checklistPast, error) {
	p := &checklistPast{path: filepath.Join(stateDir, "checklist-history.json")}
	b, err := os.ReadFile(p.path)
	if err == nil {
		err = json.Unmarshal(b, &p.kept)
	}
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("open history of the checklist %s: %w", p.path, err)
	}
	return p, nil
}

func (p *checklistPast) record(at time.Time, items []diagnostics.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.kept.Record(at, items) {
		return nil
	}
	b, err := json.Marshal(p.kept)
	if err == nil {
		err = writeFile(p.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep history of the checklist: %w", err)
	}
	return nil
}

func (p *checklistPast) between(from, to time.Time) diagnostics.ChecklistDiff {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept.Between(from, to)
}

// keepChecklist remembers how the items stand, once everything was looked at since the
// start: before that an item is not done for no reason of the shop's.
func (h *Hub) keepChecklist(token *diagnostics.TokenTest, items []diagnostics.Item) {
	looked := h.cfg.Checks.Every == 0 || len(h.monitor.current().Probes) > 0
	if token == nil || !looked || !h.told.asked() {
		return
	}
	if err := h.checklists.record(h.now(), items); err != nil {
		h.log.Warn("remember the checklist", "err", err)
	}
}

// asked says whether headquarters was asked since the start.
func (t *hqWord) asked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last != nil || t.silent != ""
}

// ChecklistPast reads the difference from the disk of a hub that does not run.
func ChecklistPast(stateDir string, from, to time.Time) (diagnostics.ChecklistDiff, error) {
	p, err := openChecklistPast(stateDir)
	if err != nil {
		return diagnostics.ChecklistDiff{}, err
	}
	if p.kept.First == nil {
		return diagnostics.ChecklistDiff{}, ErrNoHistory
	}
	return p.between(from, to), nil
}

// ChecklistSince is what has changed on the running hub's checklist.
func (a *Admin) ChecklistSince(ctx context.Context, from time.Time) (diagnostics.ChecklistDiff, error) {
	return get[diagnostics.ChecklistDiff](ctx, a, "/checklist/since?"+url.Values{"from": {from.Format(time.RFC3339)}}.Encode())
}
