package service

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
)

// forgiven is after how long without a failure the next one counts as the first.
const forgiven = 10 * time.Minute

// restartAfter is the pause before the first, second and each further start after a
// failure: a power cut's leftovers cost 2 s, a wrong configuration one event a minute.
var restartAfter = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute}

// account is the virtual account of a service: Windows makes it with the service, it
// has no password and no rights but those that are given to it.
func account(service string) string { return `NT SERVICE\` + service }

// accountSID is the identity of that account. It follows from the name alone, so that
// a folder can be given to a service that is not installed yet.
func accountSID(service string) string {
	name := utf16.Encode([]rune(strings.ToUpper(service)))
	text := make([]byte, 0, 2*len(name))
	for _, c := range name {
		text = binary.LittleEndian.AppendUint16(text, c)
	}
	sum := sha1.Sum(text) // Windows' choice
	sid := "S-1-5-80"
	for i := 0; i < len(sum); i += 4 {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sum[i:]))
	}
	return sid
}

// Folder is a folder that a service needs.
type Folder struct {
	Path  string
	Write bool // the service writes there; else it reads
}

// accessList is who may enter a service's folder, in the security descriptor
// definition language: the system and administrators, who own it, and the service;
// nobody else, whatever holds above it.
func accessList(service string, write bool) string {
	rights := "0x1200a9" // read and list
	if write {
		rights = "0x1301bf" // read, write, delete; not who may enter, nor whose it is
	}
	return "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;" + rights + ";;;" + accountSID(service) + ")"
}

// firewallRules are the arguments of netsh that let tills in: to the program, whatever
// port its configuration names, and from the same LAN to what announces it. The first
// removes what an earlier installation made.
func firewallRules(s Spec) [][]string {
	add := func(rest ...string) []string {
		return append([]string{"advfirewall", "firewall", "add", "rule", "name=" + s.DisplayName, "dir=in", "action=allow",
			"program=" + s.Executable, "service=" + s.Name, "profile=any", "enable=yes"}, rest...)
	}
	return [][]string{
		{"advfirewall", "firewall", "delete", "rule", "name=" + s.DisplayName},
		add("protocol=TCP"),
		add("protocol=UDP", "localport=5353", "remoteip=localsubnet"),
	}
}
