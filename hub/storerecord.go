package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"storehub/hq"
)

// RememberStore keeps headquarters' record of the store, so that a hub that
// starts without internet knows its mode and location.
func RememberStore(stateDir string, s hq.Store) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	if err := writeFile(filepath.Join(stateDir, "store.json"), append(b, '\n')); err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	return nil
}

// rememberedStore is what an earlier contact left; nil if there was none or it
// is about another store.
func rememberedStore(stateDir, id string) *hq.Store {
	b, err := os.ReadFile(filepath.Join(stateDir, "store.json"))
	if err != nil {
		return nil
	}
	var s hq.Store
	if json.Unmarshal(b, &s) != nil || s.ID != id || s.Mode == "" {
		return nil
	}
	return &s
}
