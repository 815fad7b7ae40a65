package netcheck

import "testing"

// There is no radio where these tests run: what systems tell is turned into the
// same few words, and those are judged here.
func TestJudgeRadio(t *testing.T) {
	for name, tt := range map[string]struct {
		r      radio
		status Status
		code   string
	}{
		"WPA2":                   {radio{Auth: []string{authPersonal2}, Cipher: []string{cipherSound}, Signal: -55}, Pass, ""},
		"WPA2 and WPA3":          {radio{Auth: []string{authPersonal2, authPersonal3}, Cipher: []string{cipherSound}, Signal: -55}, Pass, ""},
		"enterprise":             {radio{Auth: []string{authEnterprise}, Signal: -70}, Pass, ""},
		"open":                   {radio{Auth: []string{authOpen}, Signal: -40}, Fail, "wifi_open"},
		"open and weak":          {radio{Auth: []string{authOpen}, Signal: -90}, Fail, "wifi_open"},
		"WEP":                    {radio{Auth: []string{authOld}, Cipher: []string{cipherOld}}, Fail, "wifi_security_unsupported"},
		"encrypted, no password": {radio{Auth: []string{authOWE}, Cipher: []string{cipherSound}}, Fail, "wifi_security_unsupported"},
		"192 bit":                {radio{Auth: []string{authSuiteB}, Cipher: []string{cipherSound}}, Fail, "wifi_security_unsupported"},
		"TKIP alone":             {radio{Auth: []string{authPersonal2}, Cipher: []string{cipherOld}}, Fail, "wifi_security_unsupported"},
		"TKIP as well":           {radio{Auth: []string{authPersonal2}, Cipher: []string{cipherOld, cipherSound}}, Pass, ""},
		"weak":                   {radio{Auth: []string{authPersonal2}, Signal: -81}, Warn, "wifi_weak"},
		"at the bound":           {radio{Auth: []string{authPersonal2}, Signal: -75}, Pass, ""},
		"nothing is told":        {radio{}, Unknown, ""},
	} {
		if r := judgeRadio(tt.r); r.Status != tt.status || r.Code != tt.code || r.Detail == "" {
			t.Errorf("%s: %s %q: %s", name, r.Status, r.Code, r.Detail)
		}
	}
}

// TestARadioBesideTheCableIsNotJudged: readers are where the hub's traffic goes.
func TestARadioBesideTheCableIsNotJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.radios = []radio{{Card: "wlan0", Auth: []string{authOpen}}}
	if p, asked := probes(w.run(shop))["wifi"]; asked {
		t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
	}
	w.radios[0].Card = "eth0"
	if p := probes(w.run(shop))["wifi"]; p.Code != "wifi_open" {
		t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
	}
}
