package netcheck

import (
	"errors"
	"os"

	"github.com/mdlayher/wifi"
)

// Radios asks nl80211. A kernel without it, or without a radio, has none.
func (linuxSystem) Radios() ([]radio, error) {
	cl, err := wifi.New()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	cards, err := cl.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []radio
	for _, k := range cards {
		if k.Type != wifi.InterfaceTypeStation {
			continue
		}
		bss, err := cl.BSS(k)
		if err != nil {
			continue // associated with nobody
		}
		r := radio{Card: k.Name, Auth: []string{authOpen}}
		if bss.RSN.IsInitialized() {
			r.Auth, r.Cipher = akms(bss.RSN.AKMs), ciphers(bss.RSN.PairwiseCiphers)
		}
		if s, err := cl.StationInfo(k); err == nil && len(s) > 0 {
			r.Signal = s[0].Signal
		}
		out = append(out, r)
	}
	return out, nil
}

// akms are the suites of IEEE 802.11-2020, table 9-151, in this package's words.
func akms(list []wifi.RSNAKM) []string {
	var out []string
	for _, a := range list {
		switch uint32(a) & 0xff {
		case 1, 3, 5:
			out = append(out, authEnterprise)
		case 2, 4, 6:
			out = append(out, authPersonal2)
		case 8, 9, 24, 25:
			out = append(out, authPersonal3)
		case 11, 12, 13:
			out = append(out, authSuiteB)
		case 18:
			out = append(out, authOWE)
		}
	}
	return out
}

func ciphers(list []wifi.RSNCipher) []string {
	var out []string
	for _, c := range list {
		switch uint32(c) & 0xff {
		case 1, 2, 5:
			out = append(out, cipherOld)
		case 4, 8, 9, 10:
			out = append(out, cipherSound)
		}
	}
	return out
}
