package hq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"storehub/internal/yamlfile"
)

// Wanted is what a store's readers are to be told by Stripe's Configuration of their
// Location. A part that is absent is not ours: it is neither compared nor changed.
// Secrets are named by their files, which are read anew each time.
type Wanted struct {
	Window       *Window     `json:"update_window,omitempty"`
	Offline      *bool       `json:"offline,omitempty"`
	PasscodeFile string      `json:"passcode_file,omitempty"`
	Wifi         *WantedWifi `json:"wifi,omitempty"`
}

// Window is when readers may restart and update themselves, in whole hours of the
// Location's own time; one that ends before it starts passes midnight.
type Window struct {
	Start int64 `json:"start_hour"`
	End   int64 `json:"end_hour"`
}

// WantedWifi is the network that readers join. Certificates and keys are ids of
// files at Stripe (file_…).
type WantedWifi struct {
	Type              string `json:"type"`
	SSID              string `json:"ssid"`
	Username          string `json:"username,omitempty"`
	PasswordFile      string `json:"password_file,omitempty"` // of the network, or of the private key
	CACertificate     string `json:"ca_certificate,omitempty"`
	ClientCertificate string `json:"client_certificate,omitempty"`
	PrivateKey        string `json:"private_key,omitempty"`
}

// wifiFields says under which names Stripe keeps a network of each type.
var wifiFields = map[string]struct {
	password, username string
	need               []string // keys of the file
	certificates       bool
}{
	"personal_psk":        {password: "password", need: []string{"password_file"}},
	"enterprise_eap_peap": {password: "password", username: "username", need: []string{"username", "password_file"}, certificates: true},
	"enterprise_eap_tls":  {password: "private_key_file_password", need: []string{"client_certificate", "private_key"}, certificates: true},
}

func (w *Wanted) window() *Window {
	if w.Window == nil {
		w.Window = &Window{-1, -1}
	}
	return w.Window
}

func (w *Wanted) wifi() *WantedWifi {
	if w.Wifi == nil {
		w.Wifi = &WantedWifi{}
	}
	return w.Wifi
}

// text sets one text of the network's.
func wifiText(field func(*WantedWifi) *string) func(*Wanted, yamlfile.Value) error {
	return yamlfile.Path(func(w *Wanted) *string { return field(w.wifi()) })
}

var wantedKeys = yamlfile.Keys[Wanted]{
	"update_window.start_hour": yamlfile.Number(func(w *Wanted, n int64) { w.window().Start = n }, 0, 23),
	"update_window.end_hour":   yamlfile.Number(func(w *Wanted, n int64) { w.window().End = n }, 0, 23),
	"offline": yamlfile.Choice(func(w *Wanted, s string) {
		on := s == "on"
		w.Offline = &on
	}, "on", "off"),
	"passcode_file":           yamlfile.Path(func(w *Wanted) *string { return &w.PasscodeFile }),
	"wifi.type":               yamlfile.Choice(func(w *Wanted, s string) { w.wifi().Type = s }, slices.Sorted(maps.Keys(wifiFields))...),
	"wifi.ssid":               wifiText(func(f *WantedWifi) *string { return &f.SSID }),
	"wifi.username":           wifiText(func(f *WantedWifi) *string { return &f.Username }),
	"wifi.password_file":      wifiText(func(f *WantedWifi) *string { return &f.PasswordFile }),
	"wifi.ca_certificate":     wifiText(func(f *WantedWifi) *string { return &f.CACertificate }),
	"wifi.client_certificate": wifiText(func(f *WantedWifi) *string { return &f.ClientCertificate }),
	"wifi.private_key":        wifiText(func(f *WantedWifi) *string { return &f.PrivateKey }),
}

