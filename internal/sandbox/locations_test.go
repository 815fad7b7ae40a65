package sandbox

import "testing"

func TestAnAddressNeedsWhatItsCountryNeeds(t *testing.T) {
	sh := newShop(t)
	const all = "&address[line1]=1 Way&address[city]=Town&address[state]=CA&address[postal_code]=94102"
	for _, c := range []struct{ country, form, missing string }{
		{"US", all, ""},
		{"US", "&address[line1]=1 Way&address[city]=Town&address[postal_code]=94102", "address[state]"},
		{"AU", "&address[city]=Town&address[state]=NSW&address[postal_code]=2000", "address[line1]"},
		{"DE", "&address[line1]=1 Way&address[city]=Town&address[postal_code]=10115", ""},
		{"DE", "&address[line1]=1 Way&address[postal_code]=10115", "address[city]"},
		{"IE", "&address[line1]=1 Way&address[postal_code]=D01", ""},
		{"SG", "&address[line1]=1 Way", "address[postal_code]"},
		{"GI", "&address[line1]=1 Way", ""},
		{"gb", "&address[line1]=1 Way&address[city]=Town&address[postal_code]=E1", ""},
	} {
		form := "display_name=Shop&address[country]=" + c.country + c.form
		if c.missing == "" {
			sh.ok("POST", "/v1/terminal/locations", form)
			continue
		}
		if r := sh.no(400, "parameter_missing", "POST", "/v1/terminal/locations", form); r.str("error.param") != c.missing {
			t.Errorf("%s: %s is said to be missing, want %s", c.country, r.str("error.param"), c.missing)
		}
	}
	sh.no(400, "terminal_location_country_unsupported", "POST", "/v1/terminal/locations", "display_name=Shop&address[country]=XX"+all)
	sh.no(400, "parameter_missing", "POST", "/v1/terminal/locations", "display_name=Shop"+all)
	sh.no(400, "parameter_missing", "POST", "/v1/terminal/locations", "display_name=Shop")
	sh.no(400, "parameter_missing", "POST", "/v1/terminal/locations", "address[country]=US"+all)
}

func TestALocationChangesAllButItsCountry(t *testing.T) {
	sh := newShop(t)
	path := "/v1/terminal/locations/" + sh.location
	r := sh.ok("POST", path, "display_name=Shop 2&address[city]=Village&phone=1&metadata[a]=b")
	if r.str("display_name") != "Shop 2" || r.str("address.city") != "Village" || r.str("address.line1") != "1 Way" || r.str("phone") != "1" {
		t.Errorf("%s", r.raw)
	}
	sh.no(400, "", "POST", path, "address[country]=CA")
	if got := sh.ok("GET", path, "").str("address.country"); got != "US" {
		t.Errorf("a refused change was made: %s", got)
	}
	sh.no(404, "resource_missing", "POST", "/v1/terminal/locations/tml_none", "display_name=A")
}

func TestALocationWithReadersStays(t *testing.T) {
	sh := newShop(t)
	path := "/v1/terminal/locations/" + sh.location
	sh.no(400, "", "DELETE", path, "")
	sh.ok("DELETE", "/v1/terminal/readers/"+sh.reader, "")
	if r := sh.ok("DELETE", path, ""); r.at("deleted") != true || r.str("id") != sh.location {
		t.Errorf("%s", r.raw)
	}
	sh.no(404, "resource_missing", "GET", path, "")
}

func TestConfigurationsKeepWhatTheyAreTold(t *testing.T) {
	sh := newShop(t)
	r := sh.ok("POST", "/v1/terminal/configurations", "name=Night&offline[enabled]=true&reboot_window[start_hour]=23&reboot_window[end_hour]=5&cellular[enabled]=false")
	path := "/v1/terminal/configurations/" + r.str("id")
	if r.num("reboot_window.start_hour") != 23 || r.num("reboot_window.end_hour") != 5 || r.at("offline.enabled") != true || r.at("cellular.enabled") != false {
		t.Errorf("%s", r.raw)
	}
	if r = sh.ok("POST", path, "offline="); r.at("offline") != nil || r.at("reboot_window") == nil {
		t.Errorf("after unsetting offline: %s", r.raw)
	}
	for _, bad := range []string{
		"reboot_window[start_hour]=24&reboot_window[end_hour]=5", "reboot_window[start_hour]=5&reboot_window[end_hour]=5",
		"reboot_window[start_hour]=5", "offline[disabled]=true", "offline=true", "reboot_window[start_hour]=x&reboot_window[end_hour]=1",
	} {
		if r := sh.send("POST", path, bad); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.raw)
		}
	}
}

