package try

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"storehub/doors"
)

// secrets are the keys of the simulated account and of its one till. They open
// nothing outside this machine.
type secrets struct {
	SecretKey     string `json:"secret_key"`
	RestrictedKey string `json:"restricted_key"`
	WebhookSecret string `json:"webhook_secret"`
	Till          string `json:"till"`
}

// loadSecrets reads the file, or makes it with keys of that mode.
func loadSecrets(file string, mode doors.Mode) (secrets, error) {
	var s secrets
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &s); err != nil {
			return s, fmt.Errorf("read %s: %w", file, err)
		}
		return s, nil
	case !errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("read %s: %w", file, err)
	}
	s = secrets{
		SecretKey:     "sk_" + string(mode) + "_" + rand.Text(),
		RestrictedKey: "rk_" + string(mode) + "_" + rand.Text(),
		WebhookSecret: "whsec_" + rand.Text(),
	}
	return s, s.save(file)
}

func (s secrets) save(file string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(file, b)
}

// writeSecret replaces file in one step, readable by its owner alone.
func writeSecret(file string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(tmp.Name(), file)
}
