package sandbox

type configuration struct {
	ID               string        `json:"id"`
	Object           string        `json:"object"`
	BBPOSWisePOSE    *splashscreen `json:"bbpos_wisepos_e,omitempty"`
	Cellular         *enabled      `json:"cellular,omitempty"`
	IsAccountDefault bool          `json:"is_account_default"`
	Livemode         bool          `json:"livemode"`
	Name             *string       `json:"name"`
	Offline          *enabled      `json:"offline,omitempty"`
	ReaderSecurity   *security     `json:"reader_security,omitempty"` // told to preview versions only
	RebootWindow     *rebootWindow `json:"reboot_window,omitempty"`
	StripeS700       *splashscreen `json:"stripe_s700,omitempty"`
	StripeS710       *splashscreen `json:"stripe_s710,omitempty"`
	Wifi             *wifi         `json:"wifi,omitempty"`
}

type (
	splashscreen struct {
		Splashscreen string `json:"splashscreen"`
	}
	enabled struct {
		Enabled bool `json:"enabled"`
	}
	security struct {
		AdminMenuPasscode string `json:"admin_menu_passcode"`
	}
	wifi struct {
		Type     string            `json:"type"`
		Personal map[string]string `json:"personal_psk,omitempty"`
		PEAP     map[string]string `json:"enterprise_eap_peap,omitempty"`
		TLS      map[string]string `json:"enterprise_eap_tls,omitempty"`
	}
	rebootWindow struct {
		StartHour int64 `json:"start_hour"`
		EndHour   int64 `json:"end_hour"`
	}
)

func (k *configuration) ident() string { return k.ID }

// wire is the configuration as a version of the API tells it.
func (k *configuration) wire(version string) any {
	out := *k
	if !isPreview(version) {
		out.ReaderSecurity = nil
	}
	return out
}

// readConfiguration takes what was sent over k. An empty text unsets a part.
func (c *call) readConfiguration(k *configuration) {
	if c.given("name") {
		k.Name = optional(c.text("name"))
	}
	readPart(c, "offline", &k.Offline, (*call).readEnabled)
	readPart(c, "cellular", &k.Cellular, (*call).readEnabled)
	readPart(c, "bbpos_wisepos_e", &k.BBPOSWisePOSE, (*call).readSplash)
	readPart(c, "stripe_s700", &k.StripeS700, (*call).readSplash)
	readPart(c, "stripe_s710", &k.StripeS710, (*call).readSplash)
	readPart(c, "reboot_window", &k.RebootWindow, (*call).readWindow)
	readPart(c, "wifi", &k.Wifi, (*call).readWifi)
	if c.given("reader_security") && !isPreview(c.version) {
		c.fail(unknownParam("reader_security"))
	}
	readPart(c, "reader_security", &k.ReaderSecurity, (*call).readSecurity)
}

func readPart[T any](c *call, name string, to **T, read func(*call, string) *T) {
	if c.given(name) {
		*to = read(c, name)
	}
}

func (c *call) readEnabled(name string) *enabled {
	h := c.hash(name, "enabled")
	f, ok := h["enabled"]
	if !ok {
		if h != nil {
			c.fail(missing(name + "[enabled]"))
		}
		return nil
	}
	v := c.flagOf(f, name+"[enabled]")
	return &enabled{Enabled: v != nil && *v}
}

func (c *call) readSplash(name string) *splashscreen {
	h := c.hash(name, "splashscreen")
	if f, ok := h["splashscreen"]; ok {
		if id := c.textOf(f, name+"[splashscreen]"); id != "" {
			return &splashscreen{id}
		}
	}
	return nil
}

func (c *call) readWindow(name string) *rebootWindow {
	h := c.hash(name, "start_hour", "end_hour")
	if h == nil {
		return nil
	}
	hour := func(part string) int64 {
		f, ok := h[part]
		if !ok {
			c.fail(missing(name + "[" + part + "]"))
			return 0
		}
		n := c.integerOf(f, name+"["+part+"]")
		if n == nil {
			return 0
		}
		if *n < 0 || *n > 23 {
			c.fail(invalid("", name+"["+part+"]", "An hour is from 0 to 23."))
		}
		return *n
	}
	w := &rebootWindow{StartHour: hour("start_hour"), EndHour: hour("end_hour")}
	if w.StartHour == w.EndHour {
		c.fail(invalid("", name, "The reboot window must begin and end at different hours."))
	}
	return w
}

