package service

import (
	"strings"
	"testing"
)

// TestIdentityOfAService: the first is in every Windows, as its shell shows it.
func TestIdentityOfAService(t *testing.T) {
	if got, want := accountSID("TrustedInstaller"), "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if accountSID("storehub") != accountSID("StoreHub") || accountSID("storehub") == accountSID("storehub-hq") {
		t.Error("the name alone is the identity, in any case")
	}
}

func TestFolderIsTheServicesAlone(t *testing.T) {
	sid := accountSID("storehub")
	for write, want := range map[bool]string{
		true:  "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1301bf;;;" + sid + ")",
		false: "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;" + sid + ")",
	} {
		if got := accessList("storehub", write); got != want {
			t.Errorf("write %v: got %s, want %s", write, got, want)
		}
	}
}

func TestFirewallLetsTillsIn(t *testing.T) {
	var got []string
	for _, rule := range firewallRules(Spec{Name: "storehub", DisplayName: "Store Hub", Executable: `C:\Program Files\Store Hub\hub.exe`}) {
		got = append(got, strings.Join(rule, "|"))
	}
	want := `advfirewall|firewall|delete|rule|name=Store Hub
advfirewall|firewall|add|rule|name=Store Hub|dir=in|action=allow|program=C:\Program Files\Store Hub\hub.exe|service=storehub|profile=any|enable=yes|protocol=TCP
advfirewall|firewall|add|rule|name=Store Hub|dir=in|action=allow|program=C:\Program Files\Store Hub\hub.exe|service=storehub|profile=any|enable=yes|protocol=UDP|localport=5353|remoteip=localsubnet`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("netsh is told\n%s\nwant\n%s", text, want)
	}
}
