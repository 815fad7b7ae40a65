// Package systemd holds the units, so that the packages and `hub service install`
// ship the same text.
package systemd

import (
	_ "embed" // of the units
	"fmt"
	"strings"
)

// Hub and HQ are the units as the packages install them.
var (
	//go:embed hub.service
	Hub string
	//go:embed hq.service
	HQ string
)

// For returns the unit with another program or configuration file than that of
// the packages.
func For(unit, executable, config string) (string, error) {
	lines := strings.Split(unit, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "ExecStart=") {
			continue
		}
		program, err := quote(executable)
		if err != nil {
			return "", err
		}
		file, err := quote(config)
		if err != nil {
			return "", err
		}
		lines[i] = "ExecStart=" + program + " serve --config " + file
		return strings.Join(lines, "\n"), nil
	}
	return "", fmt.Errorf("fill in unit: no line begins with ExecStart=")
}

// quote writes a path as a word of a command line in a unit.
func quote(path string) (string, error) {
	if path == "" || strings.ContainsAny(path, "\n\r\x00") {
		return "", fmt.Errorf("fill in unit: path %q cannot be written in a unit", path)
	}
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(path)
	if escaped == path && !strings.ContainsAny(path, " \t'") {
		return path, nil
	}
	return `"` + escaped + `"`, nil
}
