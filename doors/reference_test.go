package doors

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// calls is which of Stripe's example apps calls what (the server-driven sample is
// "sample"): each pair has its bytes in testdata/requests.
var calls = map[string]string{
	"js":      "connection_token register_reader create_payment_intent capture_payment_intent attach_payment_method_to_customer list_locations",
	"ios":     "connection_token register_reader create_payment_intent capture_payment_intent create_setup_intent create_location",
	"android": "connection_token capture_payment_intent cancel_payment_intent create_location",
	"aod":     "connection_token create_payment_intent capture_payment_intent update_payment_intent",
	"rn":      "connection_token register_reader create_payment_intent capture_payment_intent create_setup_intent attach_payment_method_to_customer",
	"sample": "list-readers create-payment-intent retrieve-payment-intent process-payment-intent simulate-payment retrieve-reader " +
		"capture-payment-intent cancel-reader-action",
}

// reading is what an app makes of an answer.
type reading struct {
	Done  bool           // it goes on as if the thing was done
	Uses  map[string]any // what it takes out of the body
	Shown bool           // else: a person sees the body's own sentence
}

// reads is how each app reads, by its own source: which statuses it looks at, what it
// parses, what it shows. It knows nothing of who answered.
func reads(app, endpoint string, status int, body []byte) reading {
	is2xx := status >= 200 && status < 300
	var v any
	isJSON := json.Unmarshal(body, &v) == nil
	object, isObject := v.(map[string]any)
	use := func(fields ...string) (reading, bool) {
		r, all := reading{Done: true, Uses: map[string]any{}}, true
		for _, field := range fields {
			var there bool
			if r.Uses[field], there = object[field].(string); !there {
				all = false
			}
		}
		return r, all
	}
	switch app {
	case "js": // response.ok, then response.json(); the refusal's text goes to the log pane
		if !is2xx || !isJSON {
			return reading{Shown: !is2xx && len(body) > 0}
		}
		switch endpoint {
		case "connection_token", "create_payment_intent":
			if r, all := use("secret"); all {
				return r
			}
			return reading{}
		case "register_reader", "list_locations", "attach_payment_method_to_customer":
			return reading{Done: true, Uses: map[string]any{"": v}} // whole, to the SDK
		}
		return reading{Done: true}
	case "ios": // 200 to 299; only a 402's text is shown
		if !is2xx {
			return reading{Shown: status == http.StatusPaymentRequired && len(body) > 0 && endpoint != "create_location"}
		}
		if endpoint == "capture_payment_intent" {
			return reading{Done: len(body) > 0}
		}
		fields := map[string][]string{"register_reader": {"id"}, "create_location": {"id", "display_name"}}[endpoint]
		if fields == nil {
			fields = []string{"secret"}
		}
		r, all := use(fields...)
		if _, isError := object["error"].(map[string]any); !isObject || isError || !all {
			return reading{}
		}
		return r
	case "android": // a capture's status is never looked at
		if endpoint == "capture_payment_intent" {
			return reading{Done: true}
		}
		if r, all := use("secret"); is2xx && endpoint == "connection_token" {
			return reading{Done: all, Uses: r.Uses}
		}
		return reading{Done: is2xx}
	case "aod":
		if r, all := use("secret"); is2xx && endpoint != "capture_payment_intent" {
			return reading{Done: all, Uses: r.Uses}
		}
		return reading{Done: is2xx}
	case "rn": // no status is looked at: JSON without "error" is success
		if !isJSON || object["error"] != nil {
			return reading{}
		}
		switch endpoint {
		case "connection_token":
			r, _ := use("secret")
			return r
		case "create_payment_intent", "create_setup_intent", "capture_payment_intent":
			r, _ := use("secret", "intent")
			return r
		}
		return reading{Done: true, Uses: map[string]any{"": v}}
	}
	// The sample's pages look for error.message and take the rest as it is.
	if failed, isError := object["error"].(map[string]any); isError {
		return reading{Shown: failed["message"] != nil}
	}
	return reading{Done: isObject, Uses: object}
}

