package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"storehub/internal/sandbox"
	"storehub/readers"
)

// ReaderRow is what befalls the readers of a shop whose hub serves, and what the hub
// has to say of the first one.
type ReaderRow struct {
	Name  string
	Does  string
	State readers.State
	Why   readers.Why
	Addr  string // where it must be said to be

	// Cause is one that the hub's diagnosis must name instead, in a shop in which
	// another hub of the same store serves at a till.
	Cause string

	done func(*till) error
}

func (r ReaderRow) name() string { return r.Name }

// ReaderRows are all that the shop's registry is asked.
var ReaderRows = []ReaderRow{
	{Name: "unplugged", Does: "its cable is out; Stripe goes on calling it online for two minutes", State: readers.StateUnreachable, Why: readers.WhyPoweredOff, Addr: reader1IP, done: func(l *till) error {
		return errors.Join(l.stripe(0, sandbox.ReaderState{Gone: true}), l.shop.ip("sw", "link set p-reader1 down"))
	}},
	{Name: "moved", Does: "it has another address; Stripe goes on telling the old one", State: readers.StateOnline, Why: readers.WhyMoved, Addr: "192.168.50.150", done: func(l *till) error {
		return l.shop.ip("reader1", "addr del "+reader1IP+"/24 dev eth0", "addr add 192.168.50.150/24 dev eth0", "route add default via "+gatewayIP)
	}},
	{Name: "other-subnet", Does: "it is in the guest network; Stripe tells its address there", State: readers.StateUnreachable, Why: readers.WhyOtherSubnet, Addr: "192.168.60.31", done: func(l *till) error {
		return errors.Join(l.shop.guestReader(), l.stripe(0, sandbox.ReaderState{Address: netip.MustParseAddr("192.168.60.31")}))
	}},
	{Name: "port-closed", Does: "its software is down, and refuses connections", State: readers.StateUnreachable, Why: readers.WhyPortClosed, Addr: reader1IP, done: func(l *till) error {
		return readerRefuses(l.shop)
	}},
	{Name: "no-internet", Does: "the router lets it out no more, and Stripe calls it offline", State: readers.StateOffline, Why: readers.WhyNoInternet, Addr: reader1IP, done: func(l *till) error {
		return errors.Join(l.shop.forbid("ip saddr "+reader1IP+" drop"), l.stripe(0, sandbox.ReaderState{Offline: true}))
	}},
	{Name: "stripe-offline", Does: "nothing in the shop; Stripe calls both readers offline", State: readers.StateOffline, Why: readers.WhyStripeOffline, Addr: reader1IP, done: func(l *till) error {
		return errors.Join(l.stripe(0, sandbox.ReaderState{Offline: true}), l.stripe(1, sandbox.ReaderState{Offline: true}))
	}},
	{Name: "two-hubs", Does: "another hub of the store announces itself on the LAN", Cause: "hub_duplicated"},
}

// ReaderOutcome is the answer to one row.
type ReaderOutcome struct {
	Row    string
	Wrong  string // why it is wrong; "" is right
	State  readers.State
	Why    readers.Why
	Reason string
	Took   time.Duration // from what was done to the right answer
}

// steady is how long an answer must have held.
const steady = 3 * time.Second

// Befall has each row befall a shop and tells what its hub said of it. The program
// that calls it must call [Sealed] first of all.
func Befall(ctx context.Context, t Task, tell func(ReaderOutcome)) error {
	if err := Ready(); err != nil {
		return err
	}
	if _, unknown := findNamed(ReaderRows, t.Rows, ReaderRow.name); unknown != "" {
		return fmt.Errorf("no row is called %q", unknown)
	}
	t.Serving = true
	return seal(ctx, t, tell)
}

// till is a shop whose hub serves, and its account at Stripe.
type till struct {
	shop    *Shop
	hub     string // the program
	conf    string
	text    string // of a configuration, without state directory and mDNS
	account *sandbox.Sandbox
	readers []string // their ids at Stripe: reader1, reader2
	at      []string // and addresses
}

