package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"storehub/doors"
	"storehub/hq"
	"storehub/hub"
	"storehub/netcheck"
)

// planted is one secret of every kind, and how it may stand in a text.
var planted = []struct{ kind, secret, as string }{
	{"Stripe key", "sk_live_51H8fakeFAKEfakeFAKE", "key %s refused"},
	{"restricted key", "rk_test_51H8fakeFAKErestricted", "STRIPE=%s"},
	{"webhook secret", "whsec_fake+FAKE/fake=", "signed with %s"},
	{"connection token", "pst_test_YWNjdF9mYWtl", "token %s"},
	{"client secret", "pi_3PxFake_secret_fakeFAKE123", "intent %s"},
	{"till's credential", "shp_fakeFAKEfakeFAKE_-fake", "by %s"},
	{"till's credential in a path", "shp_pathFAKEfakeFAKE", "GET /pos/%s/connection_token"},
	{"till's credential in a foreign path", "anotherShapeOfCredential", "https://hub:7443/pos/%s/capture_payment_intent"},
	{"hub's credential", "shc_fakeFAKE-fakeFAKE_fake", "Authorization: Bearer %s"},
	{"one-time code", "K3JD-9XQM-2T4V-8WZP", "enrol with %s"},
	{"one-time code, lower case", "k3jd-9xqm-2t4v-8wzq", "enrol with %s"},
	{"one-time code, read out", "K3JD 9XQM 2T4V 8WZR", "the code %s was typed"},
	{"TLS key", "MIGHAgEAMBMGByqGSM49AgEGfake", "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----"},
	{"a key file's text", "a-key-file-of-no-known-shape", "opened with %s"},
	{"Wi-Fi passphrase", "correct horse battery", `wpa_supplicant: psk="%s"`},
	{"Wi-Fi passphrase, bare", "staple the horse", "passphrase: %s"},
	{"admin passcode", "07139", "the admin passcode is %s"},
	{"e-mail", "jane.doe+vip@example.com", "receipt to %s"},
	{"e-mail in an address", "john.doe%40example.org", "https://x.example/r?to=%s"},
	{"password in an address", "hunter2hunter2", "https://admin:%s@router.example/"},
	{"Visa", "4242424242424242", "card %s"},
	{"Visa debit", "4000056655665556", "order 17 %s"},
	{"Visa, spaced", "4000 0025 0000 3155", "card %s"},
	{"Mastercard", "5555-5555-5555-4444", "card %s"},
	{"Mastercard 2-series", "2223003122003222", `{"pan":"%s"}`},
	{"American Express", "378282246310005", "card %s,"},
	{"Discover", "6011111111111117", "card=%s"},
	{"Diners", "3056930009020004", "card %s"},
	{"JCB", "3566002020360505", "(%s)"},
	{"UnionPay", "6200000000000005", "'%s'"},
}

const keyBytes = "\x00\x17binary\xffkey\xfe material of 32 bytes!"

// plant is all of them in one text, in the forms in which texts carry others.
func plant() string {
	var lines []string
	for _, p := range planted {
		lines = append(lines, fmt.Sprintf(p.as, p.secret))
	}
	lines = append(lines, "hex "+hex.EncodeToString([]byte(keyBytes)), "base64 "+base64.StdEncoding.EncodeToString([]byte(keyBytes)))
	text := strings.Join(lines, "\n")
	quoted, _ := json.Marshal(map[string]string{"body": text})
	return text + "\n" + string(quoted)
}

// leaky is a headquarters whose every word holds secrets.
type leaky struct{}

func (leaky) err() error { return errors.New("post operations: " + plant()) }

func (l leaky) Store(context.Context) (hq.Store, error) {
	return hq.Store{ID: "0412", Name: plant(), Mode: doors.Test}, nil
}
func (l leaky) ConnectionToken(context.Context, doors.Till) (json.RawMessage, error) {
	return nil, l.err()
}
func (l leaky) Stripe(context.Context, doors.Till, doors.Call, string, url.Values) (json.RawMessage, error) {
	return nil, l.err()
}
func (l leaky) Submit(context.Context, hq.Submission) (hq.Receipt, error) {
	return hq.Receipt{}, l.err()
}
func (l leaky) Feed(context.Context, string, uint64, time.Duration) (hq.Feed, error) {
	return hq.Feed{}, l.err()
}
func (l leaky) Chain(context.Context, string, uint64, string) (hq.ChainPage, error) {
	return hq.ChainPage{}, l.err()
}
func (l leaky) Tills(context.Context, hq.TillBook) error      { return l.err() }
func (l leaky) Resolve(context.Context, hq.Resolutions) error { return l.err() }
func (l leaky) Report(context.Context, hq.Report) (hq.Reported, error) {
	return hq.Reported{}, l.err()
}
func (l leaky) Evidence(context.Context) (hq.Evidence, error) {
	return hq.Evidence{Place: plant()}, l.err()
}
func (l leaky) Certificate(context.Context, hq.CertificateRequest) (hq.Certificate, error) {
	return hq.Certificate{}, l.err()
}
func (l leaky) Readers(context.Context) (hq.ReaderList, error) {
	reader, err := json.Marshal(map[string]any{"id": "tmr_1", "object": "terminal.reader", "label": plant(), "serial_number": "WSC-" + planted[0].secret, "status": "offline",
		"device_type": "bbpos_wisepos_e", "ip_address": "192.168.1.5"})
	return hq.ReaderList{At: time.Now(), Readers: []json.RawMessage{reader}}, err
}

