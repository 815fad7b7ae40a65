package netcheck

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// readHostsFile is what this machine looks up before it asks any resolver. A file
// that cannot be read names nobody.
func readHostsFile() map[string][]netip.Addr {
	name := "/etc/hosts"
	if runtime.GOOS == "windows" {
		name = filepath.Join(os.Getenv("SystemRoot"), "System32", "drivers", "etc", "hosts")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseHostsFile(io.LimitReader(f, 1<<20))
}

// parseHostsFile reads hosts(5): an address and its names a line, # comments. IPv4
// alone, since the doctor's visits are.
func parseHostsFile(r io.Reader) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	in := bufio.NewScanner(r)
	for in.Scan() {
		line, _, _ := strings.Cut(in.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil || !a.Unmap().Is4() {
			continue
		}
		for _, name := range f[1:] {
			if name = strings.ToLower(strings.TrimSuffix(name, ".")); name != "" && !slices.Contains(out[name], a.Unmap()) {
				out[name] = append(out[name], a.Unmap())
			}
		}
	}
	return out
}