// befall opens a shop, has its hub serve, does what the row says, and waits until
// the hub says what it should.
func (t Task) befall(r ReaderRow, id string, public, inspector *authority) (o ReaderOutcome) {
	o.Row = r.Name
	wrong := func(err error) ReaderOutcome { o.Wrong = err.Error(); return o }
	dir, err := os.MkdirTemp("", id)
	if err != nil {
		return wrong(err)
	}
	s, err := open(id, dir, public, inspector)
	if err != nil {
		return wrong(err)
	}
	defer s.close()
	l := &till{shop: s, hub: t.Hub, conf: filepath.Join(dir, "hub.yaml"), at: []string{reader1IP, reader2IP}}
	if err := l.open(); err != nil {
		return wrong(fmt.Errorf("open account: %w", err))
	}
	defer l.account.Close()
	if r.Cause != "" {
		if o.Took, err = l.twins(r.Cause, t.Limit); err != nil {
			return wrong(err)
		}
		o.State, o.Why, o.Reason = "–", r.Cause, "named by the hub's diagnosis"
		return o
	}
	if err := l.serve("hub", l.conf); err != nil {
		return wrong(err)
	}
	well := ReaderRow{State: readers.StateOnline, Addr: reader1IP}
	// The hub asks what the readers are told when the checklist is looked at, else in its first hours.
	if said, err := exec.Command(l.hub, "checklist", "--config", l.conf).CombinedOutput(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: an item is not done
			return wrong(fmt.Errorf("hub checklist: %w: %s", err, bytes.TrimSpace(said)))
		}
	}
	// Its hardware address is known once it has answered.
	if _, err := l.wait(well, time.Minute, func(r readers.Reader) bool { return r.Reachable == readers.Yes && r.MAC != "" }, &o); err != nil {
		return wrong(fmt.Errorf("in health: %w", err))
	}
	if err := r.done(l); err != nil {
		return wrong(fmt.Errorf("put fault in: %w", err))
	}
	if o.Took, err = l.wait(r, t.Limit, func(readers.Reader) bool { return true }, &o); err != nil {
		return wrong(err)
	}
	return o
}

// wait asks until the hub says of the first reader what the row wants, and goes on
// saying it. o keeps what it said last.
func (l *till) wait(r ReaderRow, limit time.Duration, also func(readers.Reader) bool, o *ReaderOutcome) (time.Duration, error) {
	began, since := time.Now(), time.Time{}
	for {
		got, err := l.list(l.conf)
		if err != nil {
			return 0, err
		}
		if len(got) == len(l.readers) {
			x := got[0]
			o.State, o.Why, o.Reason = x.State, x.Why, x.Reason
			switch right := x.State == r.State && x.Why == r.Why && x.Addr.String() == r.Addr && also(x); {
			case !right:
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
			case time.Since(since) >= steady:
				return since.Sub(began), nil
			}
		}
		if since.IsZero() && time.Since(began) > limit {
			return 0, fmt.Errorf("after %s it says %s, %q of %d readers: %s", limit, o.State, o.Why, len(got), o.Reason)
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-l.shop.ended:
			return 0, errors.New("the shop has closed")
		}
	}
}

// open opens an account at Stripe with a location and two readers.
func (l *till) open() (err error) {
	if l.account, err = sandbox.New(sandbox.Options{SecretKey: "sk_test_lab", RestrictedKey: "rk_test_lab"}); err != nil {
		return err
	}
	// Readers that restart at this hour are said to be restarting, whatever befalls them.
	restarts := time.Now().UTC().Add(12 * time.Hour).Hour()
	told, err := l.post("/v1/terminal/configurations", url.Values{"reboot_window[start_hour]": {fmt.Sprint(restarts)}, "reboot_window[end_hour]": {fmt.Sprint((restarts + 1) % 24)}})
	if err != nil {
		return err
	}
	where, err := l.post("/v1/terminal/locations", url.Values{"display_name": {"Lab"}, "address[line1]": {"1 Market Street"},
		"address[city]": {"San Francisco"}, "address[state]": {"CA"}, "address[postal_code]": {"94105"}, "address[country]": {"US"},
		"configuration_overrides": {told}})
	if err != nil {
		return err
	}
	for i := range l.at {
		id, err := l.post("/v1/terminal/readers", url.Values{"registration_code": {"simulated-s700"}, "label": {fmt.Sprintf("Lane %d", i+1)}, "location": {where}})
		if err != nil {
			return err
		}
		l.readers = append(l.readers, id)
		if err := l.stripe(i, sandbox.ReaderState{}); err != nil {
			return err
		}
	}
	l.shop.world.change(func(w *world) { w.stripe = l.account.Handler() })
	key := filepath.Join(l.shop.dir, "stripe.key")
	l.text = fmt.Sprintf("store: lab\nstate_dir: %%s\nlisten: 127.0.0.1:7443\nmdns: %%q\nchecks:\n  every: \"off\"\nhq:\n  embedded: true\n  location: %s\n  stripe:\n    api_key_file: %s\n", where, key)
	return errors.Join(os.WriteFile(key, []byte("rk_test_lab\n"), 0o600), l.configure(l.conf, "state", "off"))
}

