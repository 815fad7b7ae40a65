package hq

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// ReadSecret reads the one secret that a file holds, which others may not read. what
// names it in errors; its text never stands there.
func ReadSecret(what, file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	// Group bits are left alone: systemd shows a credential's ACL there.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("read %s %s: everyone may read it: chmod 600 it", what, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("read %s %s: %w", what, file, errEmpty)
	}
	return text, nil
}

var errEmpty = errors.New("it is empty")