// ParseWanted reads update_window (start_hour, end_hour), offline, passcode_file and
// wifi from YAML (or JSON). Files are meant beside the file that names them. Every
// error is a [*yamlfile.Error].
func ParseWanted(r io.Reader, name string) (Wanted, error) {
	var w Wanted
	if err := wantedKeys.Read(r, name, &w, Wanted.check); err != nil {
		return w, err
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return w, &yamlfile.Error{File: name, Err: err}
	}
	files := []*string{&w.PasscodeFile}
	if w.Wifi != nil {
		files = append(files, &w.Wifi.PasswordFile)
	}
	for _, f := range files {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
	return w, nil
}

func (w Wanted) check() (key string, err error) {
	if w.Window == nil && w.Offline == nil && w.PasscodeFile == "" && w.Wifi == nil {
		return "", errors.New("nothing is wanted: write update_window, offline, passcode_file or wifi")
	}
	if v := w.Window; v != nil {
		switch {
		case v.Start < 0:
			return "update_window.start_hour", errors.New("missing")
		case v.End < 0:
			return "update_window.end_hour", errors.New("missing")
		case v.Start == v.End:
			return "update_window.end_hour", errors.New("the window begins and ends at the same hour")
		}
	}
	if w.Wifi == nil {
		return "", nil
	}
	kind, known := wifiFields[w.Wifi.Type]
	if !known {
		return "wifi.type", errors.New("missing")
	}
	if n := len(w.Wifi.SSID); n == 0 || n > 32 {
		return "wifi.ssid", errors.New("want 1 to 32 bytes")
	}
	given := map[string]string{"username": w.Wifi.Username, "password_file": w.Wifi.PasswordFile, "ca_certificate": w.Wifi.CACertificate,
		"client_certificate": w.Wifi.ClientCertificate, "private_key": w.Wifi.PrivateKey}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		wants := slices.Contains(kind.need, name)
		may := wants || name == "ca_certificate" && kind.certificates || name == "password_file"
		switch {
		case wants && given[name] == "":
			return "wifi." + name, fmt.Errorf("missing; a network of type %s wants it", w.Wifi.Type)
		case !may && given[name] != "":
			return "wifi." + name, fmt.Errorf("a network of type %s has none", w.Wifi.Type)
		case given[name] != "" && (strings.HasSuffix(name, "certificate") || name == "private_key") && !strings.HasPrefix(given[name], "file_"):
			return "wifi." + name, errors.New("want the id of a file at Stripe, file_…")
		}
	}
	return "", nil
}

// settings are what a Configuration holds, under the names that Stripe's forms have:
// reboot_window[start_hour]. They hold secrets and are never printed.
type settings map[string]string

const passcodeSetting = "reader_security[admin_menu_passcode]"

// settings reads the secrets and spells what is wanted as Stripe does.
func (w Wanted) settings() (settings, error) {
	v := settings{}
	if w.Window != nil {
		v["reboot_window[start_hour]"] = strconv.FormatInt(w.Window.Start, 10)
		v["reboot_window[end_hour]"] = strconv.FormatInt(w.Window.End, 10)
	}
	if w.Offline != nil {
		v["offline[enabled]"] = strconv.FormatBool(*w.Offline)
	}
	if w.PasscodeFile != "" {
		code, err := ReadSecret("passcode", w.PasscodeFile)
		if err != nil {
			return nil, err
		}
		if why := weakPasscode(code); why != "" {
			return nil, fmt.Errorf("read passcode %s: %s", w.PasscodeFile, why)
		}
		v[passcodeSetting] = code
	}
	if w.Wifi == nil {
		return v, nil
	}
	kind := wifiFields[w.Wifi.Type]
	v["wifi[type]"] = w.Wifi.Type
	set := func(field, value string) {
		if value != "" {
			v["wifi["+w.Wifi.Type+"]["+field+"]"] = value
		}
	}
	set("ssid", w.Wifi.SSID)
	set(kind.username, w.Wifi.Username)
	set("ca_certificate_file", w.Wifi.CACertificate)
	set("client_certificate_file", w.Wifi.ClientCertificate)
	set("private_key_file", w.Wifi.PrivateKey)
	if w.Wifi.PasswordFile != "" {
		password, err := ReadSecret("password", w.Wifi.PasswordFile)
		if err != nil {
			return nil, err
		}
		set(kind.password, password)
	}
	return v, nil
}

// form is the settings as Stripe takes them.
func (v settings) form() url.Values {
	form := url.Values{}
	for k, s := range v {
		form.Set(k, s)
	}
	return form
}

// defaultPasscode is what every reader has that was told none.
const defaultPasscode = "07139"

// weakPasscode says what is wrong with a passcode, without showing any of it; "" is
// nothing.
func weakPasscode(code string) string {
	if len(code) != 5 || strings.Trim(code, "0123456789") != "" {
		return "a passcode is exactly 5 digits"
	}
	if code == defaultPasscode {
		return "it is the one that every reader comes with"
	}
	steps := map[int]bool{}
	for i := 1; i < len(code); i++ {
		steps[(int(code[i])-int(code[i-1])+10)%10] = true
	}
	if len(steps) == 1 && (steps[0] || steps[1] || steps[9]) {
		return "it is one digit repeated, or digits in sequence"
	}
	return ""
}