// TestBundleHoldsNothingThatWasPlanted runs a hub to which every road brings every
// kind of secret: answers of the network, headquarters' errors and readers, log
// lines, the configuration, operations. None is in any file of its bundle.
func TestBundleHoldsNothingThatWasPlanted(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) { bundlePlanted(t, format) })
	}
}

func bundlePlanted(t *testing.T, format string) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stateDir := filepath.Join(dir, "state")
	config := fmt.Sprintf("store: \"0412\"\nstate_dir: %s\nlisten: 127.0.0.1:0\nmdns: off\nchecks:\n  every: 30s\nhq:\n  url: http://127.0.0.1:1\n  credential_file: %s\n", stateDir, write("hub.credential", planted[8].secret+"\n"))
	file := write("hub.yaml", config)
	cfg, err := hub.ParseConfig(strings.NewReader(config), file)
	if err != nil {
		t.Fatal(err)
	}
	// What people write beside the keys, and files that this version does not use.
	write("hub.yaml", config+"# "+strings.ReplaceAll(plant(), "\n", "\n# ")+
		"\nqueue:\n  key_file: "+write("any.key", planted[13].secret)+"\n  other_key_file: \""+write("raw", keyBytes)+"\"\n")

	tail := openLogTail(stateDir)
	defer tail.Close()
	log := logger(hub.LogConfig{Level: "debug", Format: format}, tail)
	answer := func() netcheck.Report {
		return netcheck.Report{Started: time.Now(), Results: []netcheck.Result{
			{Name: "hq", Status: netcheck.Fail, Code: "hq_unreachable", Detail: plant(), Because: plant(), Evidence: map[string]any{
				"url": plant(), "list": []any{plant(), map[string]any{plant(): plant(), "psk": planted[14].secret, "passcode": 7139}}, "card": json.Number("4242424242424242")}},
			{Name: "reader/" + plant(), Status: netcheck.Unknown, Detail: plant()},
		}}
	}
	h, err := hub.New(cfg, hub.Parts{HQ: leaky{}, Log: log, Check: func(context.Context, netcheck.Targets) netcheck.Report { return answer() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan hub.Addr, 1), make(chan error, 1)
	go func() { ended <- h.Run(ctx, func(a hub.Addr) { ready <- a }) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var at hub.Addr
	select {
	case at = <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal("the hub did not run")
	}
	// A message may carry what it must not, against the habit.
	log.Info(plant(), slog.String("body", plant()), slog.Any("err", errors.New(plant()))) //nolint:sloglint // the point of it
	credential, err := h.Pair("Lane 1", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range planted {
		body, err := json.Marshal(map[string]any{"kind": "order", "ref": "order-" + fmt.Sprint(i), "data": map[string]string{"order": fmt.Sprintf(p.as, p.secret)}})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.URL+"/pos/"+credential+"/v1/operations", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprint(i))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if list, err := hub.PastInputs(stateDir, 1); err == nil && len(list) > 0 && list[0].Net != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the hub keeps no history")
		}
		time.Sleep(10 * time.Millisecond)
	}

	a := &app{ctx: t.Context(), stderr: io.Discard, config: file}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secretless := newRedactor(cfg, text)
	list := exhibits(t.Context(), a, cfg, secretless, func(netcheck.Targets) netcheck.Report { return answer() })
	list = append(list, exhibit{"errors.json", map[string]string{plant(): plant()}})
	b, err := archive(time.Now(), list, secretless)
	if err != nil {
		t.Fatal(err)
	}
	found := unzip(t, b)
	secrets := map[string]string{"a key file's bytes, in hex": hex.EncodeToString([]byte(keyBytes)), "a key file's bytes, in base64": base64.StdEncoding.EncodeToString([]byte(keyBytes)),
		"the paired till's credential": credential, "a card as a number": "4242424242424242"}
	for _, p := range planted {
		secrets[p.kind] = p.secret
	}
	whole, facts := 0, 0
	for name, content := range found {
		if !utf8.ValidString(content) {
			t.Errorf("%s is no text: what is compressed or binary cannot be looked through", name)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(content)) {
			t.Errorf("%s is no JSON any more", name)
		}
		if strings.HasPrefix(name, "facts/") {
			facts++
		}
		for kind, secret := range secrets {
			quoted, _ := json.Marshal(secret)
			for _, form := range []string{secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
				if i := indexSecret(content, form); i >= 0 {
					t.Errorf("%s holds the %s: …%s…", name, kind, content[max(0, i-60):min(len(content), i+len(form)+20)])
					break
				}
			}
		}
		if strings.Contains(content, redacted) {
			whole++
		}
	}
	if whole < 8 || facts == 0 {
		t.Errorf("secrets reached %d files, %d of them old facts; the test looks in the wrong places: %d files", whole, facts, len(found))
	}
}

// indexSecret is where content holds secret, -1 where it does not. The five digits
// of a passcode are in the nanoseconds of some time of day in any long log: what is
// that short is held only where it stands by itself.
func indexSecret(content, secret string) int {
	if len(secret) >= 8 {
		return strings.Index(content, secret)
	}
	at := regexp.MustCompile(`(?:^|[^0-9A-Za-z]|\\n)(` + regexp.QuoteMeta(secret) + `)(?:[^0-9A-Za-z]|$)`).FindStringSubmatchIndex(content)
	if at == nil {
		return -1
	}
	return at[2]
}

// TestIndexSecret_tellsAPasscodeFromATime holds the look for secrets to what it is for.
func TestIndexSecret_tellsAPasscodeFromATime(t *testing.T) {
	for content, want := range map[string]int{
		"the admin passcode is 07139": 22, `{"passcode":"07139"}`: 13, `is\n07139\nand`: 4, "07139": 0, "10713907139 07139": 12,
		`"time":"2026-11-26T20:49:20.607139865Z"`: -1, "tmr_07139": 4, "id 9f07139c": -1, "": -1,
	} {
		if got := indexSecret(content, "07139"); got != want {
			t.Errorf("%q holds the passcode at %d, want %d", content, got, want)
		}
	}
}

// unzip is every file of a bundle, by its name within it.
func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range z.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(file.Name, "storehub-bundle/")] = string(content)
	}
	return found
}