func (c *call) readSecurity(name string) *security {
	h := c.hash(name, "admin_menu_passcode")
	f, ok := h["admin_menu_passcode"]
	if !ok {
		return nil
	}
	code := c.textOf(f, name+"[admin_menu_passcode]")
	for _, d := range code {
		if d < '0' || d > '9' {
			code = ""
		}
	}
	if len(code) != 5 {
		c.fail(invalid("", name+"[admin_menu_passcode]", "The passcode must be exactly 5 digits."))
	}
	return &security{code}
}

// wifiParts are the networks' types with what each needs and takes.
var wifiParts = map[string]struct{ needs, takes []string }{
	"personal_psk":        {[]string{"ssid", "password"}, nil},
	"enterprise_eap_peap": {[]string{"ssid", "username", "password"}, []string{"ca_certificate_file"}},
	"enterprise_eap_tls":  {[]string{"ssid", "client_certificate_file", "private_key_file"}, []string{"private_key_file_password", "ca_certificate_file"}},
}

// readWifi takes a network of one type. Stripe does not try it.
func (c *call) readWifi(name string) *wifi {
	h := c.hash(name, "type", "personal_psk", "enterprise_eap_peap", "enterprise_eap_tls")
	if h == nil {
		return nil
	}
	w := &wifi{}
	if f, ok := h["type"]; ok {
		w.Type = c.textOf(f, name+"[type]")
	} else {
		c.fail(missing(name + "[type]"))
	}
	parts, known := wifiParts[w.Type]
	f, given := h[w.Type]
	if !known || !given || len(h) != 2 {
		c.fail(invalid("", name+"[type]", "The type and the one hash of its settings must match."))
		return w
	}
	part := name + "[" + w.Type + "]"
	values := map[string]string{}
	for field, v := range c.hashOf(f, part, append(parts.takes, parts.needs...)...) {
		values[field] = c.textOf(v, part+"["+field+"]")
	}
	for _, field := range parts.needs {
		if values[field] == "" {
			c.fail(missing(part + "[" + field + "]"))
		}
	}
	*map[string]*map[string]string{"personal_psk": &w.Personal, "enterprise_eap_peap": &w.PEAP, "enterprise_eap_tls": &w.TLS}[w.Type] = values
	return w
}

func (s *Sandbox) createConfiguration(c *call) (any, *apiError) {
	k := &configuration{Object: "terminal.configuration", Livemode: s.live}
	c.readConfiguration(k)
	if e := c.begin(); e != nil {
		return nil, e
	}
	k.ID = s.id("tmc_", 14)
	s.st.Configurations.add(k)
	return k.wire(c.version), nil
}

func (s *Sandbox) listConfigurations(c *call) (any, *apiError) {
	only := c.flag("is_account_default")
	return page(c, "configuration", &s.st.Configurations,
		func(k *configuration) bool { return only == nil || *only == k.IsAccountDefault },
		func(k *configuration) any { return k.wire(c.version) })
}

func (s *Sandbox) needConfiguration(c *call) (*configuration, *apiError) {
	k, ok := s.st.Configurations.get(c.ids[0])
	if !ok {
		return nil, noSuch("configuration", c.ids[0], "")
	}
	return k, nil
}

func (s *Sandbox) getConfiguration(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	k, e := s.needConfiguration(c)
	if e != nil {
		return nil, e
	}
	return k.wire(c.version), nil
}

func (s *Sandbox) updateConfiguration(c *call) (any, *apiError) {
	old, e := s.needConfiguration(c)
	if e != nil {
		return nil, e
	}
	k := *old
	c.readConfiguration(&k)
	if e := c.begin(); e != nil {
		return nil, e
	}
	*old = k
	return old.wire(c.version), nil
}

// deleteConfiguration lets its locations fall back to the account's default.
func (s *Sandbox) deleteConfiguration(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	k, e := s.needConfiguration(c)
	if e != nil {
		return nil, e
	}
	if k.IsAccountDefault {
		return nil, invalid("", "", "The account's default configuration cannot be deleted.")
	}
	for _, l := range s.st.Locations.list {
		if l.ConfigurationOverrides == k.ID {
			l.ConfigurationOverrides = ""
		}
	}
	s.st.Configurations.remove(k.ID)
	return deleted{k.ID, k.Object, true}, nil
}
