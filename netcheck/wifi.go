package netcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// radio is what a card's association with its access point tells.
type radio struct {
	Card   string
	Auth   []string // ways to prove oneself that the network offers, in the words below; empty: not told
	Cipher []string
	Signal int // dBm; 0: not told
}

// Words for ways to prove oneself and for ciphers, the same on every system.
const (
	authOpen       = "open"
	authOWE        = "owe" // encrypted without a password
	authPersonal2  = "wpa2-personal"
	authPersonal3  = "wpa3-personal"
	authEnterprise = "enterprise"
	authSuiteB     = "enterprise-192"
	authOld        = "before-wpa2" // WEP and WPA
	cipherOld      = "wep-or-tkip"
	cipherSound    = "aes"
)

// readersJoin are the networks that readers can join, and weakSignal is where their
// links begin to lose frames.
var readersJoin = []string{authPersonal2, authPersonal3, authEnterprise}

const weakSignal = -75 // dBm

// probeWiFi: if the hub is on the shop's Wi-Fi, could a reader join it, and is it strong?
func (c *checker) probeWiFi(context.Context) Result {
	list, err := c.sys.Radios()
	if errors.Is(err, errUnsupported) || err == nil && len(list) == 0 {
		return Result{}
	}
	if err != nil {
		return Result{Status: Unknown, Detail: "read the Wi-Fi association: " + err.Error()}
	}
	for _, r := range list {
		if k, ok := c.card(r.Card); ok && k.usable() && (r.Card == c.main.Name || c.main.Name == "") {
			return judgeRadio(r)
		}
	}
	return Result{} // the hub's traffic goes by cable
}

func judgeRadio(r radio) Result {
	ev := map[string]any{"interface": r.Card, "offers": orEmpty(r.Auth), "ciphers": orEmpty(r.Cipher)}
	if r.Signal != 0 {
		ev["signal_dbm"] = r.Signal
	}
	joinable := slices.ContainsFunc(r.Auth, func(a string) bool { return slices.Contains(readersJoin, a) })
	switch {
	case slices.Equal(r.Auth, []string{authOpen}):
		return Result{Status: Fail, Code: "wifi_open", Evidence: ev, Detail: r.Card + " is on a Wi-Fi that announces neither WPA2 nor WPA3"}
	case len(r.Auth) > 0 && !joinable:
		return Result{Status: Fail, Code: "wifi_security_unsupported", Evidence: ev, Detail: fmt.Sprintf("%s is on a Wi-Fi that offers %s alone", r.Card, strings.Join(r.Auth, ", "))}
	case len(r.Cipher) > 0 && !slices.Contains(r.Cipher, cipherSound):
		return Result{Status: Fail, Code: "wifi_security_unsupported", Evidence: ev, Detail: r.Card + " is on a Wi-Fi that encrypts by WEP or TKIP alone"}
	case r.Signal != 0 && r.Signal < weakSignal:
		return Result{Status: Warn, Code: "wifi_weak", Evidence: ev, Detail: fmt.Sprintf("%s hears its access point at %d dBm", r.Card, r.Signal)}
	case len(r.Auth) == 0 && r.Signal == 0:
		return Result{Status: Unknown, Evidence: ev, Detail: r.Card + " is a radio, and the system tells nothing of its association"}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%s is on a Wi-Fi that readers can join", r.Card)}
}