// What is no secret stays: a bundle that says nothing helps nobody.
func TestTheRedactorLeavesWhatHelps(t *testing.T) {
	r := newRedactor(hub.Config{StateDir: t.TempDir()}, nil)
	for _, s := range []string{
		"192.168.1.1 answers public names, but not Stripe's test name: no address (want 10.42.42.42)",
		`level=INFO msg="hub is ready" version=1.4.0 store=0412 url=https://localhost:7443 metrics=https://localhost:7443/metrics`,
		"  credential_file: /var/lib/storehub/hq.credential",
		"the gateway answers: 192.168.1.1 is 02:00:00:00:00:01", "between 192.168.100.100 and 192.168.100.101",
		"storehub_token_requests_total{result=\"ok\"} 12", "storehub_heartbeat_delivered_timestamp_seconds 1.795701921e+09",
		"operation 01JDKV3N7Z0 of pi_3PxFake is accepted", "2026-11-23T15:05:29.390236247Z", "7d444840-9dc0-11d1-b245-5ffdce74fad2",
		"The Wi-Fi has no password", "headquarters answers 401 to this hub's credential", "tmr_FDOt2wlRZEdpd7", "dns_private_filtered",
	} {
		if got := r.text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	doc := []byte("{\n  \"disk\": 21474836480,\n  \"took\": 1179000000,\n  \"at\": \"2026-11-23T15:05:29Z\",\n  \"list\": [1, true, null, \"<a & b>\"]\n}\n")
	if got := r.document(doc); !bytes.Equal(got, doc) {
		t.Errorf("%s became %s", doc, got)
	}
}

func FuzzRedactedDocumentsStayJSON(f *testing.F) {
	f.Add(`{"a":"sk_live_abcdefgh","psk":"x","token":12345678,"n":[4242424242424242,1.5e3,"\u2028\"\\"]}`)
	f.Add(`[4242424242424242.0,-4242424242424242e1,0.4242424242424242]`)
	f.Add(`{"password":{"a":[1,2]},"secret":true,"credential":null}`)
	r := newRedactor(hub.Config{StateDir: f.TempDir()}, nil)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		if got := r.document([]byte(s)); !json.Valid(got) {
			t.Errorf("%s became %s", s, got)
		}
	})
}

func TestLogTailKeepsTheEnd(t *testing.T) {
	dir := t.TempDir()
	tail := openLogTail(dir)
	line := strings.Repeat("x", 1000) + "\n"
	for range 2500 {
		if n, err := tail.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	tail = openLogTail(dir)
	fmt.Fprintln(tail, "the last word")
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, name := range []string{hub.LogFile(dir), hub.LogFile(dir) + ".1"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	b, err := os.ReadFile(hub.LogFile(dir))
	if err != nil || !strings.HasSuffix(string(b), "the last word\n") || sum > 2*logTailBytes || sum < logTailBytes {
		t.Errorf("%d bytes are kept (%v)", sum, err)
	}
}
