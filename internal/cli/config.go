package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MakeConfig writes a file that is not there yet.
func MakeConfig(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make configuration: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return Usage("edit it, or see the defaults with --print", "make configuration: %s is there already", file)
	}
	if err != nil {
		return fmt.Errorf("make configuration: %w", err)
	}
	if _, err = io.WriteString(f, text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
		return fmt.Errorf("make configuration: %w", err)
	}
	return nil
}
