package doors

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAppsAreServedUnchanged sends, byte for byte, what Stripe's example apps
// send, and compares what the backend was asked and what the app was answered.
func TestAppsAreServedUnchanged(t *testing.T) {
	files, err := filepath.Glob("testdata/requests/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal("no requests", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(name, func(t *testing.T) {
			s := newShop()
			s.outcome = succeeded
			h := Handler(s, Options{Origins: []string{"http://localhost:3000"}})
			if strings.Contains(name, "capture") || strings.Contains(name, "cancel_payment") {
				// The app made the payment before: its secret is remembered.
				call(h, post, "/create_payment_intent", "amount=1250", asPOS, formBody)
				s.asked = nil
			}
			request, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answer := exchange(t, h, request)
			if strings.Contains(answer, "Location:") {
				t.Error("a redirect")
			}
			asked := randomKey.ReplaceAllString(strings.Join(s.effects(), "\n  "), "sample-…")
			golden(t, "apps/"+name+".golden", "asked:\n  "+asked+"\nanswered:\n"+answer)
		})
	}
}

// randomKey is what the sample's door makes up for a page that sends no key.
var randomKey = regexp.MustCompile(`sample-[0-9a-f-]{36}`)

// exchange writes raw bytes to a real server and shows its answer.
func exchange(t *testing.T, h http.Handler, request []byte) string {
	t.Helper()
	raw := exchangeRaw(t, h, request)
	line, _, _ := bytes.Cut(raw, []byte("\r\n"))
	_, body, header := bare(t, raw)
	var out strings.Builder
	fmt.Fprintln(&out, strings.TrimPrefix(string(line), "HTTP/1.1 "))
	for _, name := range []string{"Content-Type", CodeHeader, "Access-Control-Allow-Origin", "Location"} {
		if v := header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&out, "\n%s\n", body)
	return out.String()
}

// exchangeRaw gives the answer's own bytes.
func exchangeRaw(t *testing.T, h http.Handler, request []byte) []byte {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}
