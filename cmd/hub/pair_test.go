package main

import (
	"strings"
	"testing"

	"storehub/hub"
)

func TestMoney_4_4_PairingShowsWhereTheCAIsAndItsFingerprint(t *testing.T) {
	p := hub.Pairing{Name: "lane-1", POSURL: "https://hub.shop.example:7443/pos/shp_x", CAURL: "https://hub.shop.example:7443/ca.crt", CAFingerprint: "AB:CD"}
	var b strings.Builder
	if err := showPairing(&b, p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n  " + p.POSURL + "\n", "\n  " + p.CAURL + "\n", "\n  " + p.CAFingerprint + "\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not shown:\n%s", want, b.String())
		}
	}
	p.CAURL, p.CAFingerprint = "", ""
	b.Reset()
	if err := showPairing(&b, p); err != nil || strings.Contains(b.String(), "CA") {
		t.Errorf("without a CA of its own: %v\n%s", err, b.String())
	}
}
