//go:build !linux && !windows

package netcheck

import (
	"errors"
	"net/netip"
	"os"
)

type unixSystem struct{ portable }

func thisSystem() system { return unixSystem{} }

func (unixSystem) Routes() ([]route, error) { return nil, errUnsupported }

func (unixSystem) Resolvers() ([]netip.AddrPort, error) {
	f, err := os.Open("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseResolvConf(f)
}