// readSettings flattens a Configuration as Stripe told it. Of an object that has no
// such parts it is empty.
func readSettings(raw json.RawMessage) (settings, error) {
	v := settings{}
	if len(raw) == 0 {
		return v, nil
	}
	var parts map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&parts); err != nil {
		return nil, errors.New("read Configuration: it is no JSON object")
	}
	for _, name := range settingParts {
		v.flatten(name, parts[name])
	}
	return v, nil
}

// settingParts are the parts of a Configuration that headquarters knows.
var settingParts = []string{"reboot_window", "offline", "reader_security", "wifi"}

func (v settings) flatten(name string, part any) {
	switch p := part.(type) {
	case nil:
	case map[string]any:
		for k, inner := range p {
			v.flatten(name+"["+k+"]", inner)
		}
	default:
		v[name] = fmt.Sprint(p)
	}
}

// over takes each part from v, and from below where v has none: so Stripe puts a
// Location's Configuration over the account's.
func (v settings) over(below settings) settings {
	all := settings{}
	for _, part := range settingParts {
		from := v
		if !v.has(part) {
			from = below
		}
		for k, s := range from {
			if strings.HasPrefix(k, part+"[") {
				all[k] = s
			}
		}
	}
	return all
}

func (v settings) has(part string) bool {
	for k := range v {
		if strings.HasPrefix(k, part+"[") {
			return true
		}
	}
	return false
}

// Difference is a part of a Configuration that is not as it is wanted. Of secrets it
// says what can be said without showing them.
type Difference struct {
	Part   string `json:"part"` // update_window, offline, passcode, wifi
	Wanted string `json:"wanted"`
	Is     string `json:"is"`
}

func (d Difference) String() string {
	return d.Part + ": " + d.Wanted + " is wanted, Stripe has " + d.Is
}

// Parts of a Configuration, as people know them.
const (
	partWindow   = "update_window"
	partPasscode = "passcode"
)

// differences compares what is wanted with what readers are told. The lists of both
// are of Stripe's names.
func differences(want, is settings) []Difference {
	list := []Difference{}
	for _, p := range []struct {
		part, prefix string
		say          func(v settings) string
	}{
		{partWindow, "reboot_window", settings.sayWindow},
		{"offline", "offline", settings.sayOffline},
		{partPasscode, "reader_security", settings.sayPasscode},
		{"wifi", "wifi", settings.sayWifi},
	} {
		if !want.has(p.prefix) || want.same(is, p.prefix) {
			continue
		}
		d := Difference{Part: p.part, Wanted: p.say(want), Is: p.say(is)}
		if d.Wanted == d.Is {
			d.Is += ", with another secret"
		}
		list = append(list, d)
	}
	return list
}

// same says whether a part holds all that is wanted of it. A password that Stripe does
// not tell, or hides, is not compared.
func (v settings) same(is settings, part string) bool {
	for k, s := range v {
		hidden := strings.Trim(is[k], "*") == "" && (is[k] != "" || strings.HasSuffix(k, "password]"))
		if strings.HasPrefix(k, part+"[") && is[k] != s && !hidden {
			return false
		}
	}
	return true
}

// window gives the update window's hours; not ok: it has none.
func (v settings) window() (start, end int, ok bool) {
	start, err1 := strconv.Atoi(v["reboot_window[start_hour]"])
	end, err2 := strconv.Atoi(v["reboot_window[end_hour]"])
	return start, end, err1 == nil && err2 == nil
}

func (v settings) sayWindow() string {
	start, end, ok := v.window()
	if !ok {
		return "none (midnight)"
	}
	return fmt.Sprintf("%02d:00 to %02d:00", start, end)
}

func (v settings) sayOffline() string {
	switch v["offline[enabled]"] {
	case "true":
		return "on"
	case "false":
		return "off"
	}
	return "not set (off)"
}

// offline is what a hub is told of offline mode: a Configuration that has no such part
// leaves it off.
func (v settings) offline() string {
	if v["offline[enabled]"] == "true" {
		return OfflineOn
	}
	return OfflineOff
}

// hours is the update window as a hub is told it; "": Stripe's own.
func (v settings) hours() string {
	start, end, ok := v.window()
	if !ok {
		return ""
	}
	return fmt.Sprintf("%02d-%02d", start, end)
}

func (v settings) sayPasscode() string {
	switch code := v[passcodeSetting]; {
	case code == "":
		return "none (the one that every reader comes with)"
	case weakPasscode(code) != "":
		return "a weak one"
	}
	return "one of your own"
}

func (v settings) sayWifi() string {
	kind := v["wifi[type]"]
	if kind == "" {
		return "none"
	}
	return fmt.Sprintf("%s %q", kind, line(v["wifi["+kind+"][ssid]"]))
}
