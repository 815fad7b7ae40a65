package hq

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/internal/yamlfile"
)

func TestWhatIsWantedOfReaders(t *testing.T) {
	const psk = "wifi: {type: personal_psk, ssid: Shop, password_file: w"
	for name, c := range map[string]struct{ text, key string }{
		"a window":                  {"update_window: {start_hour: 23, end_hour: 5}", ""},
		"offline":                   {"offline: off", ""},
		"a passcode":                {"passcode_file: code", ""},
		"a network":                 {psk + "}", ""},
		"PEAP":                      {"wifi: {type: enterprise_eap_peap, ssid: Shop, username: a, password_file: w, ca_certificate: file_1}", ""},
		"TLS without a password":    {"wifi: {type: enterprise_eap_tls, ssid: Shop, client_certificate: file_1, private_key: file_2}", ""},
		"nothing":                   {"offline:", ""},
		"half a window":             {"update_window: {start_hour: 3}", "update_window.end_hour"},
		"the other half":            {"update_window: {end_hour: 3}", "update_window.start_hour"},
		"no window":                 {"update_window: {start_hour: 3, end_hour: 3}", "update_window.end_hour"},
		"no such hour":              {"update_window: {start_hour: 24, end_hour: 3}", "update_window.start_hour"},
		"offline sometimes":         {"offline: sometimes", "offline"},
		"a passcode in the open":    {"passcode: 48151", "passcode"},
		"no type":                   {"wifi: {ssid: Shop}", "wifi.type"},
		"no such type":              {"wifi: {type: wep, ssid: Shop}", "wifi.type"},
		"no name":                   {"wifi: {type: personal_psk, password_file: w}", "wifi.ssid"},
		"a long name":               {"wifi: {type: personal_psk, ssid: " + strings.Repeat("x", 33) + ", password_file: w}", "wifi.ssid"},
		"no password":               {"wifi: {type: personal_psk, ssid: Shop}", "wifi.password_file"},
		"a name of somebody":        {psk + ", username: a}", "wifi.username"},
		"a certificate with PSK":    {psk + ", ca_certificate: file_1}", "wifi.ca_certificate"},
		"TLS without a key":         {"wifi: {type: enterprise_eap_tls, ssid: Shop, client_certificate: file_1}", "wifi.private_key"},
		"a key that is not there":   {"wifi: {type: enterprise_eap_tls, ssid: Shop, client_certificate: file_1, private_key: key.pem}", "wifi.private_key"},
		"a password in the open":    {"wifi: {type: personal_psk, ssid: Shop, password: w}", "wifi.password"},
		"something else altogether": {"stores: 3", "stores"},
	} {
		w, err := ParseWanted(strings.NewReader(c.text), filepath.Join("dir", "readers.yaml"))
		var e *yamlfile.Error
		switch {
		case name == "nothing":
			if err == nil || !strings.Contains(err.Error(), "nothing is wanted") {
				t.Errorf("%s: %v", name, err)
			}
		case c.key == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.key != "" && (!errors.As(err, &e) || e.Key != c.key):
			t.Errorf("%s: %v, want something about %s", name, err, c.key)
		case w.PasscodeFile != "" && (!filepath.IsAbs(w.PasscodeFile) || filepath.Base(filepath.Dir(w.PasscodeFile)) != "dir"):
			t.Errorf("%s: the passcode is looked for in %s", name, w.PasscodeFile)
		}
	}
}

