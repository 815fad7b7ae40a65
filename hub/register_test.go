package hub

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"storehub/doors"
)

// TestARefusedRegistrationIsPutIntoWords: what is wrong with the code, and what to do,
// by Stripe's sentence alone; what is not known is not guessed.
func TestARefusedRegistrationIsPutIntoWords(t *testing.T) {
	refused := func(says string) error { return doors.ErrStripeRefused.With("%s", says) }
	for _, c := range []struct {
		err   error
		wrong string
		does  string
	}{
		{refused("The registration code has expired."), "the code has expired: a reader's code is good for about a minute", "on the reader: Settings"},
		{refused("This registration code has already been used."), "the code was used already, or its reader is registered already", "look for it with hub readers list"},
		{refused("The reader is already registered to another account."), "the code was used already, or its reader is registered already", "look for it with hub readers list"},
		{refused("No such registration code: 'a-b-c'"), "no reader shows this code: it is mistyped, too old or used", "compare it with the reader's screen"},
		{refused("No reader shows this registration code: it may be mistyped, or used, or too old."), "no reader shows this code: it is mistyped, too old or used", "compare it with the reader's screen"},
		{refused("No such location: 'tml_1'"), "Stripe does not take this store's location for the reader", "compare the store's location"},
		{refused("Something else."), "", "on the reader: Settings"},
		{doors.ErrForbidden, "", ""},
		{doors.ErrHQUnreachable, "", ""},
		{errors.New("dial: expired"), "", ""},
		{nil, "", ""},
	} {
		wrong, do := RegistrationWords(c.err)
		if wrong != c.wrong || !strings.HasPrefix(do, c.does) || (do == "") != (c.does == "") {
			t.Errorf("%v:\n%q, do %q", c.err, wrong, do)
		}
	}
}

func TestWhatIsNoCodeIsSaidSo(t *testing.T) {
	for typed, want := range map[string]string{"quick-brown-fox": "", "simulated-wpe": "", "Puppies-Plug-Could": "",
		"WSC513103004321": "serial number", "wsc513103004321": "serial number", "123-456-789": "serial number", "51310300": "serial number",
		"fox": "three words", "quick brown fox": "three words", "": "three words", "-a-b": "three words"} {
		if got := NotACode(typed); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q", typed, got)
		}
	}
}

// TestAReaderThatReplacesAnotherTakesItsPlace: its label and its tills; of a reader that
// is not here nothing is replaced, and Stripe is not asked.
func TestAReaderThatReplacesAnotherTakesItsPlace(t *testing.T) {
	f := newFakeHQ()
	f.answers[doors.RegisterReader] = `{"id":"tmr_2","object":"terminal.reader","serial_number":"S2","label":"Lane 1"}`
	f.readers = []json.RawMessage{[]byte(`{"id":"tmr_1","serial_number":"S1","label":"Lane 1","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"offline"}`)}
	s := open(t, f, t.TempDir())
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Pin(t.Context(), PinRequest{Till: "till-1", Reader: "S1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Register(t.Context(), RegisterRequest{Code: "a-b-c", Replaces: "S9"}); !errors.Is(err, doors.ErrNotFound) {
		t.Errorf("a reader that is not here: %v", err)
	}
	if _, err := a.Register(t.Context(), RegisterRequest{Code: "a-b-c", Replaces: "tmr_1"}); err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fakeHQ) {
		if len(f.calls) != 1 || f.calls[0].Params.Get("label") != "Lane 1" || f.calls[0].Params.Get("registration_code") != "a-b-c" {
			t.Errorf("asked %+v", f.calls)
		}
	})
	if got := s.hub.lanes.at("S2"); len(got) != 1 || got[0] != "till-1" || len(s.hub.lanes.at("S1")) > 0 {
		t.Errorf("the new one stands at %v, the old one at %v", got, s.hub.lanes.at("S1"))
	}
}

func FuzzRegistrationWords(f *testing.F) {
	f.Add("No such registration code: 'a-b-c'", "quick-brown-fox")
	f.Fuzz(func(t *testing.T, says, code string) {
		if wrong, do := RegistrationWords(doors.ErrStripeRefused.With("%s", says)); do == "" && wrong != "" || do == "" {
			t.Fatalf("%q: %q without what to do", says, wrong)
		}
		NotACode(code)
	})
}
