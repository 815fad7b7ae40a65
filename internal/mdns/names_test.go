package mdns

import (
	"testing"

	"github.com/grandcat/zeroconf"
	"github.com/miekg/dns"
)

// wire takes a label over the wire and back, as the library's peers see it.
func wire(t *testing.T, label string) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(escape(label)+".local.", dns.TypePTR)
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("pack %q: %v", label, err)
	}
	if err := m.Unpack(b); err != nil {
		t.Fatalf("unpack %q: %v", label, err)
	}
	return m.Question[0].Name
}

func TestNamesAreSpelledAsTheLibraryReadsThem(t *testing.T) {
	for _, label := range []string{"hub", "Store 0412", "St. Gallen", `a\b`, "Café ☕", `quote"d`, "tab\there", "(it's) @ home;", "\x00", "\\065"} {
		if got, want := wire(t, label), escape(label)+".local."; got != want {
			t.Errorf("%q comes back as %q, want %q", label, got, want)
		}
		if got := unescape(escape(label)); got != label {
			t.Errorf("%q comes back as %q", label, got)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"hub", `a\.b`, `\032`, `\999`, `\`, `\\`, `\1`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		unescape(s) // must not panic
		if got := unescape(escape(s)); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
		if len(s) > 0 && len(s) < 64 {
			if got := wire(t, s); got != escape(s)+".local." {
				t.Errorf("%q is %q on the wire, escaped %q", s, got, escape(s))
			}
		}
	})
}

func TestPeerIsReadFromRecords(t *testing.T) {
	e := zeroconf.NewServiceEntry(`Store\ 0412`, ServiceType, "local")
	e.HostName, e.Port = `hub\.one.local.`, 7443
	e.Text = []string{"store=0412", `path=a\\b`, "flag", "=x"}
	e.AddrIPv4 = append(e.AddrIPv4, []byte{10, 0, 0, 1})
	e.AddrIPv6 = append(e.AddrIPv6, []byte{0xfe, 0x80, 15: 1}, []byte{0x20, 0x01, 15: 1})
	p := peer(e)
	if p.Instance != "Store 0412" || p.Host != "hub.one.local" || p.Port != 7443 {
		t.Errorf("got %+v", p)
	}
	if len(p.Addrs) != 2 || p.Addrs[0].String() != "10.0.0.1" || p.Addrs[1].String() != "2001::1" {
		t.Errorf("addresses %v", p.Addrs)
	}
	if len(p.Text) != 2 || p.Text["store"] != "0412" || p.Text["path"] != `a\b` {
		t.Errorf("text %q", p.Text)
	}
}