// A passcode that anybody would try is refused before Stripe is asked, and is in no
// message.
func TestWeakPasscodesAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code")
	for code, good := range map[string]bool{
		"48151": true, "13579": true, "00001": true, "07138": true, "24680": true, "12354": true,
		"07139": false, "12345": false, "98765": false, "54321": false, "89012": false, "10987": false, "11111": false, "00000": false,
		"4815": false, "481516": false, "4815x": false, "４８１５１": false, "4 151": false, "": false,
	} {
		if err := os.WriteFile(file, []byte(code+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Wanted{PasscodeFile: file}.settings()
		switch {
		case good && (err != nil || v[passcodeSetting] != code):
			t.Errorf("%s: %v", code, err)
		case !good && err == nil:
			t.Errorf("%s: taken", code)
		case !good && code != "" && strings.Contains(err.Error(), code):
			t.Errorf("%s: shown: %v", code, err)
		}
	}
}

func TestASecretThatEveryoneMayReadIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, []byte("48151"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (Wanted{PasscodeFile: file}).settings(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
	if _, err := (Wanted{PasscodeFile: file + "x"}).settings(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// What differs is said in words that show no secret; what Stripe hides is not compared.
func TestDifferencesOfAConfiguration(t *testing.T) {
	const own = `"reboot_window":{"start_hour":2,"end_hour":5},"offline":{"enabled":true},"reader_security":{"admin_menu_passcode":"48151"}`
	psk := func(password string) string {
		return `"wifi":{"type":"personal_psk","personal_psk":{"ssid":"Shop","password":` + password + `}}`
	}
	want, err := readSettings([]byte("{" + own + "," + psk(`"secret"`) + "}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ own, below, want string }{
		"the same":        {"{" + own + "," + psk(`"secret"`) + "}", "", ""},
		"by the account":  {"{}", "{" + own + "," + psk(`"secret"`) + "}", ""},
		"hidden":          {"{" + own + "," + psk(`"********"`) + "}", "", ""},
		"not told":        {"{" + own + "," + psk(`null`) + "}", "", ""},
		"another secret":  {"{" + own + "," + psk(`"other"`) + "}", "", `wifi: personal_psk "Shop" is wanted, Stripe has personal_psk "Shop", with another secret`},
		"more than asked": {"{" + own + "," + psk(`"secret"`) + `,"tipping":{"usd":{"fixed_amounts":[100]}}}`, "", ""},
		"nothing": {"{}", "", `update_window: 02:00 to 05:00 is wanted, Stripe has none (midnight)
offline: on is wanted, Stripe has not set (off)
passcode: one of your own is wanted, Stripe has none (the one that every reader comes with)
wifi: personal_psk "Shop" is wanted, Stripe has none`},
		"its own before the account's": {`{"offline":{"enabled":false},"reader_security":{"admin_menu_passcode":"12345"}}`, "{" + own + "," + psk(`"secret"`) + "}",
			"offline: on is wanted, Stripe has off\npasscode: one of your own is wanted, Stripe has a weak one"},
		"another passcode": {"{" + strings.Replace(own, "48151", "48152", 1) + "," + psk(`"secret"`) + "}", "",
			"passcode: one of your own is wanted, Stripe has one of your own, with another secret"},
	} {
		is, err := readSettings([]byte(c.own))
		if err != nil {
			t.Fatal(err)
		}
		below, err := readSettings([]byte(c.below))
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, d := range differences(want, is.over(below)) {
			said = append(said, d.String())
		}
		if got := strings.Join(said, "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// FuzzConfiguration: whatever Stripe may send, it is read or refused, and no word about
// it holds a secret.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(`{"reboot_window":{"start_hour":2,"end_hour":5},"wifi":{"type":"personal_psk","personal_psk":{"ssid":"Shop","password":"p"}}}`))
	f.Add([]byte(`{"offline":[{}],"reader_security":null,"wifi":7}`))
	want := settings{passcodeSetting: "48151", "wifi[type]": "personal_psk", "wifi[personal_psk][password]": "hunter2"}
	f.Fuzz(func(t *testing.T, b []byte) {
		is, err := readSettings(b)
		if err != nil {
			return
		}
		for _, d := range differences(want, is) {
			if strings.Contains(d.Wanted, "48151") || strings.Contains(d.Wanted, "hunter2") {
				t.Errorf("shown: %s", d)
			}
		}
	})
}

// FuzzParseWanted: a file is what is wanted, or an error of its own kind.
func FuzzParseWanted(f *testing.F) {
	f.Add("update_window: {start_hour: 2, end_hour: 5}\noffline: on\npasscode_file: code\nwifi: {type: personal_psk, ssid: Shop, password_file: w}")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := ParseWanted(strings.NewReader(text), "readers.yaml")
		var e *yamlfile.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%v", err)
		}
	})
}