func TestTheAdminPasscodeIsForPreviewVersionsOnly(t *testing.T) {
	sh := newShop(t)
	path := "/v1/terminal/configurations/" + sh.ok("POST", "/v1/terminal/configurations", "name=A").str("id")
	const code = "reader_security[admin_menu_passcode]="
	sh.no(400, "parameter_unknown", "POST", path, code+"73914")
	const preview = "Stripe-Version: 2026-08-26.preview"
	for _, bad := range []string{"7391", "739145", "7391x", "'73914'"} {
		sh.no(400, "", "POST", path, code+bad, preview)
	}
	sh.ok("POST", path, code+"73914", preview)
	if r := sh.ok("GET", path, "", preview); r.str("reader_security.admin_menu_passcode") != "73914" {
		t.Errorf("preview: %s", r.raw)
	}
	if r := sh.ok("GET", path, ""); r.at("reader_security") != nil {
		t.Errorf("plain: %s", r.raw)
	}
}

func TestANetworkHasTheSettingsOfItsType(t *testing.T) {
	sh := newShop(t)
	path := "/v1/terminal/configurations/" + sh.ok("POST", "/v1/terminal/configurations", "name=A").str("id")
	for _, bad := range []string{
		"wifi[type]=personal_psk", "wifi[personal_psk][ssid]=Shop", "wifi[type]=none&wifi[none][ssid]=Shop", "wifi[type]=personal_psk&wifi[personal_psk][ssid]=Shop",
		"wifi[type]=personal_psk&wifi[enterprise_eap_peap][ssid]=Shop", "wifi[type]=personal_psk&wifi[personal_psk][ssid]=Shop&wifi[personal_psk][username]=a",
		"wifi[type]=personal_psk&wifi[personal_psk][ssid]=Shop&wifi[personal_psk][password]=",
	} {
		if r := sh.send("POST", path, bad); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.raw)
		}
	}
	sh.ok("POST", path, "wifi[type]=enterprise_eap_peap&wifi[enterprise_eap_peap][ssid]=Shop&wifi[enterprise_eap_peap][username]=a&wifi[enterprise_eap_peap][password]=b")
	r := sh.ok("POST", path, "wifi[type]=personal_psk&wifi[personal_psk][ssid]=Shop&wifi[personal_psk][password]=secret")
	if r.str("wifi.type") != "personal_psk" || r.str("wifi.personal_psk.password") != "secret" || r.at("wifi.enterprise_eap_peap") != nil {
		t.Errorf("%s", r.raw)
	}
	if r := sh.ok("POST", path, "wifi="); r.at("wifi") != nil {
		t.Errorf("after unsetting it: %s", r.raw)
	}
}

func TestTheAccountHasADefaultConfigurationThatStays(t *testing.T) {
	sh := newShop(t)
	r := sh.ok("GET", "/v1/terminal/configurations", "is_account_default=true")
	id := r.str("data.0.id")
	if id == "" || len(r.at("data").([]any)) != 1 {
		t.Fatalf("%s", r.raw)
	}
	sh.no(400, "", "DELETE", "/v1/terminal/configurations/"+id, "")
	sh.no(400, "", "POST", "/v1/terminal/locations/"+sh.location, "configuration_overrides="+id)
	sh.no(400, "resource_missing", "POST", "/v1/terminal/locations/"+sh.location, "configuration_overrides=tmc_none")
	other := sh.ok("POST", "/v1/terminal/configurations", "name=B").str("id")
	sh.ok("POST", "/v1/terminal/locations/"+sh.location, "configuration_overrides="+other)
	if r := sh.ok("GET", "/v1/terminal/configurations", "is_account_default=false"); r.str("data.0.id") != other {
		t.Errorf("%s", r.raw)
	}
	sh.ok("DELETE", "/v1/terminal/configurations/"+other, "")
	if r := sh.ok("GET", "/v1/terminal/locations/"+sh.location, ""); r.at("configuration_overrides") != nil {
		t.Errorf("the location still names it: %s", r.raw)
	}
}