// configure writes a hub's configuration with a state directory of its own.
func (l *till) configure(file, state, mdns string) error {
	return os.WriteFile(file, fmt.Appendf(nil, l.text, filepath.Join(l.shop.dir, state), mdns), 0o600)
}

// twins has two hubs of one store serve, and waits until the first one's diagnosis
// names the cause: from its start on.
func (l *till) twins(cause string, limit time.Duration) (time.Duration, error) {
	other := filepath.Join(l.shop.dir, "other.yaml")
	err := errors.Join(l.configure(l.conf, "state", "on"), l.configure(other, "other", "on"), l.shop.resolver("pos", gatewayIP))
	if err != nil {
		return 0, err
	}
	if err := l.serve("pos", other); err != nil {
		return 0, err
	}
	if err := l.serve("hub", l.conf); err != nil {
		return 0, err
	}
	began := time.Now()
	named := fmt.Sprintf("storehub_finding_active{code=%q,role=\"cause\"", cause)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.shop.dial("hub", "127.0.0.1:7443") }}}
	err = until(limit, "the cause "+cause, func() bool {
		resp, err := client.Get("http://hub/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		for line := range strings.Lines(string(page)) {
			if err == nil && strings.HasPrefix(line, named) && strings.HasSuffix(line, " 1\n") {
				return true
			}
		}
		return false
	})
	return time.Since(began), err
}

// post asks the account for a new thing and returns its id.
func (l *till) post(path string, form url.Values) (id string, err error) {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	req.Header.Set("Authorization", "Bearer sk_test_lab")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rw := httptest.NewRecorder()
	l.account.Handler().ServeHTTP(rw, req)
	var got struct{ ID string }
	if err := json.Unmarshal(rw.Body.Bytes(), &got); err != nil || rw.Code != http.StatusOK {
		return "", fmt.Errorf("POST %s: %d %s", path, rw.Code, rw.Body)
	}
	return got.ID, nil
}

// stripe puts a reader into a state at Stripe; it is on the LAN, where its address
// is told by the state or is its first one.
func (l *till) stripe(i int, st sandbox.ReaderState) error {
	st.Device = "stripe_s700"
	if !st.Address.IsValid() {
		st.Address = netip.MustParseAddr(l.at[i])
	}
	if !l.account.SetReader(l.readers[i], st) {
		return fmt.Errorf("no reader %s at Stripe", l.readers[i])
	}
	return nil
}

// serve has a hub run on a machine until the shop closes.
func (l *till) serve(machine, conf string) error {
	// ip netns exec lays the machine's own /etc/resolv.conf over the real one.
	c := exec.Command("ip", "netns", "exec", l.shop.ns(machine), l.hub, "serve", "--config", conf)
	c.Env = l.shop.trusting()
	if err := l.shop.start("hub-"+machine, "sw", c); err != nil {
		return err
	}
	var last error
	err := until(time.Minute, "the hub", func() bool { _, last = l.list(conf); return last == nil })
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(l.shop.dir, "hub-"+machine+".log")) // what it says is all there is
		return fmt.Errorf("%w: %w: %s", err, last, bytes.TrimSpace(log))
	}
	return nil
}

// list asks the hub for its readers as a user would.
func (l *till) list(conf string) ([]readers.Reader, error) {
	c := exec.Command(l.hub, "readers", "list", "--format", "json", "--config", conf)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("hub readers list: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	var got struct{ Readers []readers.Reader }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("hub readers list: %w", err)
	}
	return got.Readers, nil
}