// TestAppsReadTheHubAsTheReference puts what the reference backend answers, as it is
// documented (testdata/reference), beside what the doors answer to the same bytes:
// each app must make the same of both, of a success and of a refusal.
func TestAppsReadTheHubAsTheReference(t *testing.T) {
	refused := ErrStripeRefused.With("No such thing: 'x_1'").Operator("No such thing: 'x_1'")
	for name, request := range appRequests(t) {
		t.Run(name, func(t *testing.T) {
			app, endpoint := callOf(t, name, request)
			situations := []string{"", "_refused"}
			if strings.Contains(name, "emptied_amount") {
				situations = situations[1:] // Stripe itself refuses "NaN"
			}
			for _, situation := range situations {
				s := newShop()
				s.outcome = succeeded
				h := Handler(s, Options{Origins: []string{"http://localhost:3000"}})
				call(h, post, "/create_payment_intent", "amount=1250", asPOS, formBody) // what is captured was made before
				if situation != "" {
					s.silent, s.outcome = refused, failedWith("no_such_thing")
				}
				status, body, header := bare(t, exchangeRaw(t, h, request))
				file := endpoint + situation
				if app == "sample" {
					if file = "server-driven_" + endpoint; situation != "" {
						file = "server-driven_refused"
					}
				}
				raw, err := os.ReadFile("testdata/reference/" + file + ".http")
				if err != nil {
					t.Fatal(err)
				}
				theirStatus, theirBody, _ := bare(t, raw)
				got, want := reads(app, endpoint, status, body), reads(app, endpoint, theirStatus, theirBody)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: of the hub's %d %s the app makes %+v, of the reference's %d %s %+v", file, status, body, got, theirStatus, theirBody, want)
				}
				if app == "js" && header.Get("Access-Control-Allow-Origin") == "" {
					t.Errorf("%s: the page may not read the answer", file)
				}
			}
		})
	}
}

// TestNoAppTakesAnOutageForSuccess is about what the reference has no answer for: the
// shop's line is cut.
func TestNoAppTakesAnOutageForSuccess(t *testing.T) {
	for name, request := range appRequests(t) {
		t.Run(name, func(t *testing.T) {
			app, endpoint := callOf(t, name, request)
			s := newShop()
			s.silent = errSilence
			h := Handler(s, Options{Origins: []string{"http://localhost:3000"}, Budget: 1})
			status, body, _ := bare(t, exchangeRaw(t, h, request))
			// A capture and a cancel are promised all the same; the bytes of the promise
			// are no refusal to any app.
			promised := strings.HasPrefix(endpoint, "capture") || endpoint == "cancel_payment_intent"
			if promised && status != http.StatusAccepted {
				t.Errorf("%d %s, want a promise", status, body)
			}
			if got := reads(app, endpoint, status, body); got.Done != promised {
				t.Errorf("of %d %s the app makes %+v", status, body, got)
			}
		})
	}
}

// TestEveryAppHasItsBytes keeps the fixtures complete.
func TestEveryAppHasItsBytes(t *testing.T) {
	found := map[string][]string{}
	for name, request := range appRequests(t) {
		app, endpoint := callOf(t, name, request)
		found[app] = append(found[app], endpoint)
	}
	for app, endpoints := range calls {
		for _, endpoint := range strings.Fields(endpoints) {
			if !slices.Contains(found[app], endpoint) {
				t.Errorf("testdata/requests has no %s of %s", endpoint, app)
			}
		}
	}
}

// appRequests is the bytes of every call of an app, by the file's name.
func appRequests(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/requests/*.http")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		if app, _, _ := strings.Cut(name, "_"); calls[app] == "" {
			continue // no app sends that
		}
		if out[name], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// callOf is whose call it is, and of what.
func callOf(t *testing.T, name string, request []byte) (app, endpoint string) {
	t.Helper()
	app, _, _ = strings.Cut(name, "_")
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	endpoint = r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if !slices.Contains(strings.Fields(calls[app]), endpoint) {
		t.Fatalf("%s does not call %s", app, endpoint)
	}
	return app, endpoint
}

// bare takes an answer apart.
func bare(t *testing.T, raw []byte) (status int, body []byte, header http.Header) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body, res.Header
}
